"""SigLIP 2: every gradient in PyTorch, who sees what, and the late start."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.methods import SigLIP, SigLIP2
from jaxssl.models.caption_writer import CaptionWriter
from jaxssl.models.drop_path import fold_keys
from jaxssl.ops import captioning, schedules
from jaxssl.parallel import collectives
from jaxssl.train.state import init_state
from jaxssl.train.step import train_step
from jaxssl.weights import huggingface_pairs
from tests import tiny_methods
from tests.methods.test_precision import equations
from tests.models import (
  timm_reference,
  transformers_pairs,
  transformers_reference,
)

SIZE, TEXT = transformers_pairs.SIZE, transformers_pairs.text()
WIDTH, PATCHES = transformers_pairs.WIDTH, 16
PROTOTYPES, ROWS = 10, len(TEXT)
STEP = jnp.zeros((), jnp.int32)
# Two texts are predicted all at once and one is not.
KEY = jax.random.key(1)
TOWERS = ('encoder', 'text', 'logits')


def _encoder(**changes):
  return models.make_encoder(
    'siglip_vit_b8', **transformers_pairs.SMALL, **changes
  )


def _shared():
  return {
    'text_encoder': models.make_text_encoder(
      'siglip_b', **transformers_pairs.SMALL_TEXT
    ),
    'head': models.Projection(out_dim=WIDTH, use_bias=True),
    'project_images': False,
  }


def _method(**fields):
  small = {
    'encoder': _encoder(use_mask_token=True),
    'num_prototypes': PROTOTYPES,
    'hidden_dim': 24,
    'bottleneck_dim': 12,
    'decoder_depth': 2,
    'caption_weight': 0.7,
    'self_weight': 0.5,
    'view_weight': 1.5,
    'patch_weight': 2.0,
    'teacher_temperature': 0.06,
  }
  return SigLIP2(**{**small, **_shared(), **fields})


def _batch():
  """The small views are as large as the others: no position moves."""
  views = timm_reference.images(SIZE, 4 * ROWS).reshape(4, ROWS, SIZE, SIZE, 3)
  return {'views': tuple(views), 'text': TEXT}


def _row_keys():
  return collectives.row_keys(KEY, ROWS, None)


def _masks():
  keys = fold_keys(fold_keys(_row_keys(), 3), 0)
  return np.array(_method().draw_masks(keys, jnp.asarray(_batch()['views'][1])))


def _parallel():
  return np.array(_method().draw_parallel(fold_keys(_row_keys(), 2), 1))


def _towers_from(tensors):
  """Parameters of both towers, without the mask token."""
  method = SigLIP(encoder=_encoder(), **_shared())
  params, state = jax.eval_shape(method.init, jax.random.key(0), _batch())
  found = huggingface_pairs.pair_from_huggingface(
    tensors, jax.eval_shape(method.export, params, state)
  )
  encoder, text, logits = (found[name]['params'] for name in TOWERS)
  return {
    'image': {'encoder': encoder},
    'text': text,
    **{f'logit_{name}': value for name, value in logits.items()},
  }


def _model(seed):
  import torch

  model = transformers_pairs.siglip()
  torch.manual_seed(seed)
  with torch.no_grad():
    for parameter in model.parameters():
      parameter.add_(0.02 * torch.randn_like(parameter))
  return model


@functools.lru_cache
def _own_parameters(seed):
  """Those that no tower of transformers has, large enough to matter."""
  method = _method()
  params, _ = jax.jit(method.init)(jax.random.key(0), _batch())
  draws = np.random.default_rng(seed)
  own = {
    'decoder': params['decoder'],
    'view_head': params['view_head'],
    'patch_head': params['patch_head'],
    'mask_token': params['image']['encoder']['mask_token'],
  }
  return jax.tree.map(
    lambda x: np.float32(x + 0.2 * draws.normal(size=x.shape)), own
  )


def _joined(towers, own):
  """A tree of the method, of both towers and what they lack."""
  encoder = {**towers['image']['encoder'], 'mask_token': own['mask_token']}
  own = {name: tree for name, tree in own.items() if name != 'mask_token'}
  return {**towers, 'image': {'encoder': encoder}, **own}


def _centers():
  draws = np.random.default_rng(3)
  return {
    name: draws.normal(size=(1, PROTOTYPES)).astype(np.float32) / 5
    for name in ('center', 'patch_center')
  }


@functools.lru_cache
def _peers():
  """PyTorch's models with their own parameters, and our trees of both."""
  from tests.methods import torch_siglip2

  peers = []
  for seed in (0, 1):
    model, own = _model(seed), _own_parameters(seed)
    tree = _joined(_towers_from(transformers_reference.tensors(model)), own)
    peers.append((model, torch_siglip2.parameters(own), tree))
  return peers


@functools.lru_cache
def _found():
  """Loss, `Aux` and gradient."""
  (_, _, params), (_, _, slow) = _peers()
  heads = {name: slow[name] for name in ('view_head', 'patch_head')}
  state = {
    'stats': {},
    'slow': {'encoder': slow['image']['encoder'], **heads},
    **_centers(),
  }
  fn = jax.jit(jax.value_and_grad(_method().loss, has_aux=True))
  (loss, aux), grads = fn(params, state, _batch(), key=KEY, step=STEP)
  return loss, aux, grads


def _expected_terms():
  """The four terms in PyTorch, and the teacher's mean logits."""
  import torch

  from tests.methods import torch_siglip2 as peer

  (model, own, _), (teacher, slow, _) = _peers()
  plain, whole, *small = (
    timm_reference.to_torch(view) for view in _batch()['views']
  )
  texts = torch.from_numpy(TEXT).long()
  hidden = torch.from_numpy(_masks())
  terms = {'siglip_loss': peer.sigmoid_loss(model, plain, texts)}
  image = peer.tokens(model, plain)
  costs = [
    peer.caption_cost(
      own['decoder'],
      texts[row],
      TEXT[row].argmax() + 1,
      image[row],
      parallel,
      heads=4,
      vocabulary=transformers_pairs.VOCABULARY,
    )
    for row, parallel in enumerate(_parallel())
  ]
  terms['caption_loss'] = torch.cat(costs).mean()
  with torch.no_grad():
    seen = peer.tokens(teacher, whole)
    logits = peer.view_head(slow['view_head'], peer.pooled(teacher, seen))
    patch_logits = peer.head(slow['patch_head'], seen[hidden])
    centers = {k: torch.from_numpy(v) for k, v in _centers().items()}
    targets = torch.softmax((logits - centers['center']) / 0.06, -1)
    patch_targets = torch.softmax(
      (patch_logits - centers['patch_center']) / 0.06, -1
    )
  views = [peer.pooled(model, peer.tokens(model, view)) for view in small]
  terms['view_loss'] = torch.stack(
    [
      peer.imitation(targets, peer.view_head(own['view_head'], features))
      for features in views
    ]
  ).mean()
  masked = peer.tokens(model, whole, hidden, own['mask_token'])
  terms['patch_loss'] = peer.imitation(
    patch_targets, peer.head(own['patch_head'], masked[hidden])
  ).mean()
  return terms, {
    'center': logits.mean(0),
    'patch_center': patch_logits.mean(0),
  }


@pytest.mark.reference
def test_terms_and_every_gradient_equal_those_of_pytorch():
  from tests.methods import torch_siglip2 as peer

  assert 0 < _parallel().sum() < ROWS
  terms, centers = _expected_terms()
  loss, aux, grads = _found()
  # float32 on both sides; logits are divided by 0.06 and 0.1.
  for name, expected in terms.items():
    np.testing.assert_allclose(aux.metrics[name], expected.item(), rtol=1e-4)
  total = (
    terms['siglip_loss']
    + 0.7 * terms['caption_loss']
    + 0.5 * (1.5 * terms['view_loss'] + 2.0 * terms['patch_loss'])
  )
  np.testing.assert_allclose(loss, total.item(), rtol=2e-5)
  for name, expected in centers.items():
    np.testing.assert_allclose(aux.carry[name][0], expected, atol=1e-5)
  total.backward()
  (model, own, _), _ = _peers()
  theirs = _joined(
    _towers_from(transformers_reference.gradients(model)), peer.gradients(own)
  )
  scale = max(float(jnp.abs(g).max()) for g in jax.tree.leaves(grads))
  chex.assert_trees_all_close(grads, theirs, rtol=1e-3, atol=2e-5 * scale)


def test_half_of_the_patches_are_hidden_of_every_row():
  masks = _masks()
  np.testing.assert_array_equal(masks.sum(1), [PATCHES // 2] * ROWS)
  assert len(np.unique(masks, axis=0)) == ROWS


def test_a_share_of_the_texts_is_predicted_all_at_once():
  keys = jax.random.split(jax.random.key(0), 1000)
  drawn = _method(parallel_share=0.25).draw_parallel(keys, 3)
  assert drawn.shape == (3000,)
  # Three standard deviations.
  np.testing.assert_allclose(drawn.mean(), 0.25, atol=0.024)


def test_a_writer_sees_what_stands_before_or_the_image_alone():
  writer = CaptionWriter(vocab_size=9, length=6, dim=8, depth=2, num_heads=2)
  draws = np.random.default_rng(0)
  text = draws.integers(0, 9, (2, 5))
  image = draws.normal(size=(2, 3, 4)).astype(np.float32)
  parallel = np.array([False, True])
  variables = writer.init(jax.random.key(0), text, image, parallel)
  found = writer.apply(variables, text, image, parallel)
  other = text.copy()
  other[:, 2] += 1
  moved = np.abs(found - writer.apply(variables, other, image, parallel))
  # From the place behind it on, where the text is read.
  assert np.all(moved.max(-1)[0, 3:] > 1e-5)
  assert np.all(moved[0, :3] < 1e-6)
  assert np.all(moved[1] < 1e-6)
  changed = writer.apply(variables, text, image[::-1], parallel)
  assert np.all(np.abs(found - changed).max((1, 2)) > 1e-4)


def test_padding_does_not_count_and_the_first_token_does():
  text = np.array([[5, 6, 0, 0], [5, 1, 2, 6]])
  logits = np.zeros((2, 4, 7), np.float32)
  cost, count = captioning.caption_entropy(logits, text, 6, first=0)
  np.testing.assert_array_equal(count, [2, 4])
  np.testing.assert_allclose(cost, np.array([2, 4]) * np.log(7), rtol=1e-6)


LATE = schedules.switch(start=0.0, end=1.0, at=0.5, num_steps=4)


@functools.lru_cache
def _tiny_run():
  """States and metrics of four steps that are late for the other losses."""
  shared = {
    'method': tiny_methods.make('siglip2', self_weight=LATE, momentum=0.9),
    'augment': tiny_methods.augment('siglip2'),
    'tx': optax.sgd(0.01),
  }
  batch = tiny_methods.smooth_batch()
  init = functools.partial(init_state, **shared)
  state = jax.jit(init)(jax.random.key(0), batch)
  step = jax.jit(functools.partial(train_step, **shared))
  states, metrics = [state], []
  for _ in range(4):
    state, found = step(state, batch)
    states.append(state)
    metrics.append({name: float(value) for name, value in found.items()})
  return states, metrics


def _slow_and_student(state):
  slow = state.method_state['slow']
  return slow, {
    'encoder': state.params['image']['encoder'],
    **{name: state.params[name] for name in ('view_head', 'patch_head')},
  }


def test_until_the_start_the_teacher_is_the_student_and_heads_stay():
  states, metrics = _tiny_run()
  first = states[0].params
  for state, found in zip(states[1:3], metrics[:2], strict=True):
    assert found['view_loss'] == found['patch_loss'] == 0.0
    chex.assert_trees_all_equal(*_slow_and_student(state))
    for name in ('view_head', 'patch_head'):
      chex.assert_trees_all_equal(state.params[name], first[name])
    assert not np.any(state.method_state['center'])
    own = first['image']['encoder']['mask_token']
    np.testing.assert_array_equal(
      state.params['image']['encoder']['mask_token'], own
    )
  total = metrics[1]['siglip_loss'] + metrics[1]['caption_loss']
  np.testing.assert_allclose(metrics[1]['loss'], total, rtol=1e-6)


def test_then_the_teacher_follows_and_the_centres_move():
  states, metrics = _tiny_run()
  before, after = states[2], states[3]
  assert min(metrics[2][name] for name in ('view_loss', 'patch_loss')) > 1
  (old, _), (slow, student) = map(_slow_and_student, (before, after))
  expected = jax.tree.map(lambda s, f: 0.9 * s + 0.1 * f, old, student)
  chex.assert_trees_all_close(slow, expected, atol=1e-6)
  for name in ('center', 'patch_center'):
    assert np.any(after.method_state[name])


def test_until_the_start_no_network_sees_the_other_views():
  method = tiny_methods.make('siglip2', self_weight=LATE)
  batch = jax.eval_shape(
    lambda: tiny_methods.augment('siglip2')(
      jax.random.key(0), tiny_methods.smooth_batch()
    )
  )
  params, state = jax.eval_shape(method.init, jax.random.key(0), batch)
  jaxpr = jax.make_jaxpr(jax.value_and_grad(method.loss, has_aux=True))(
    params, state, batch, key=jax.random.key(1), step=STEP
  )
  products = [
    {
      sum(e.primitive.name == 'dot_general' for e in equations(branch.jaxpr))
      for branch in equation.params['branches']
    }
    for equation in equations(jaxpr.jaxpr)
    if equation.primitive.name == 'cond'
  ]
  # Others choose a kernel of attention by the platform.
  products = [each for each in products if max(each) > 10]
  # There and back.
  assert len(products) == 2
  assert all(min(each) == 0 for each in products)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'encoder': _encoder()}, 'use_mask_token=True'),
    ({'encoder': models.make_encoder('resnet18')}, 'vision transformer'),
    (
      {
        'encoder': models.make_encoder(
          'vit_ti4', pool='avg', use_mask_token=True
        )
      },
      "pool='map' or 'cls', or pool='avg' and fc_norm=False",
    ),
    ({'mask_ratio': 1.0}, 'mask_ratio'),
  ],
)
def test_what_does_not_serve_is_a_user_error(fields, message):
  with pytest.raises(UserError, match=message):
    _method(**fields)


def test_two_views_are_too_few():
  batch = {**_batch(), 'views': _batch()['views'][:2]}
  with pytest.raises(UserError, match=r"augment\.name='siglip2'"):
    _method().init(jax.random.key(0), batch)


@pytest.mark.parametrize(('depth', 'expected'), [(None, 1), (3, 3)])
def test_the_decoder_is_half_as_deep_as_the_text_tower(depth, expected):
  assert _method(decoder_depth=depth).decoder.depth == expected
