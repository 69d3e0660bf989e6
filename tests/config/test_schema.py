"""Complete configs: names, types and ranges of every key."""

import pytest

from jaxssl import build, config
from jaxssl.config import schema
from jaxssl.errors import UserError

SMALL = {
  'method': {'name': 'simclr', 'temperature': 0.2},
  'encoder': {'name': 'resnet18', 'width': 0.25, 'stem': 'cifar'},
  'augment': {'name': 'simclr_cifar', 'size': 16},
  'data': {'name': 'digits'},
  'optim': {'name': 'sgd', 'learning_rate': 0.1},
  'train': {'steps': 10, 'batch_size': 64},
}


def _config(**changes):
  """`SMALL` with dotted keys replaced or added, completed."""
  flat = config.flatten(SMALL)
  for key, value in changes.items():
    flat[key.replace('__', '.')] = value
  return schema.complete(config.unflatten(flat))


class TestComplete:
  def test_every_number_of_a_run_is_there(self):
    complete = _config()
    assert list(complete) == ['seed', *schema.SECTIONS]
    assert complete['optim']['momentum'] == 0.9
    head = schema.defaults('head', 'simclr')
    assert complete['head'] == {**head, 'name': 'simclr'}
    assert complete['encoder']['dtype'] == 'float32'
    assert complete['train']['checkpoint_steps'] == 1000

  def test_is_idempotent_and_survives_json(self):
    complete = _config(
      optim__learning_rate={'name': 'cosine', 'start': 0.1, 'warmup_epochs': 2}
    )
    assert schema.complete(complete) == complete
    assert config.from_json(config.to_json(complete)) == complete

  def test_durations_can_be_given_in_both_units(self):
    complete = _config(optim__learning_rate={'name': 'cosine', 'start': 0.1})
    assert complete['optim']['learning_rate'] == {
      'name': 'cosine',
      'start': 0.1,
      'end': 0.0,
      'warmup_steps': None,
      'warmup_epochs': None,
      'warmup_start': 0.0,
      'convention': 'step',
    }

  def test_none_is_an_empty_section(self):
    complete = schema.complete({**SMALL, 'eval': None})
    assert complete == schema.complete(SMALL)

  @pytest.mark.parametrize(
    'rules', [[], [{'match': 'head', 'freeze_steps': 1}]]
  )
  def test_a_list_is_as_good_as_a_tuple(self, rules):
    found, wanted = (
      schema.complete({**SMALL, 'optim': {**SMALL['optim'], 'rules': value}})
      for value in (rules, tuple(rules))
    )
    assert found == wanted
    assert found['optim']['rules'] == tuple(rules)

  @pytest.mark.parametrize(
    ('changes', 'message'),
    [
      ({'method__name': 'simcler'}, "unknown method 'simcler'.*'simclr'"),
      ({'encoder__name': 'resnet19'}, "did you mean 'resnet1"),
      ({'augment__name': 'simclr_cifer'}, "did you mean 'simclr_cifar'"),
      ({'optim__name': 'adam'}, "unknown optimizer 'adam'; .*'adamw'"),
      ({'head__name': 'simcl'}, "unknown head 'simcl'.*'simclr'"),
      ({'method__temprature': 1}, "key of config.method.*'temperature'"),
      ({'train__batchsize': 1}, "did you mean 'batch_size'"),
      ({'trian': {}}, "unknown config section 'trian'.*'train'"),
      ({'data__name': ''}, 'config.data.name is missing'),
      ({'encoder': 'resnet18'}, 'config.encoder must be a section of keys'),
      ({'seed': 'x'}, 'config.seed must be an integer'),
      ({'optim__learning_rate': {'name': 'cos'}}, "schedule 'cos'.*'cosine'"),
      (
        {'optim__learning_rate': {'name': 'cosine'}},
        "schedule 'cosine' needs .*'start'",
      ),
      (
        {'optim__learning_rate': {'name': 'cosine', 'start': 1, 'stop': 0}},
        "unknown key of schedule 'cosine' 'stop'",
      ),
    ],
  )
  def test_mistakes_are_told(self, changes, message):
    flat = config.flatten(SMALL)
    for key, value in changes.items():
      key = key.replace('__', '.')
      flat = {k: v for k, v in flat.items() if not k.startswith(key + '.')}
      flat[key] = value
    with pytest.raises(UserError, match=message):
      schema.complete(config.unflatten(flat))

  def test_a_missing_value_is_named(self):
    optim = {'name': 'sgd'}
    with pytest.raises(UserError, match='learning_rate is missing'):
      schema.complete({**SMALL, 'optim': optim})


CONFIG = _config(
  train__epochs=2.0,
  optim__learning_rate={'name': 'cosine', 'start': 0.1},
)


def _override(**overrides):
  dotted = {key.replace('__', '.'): v for key, v in overrides.items()}
  return schema.apply_overrides(CONFIG, dotted)


class TestOverrides:
  def test_replace_leaves_the_rest(self):
    changed = _override(train__steps=20, optim__learning_rate__start=0.5)
    assert changed['train'] == {**CONFIG['train'], 'steps': 20}
    rate = CONFIG['optim']['learning_rate']
    assert changed['optim']['learning_rate'] == {**rate, 'start': 0.5}
    assert config.differences(CONFIG, changed) == [
      'optim.learning_rate.start: 0.1 -> 0.5',
      'train.steps: 10 -> 20',
    ]

  def test_the_given_config_is_not_changed(self):
    before = config.to_json(CONFIG)
    _override(train__steps=20)
    assert config.to_json(CONFIG) == before

  def test_nothing_changes_nothing(self):
    assert _override() == CONFIG

  @pytest.mark.parametrize(
    ('key', 'value', 'stored'),
    [
      ('train.epochs', 3, 3.0),
      ('train.keep_every', 5, 5),
      ('train.steps', None, None),
      ('augment.scale', (0, 1), (0.0, 1.0)),
      ('optim.name', 7, '7'),
    ],
  )
  def test_type_follows_the_default(self, key, value, stored):
    changed = config.flatten(schema.apply_overrides(CONFIG, {key: value}))
    assert changed[key] == stored
    assert type(changed[key]) is type(stored)

  @pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
      ('train.steps', 1.5, 'train.steps takes an integer or none, got 1.5'),
      ('train.steps', 'many', "takes an integer or none, got 'many'"),
      ('train.steps', True, 'takes an integer or none, got True'),
      ('train.epochs', 'x', 'takes a number'),
      ('train.batch_size', 0, 'train.batch_size is 0; it must be positive'),
      ('train.mode', 'jitt', "unknown config.train.mode 'jitt'; did you mean"),
      ('augment.scale', 0.5, 'augment.scale takes 2 values, got 0.5'),
      ('train.tensorboard', 1, 'takes true or false, got 1'),
      ('train.stps', 1, "unknown config key 'train.stps'; did you mean 'train"),
      ('train', 1, 'config.train is a section; set its keys'),
    ],
  )
  def test_mistakes_are_told(self, key, value, message):
    with pytest.raises(UserError, match=message):
      schema.apply_overrides(CONFIG, {key: value})


@pytest.mark.parametrize('section', ['text', 'text_encoder'])
def test_text_of_a_method_without_a_text_tower_is_refused(section):
  with pytest.raises(UserError, match=f'takes no text; leave config.{section}'):
    schema.complete({**SMALL, section: {'length': 8}})


def test_text_has_the_defaults_of_the_tokenizer():
  clip = {**SMALL, 'method': {'name': 'clip'}, 'text': {'length': 8}}
  complete = schema.complete(clip)
  assert complete['text'] == {
    'tokenizer': 'bytes',
    'length': 8,
    'clean': 'clip',
    'end': None,
    'pad': None,
  }
  assert build.build_tokenizer(complete).length == 8
  assert build.build_tokenizer(schema.complete(SMALL)) is None
