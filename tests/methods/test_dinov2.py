import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.methods import DINOv2
from tests.methods import test_ibot
from tests.methods.test_ibot import ROWS, SIZES, make_views

PROTOTYPES, TEMPERATURE = 10, 0.3


def _method(**fields):
  head = models.DINOHead(
    num_layers=2,
    hidden_dim=12,
    bottleneck_dim=6,
    out_dim=PROTOTYPES,
    norm_last_layer=False,
  )
  fields = {'teacher_temperature': TEMPERATURE, **fields}
  return DINOv2(encoder=test_ibot.make_encoder(), head=head, **fields)


@functools.lru_cache
def _initial():
  """Parameters, and a state as after some steps."""
  params, state = jax.jit(_method().init)(
    jax.random.key(0), {'views': make_views()}
  )
  chex.assert_trees_all_equal(state, {'slow': params})
  draws = np.random.default_rng(0)
  slow = jax.tree.map(
    lambda p: p + 0.05 * draws.normal(size=p.shape).astype(np.float32), params
  )
  return params, {'slow': slow}


def _loss(**fields):
  return jax.jit(_method(**fields).loss)(
    *_initial(),
    {'views': make_views()},
    key=jax.random.key(1),
    step=jnp.zeros((), jnp.int32),
  )


@functools.lru_cache
def _masks():
  """Those that `_loss` draws, bool [2, ROWS, 16]."""
  keys = jax.vmap(lambda row: jax.random.fold_in(jax.random.key(1), row))(
    jnp.arange(ROWS)
  )
  keys = jax.vmap(lambda key: jax.random.fold_in(key, 0))(keys)
  return np.array(jax.jit(_method().draw_masks)(keys, make_views()[:2]))


def _outputs(params, view, mask=None):
  """Features, and logits of a view and of its patches, in float64."""
  method = _method()
  options = {} if mask is None else {'mask': jnp.asarray(mask)}
  features, out = method.encoder.apply(
    {'params': params['encoder']}, view, **options
  )
  logits = [
    method.head.apply({'params': params[name]}, x, train=True)
    for name, x in (('head', features), ('patch_head', out['patches']))
  ]
  return [np.array(x, np.float64) for x in (features, *logits)]


def _sinkhorn(scores):
  """The authors' steps, prototypes in rows."""
  q = np.exp(scores / TEMPERATURE).T
  q /= q.sum()
  for _ in range(3):
    q /= q.sum(axis=1, keepdims=True) * len(q)
    q /= q.sum(axis=0, keepdims=True) * q.shape[1]
  return (q * q.shape[1]).T


def _entropies(targets, logits):
  x = logits / 0.1
  return -(targets * (x - np.log(np.exp(x).sum(-1, keepdims=True)))).sum(-1)


def _koleo(x):
  x = x / np.linalg.norm(x, axis=1, keepdims=True)
  distances = np.linalg.norm(x[:, None] - x[None], axis=-1)
  np.fill_diagonal(distances, np.inf)
  return -np.log(distances.min(1)).mean()


def test_loss_is_that_of_the_authors():
  (params, state), views, masks = _initial(), make_views(), _masks()
  student = [
    _outputs(params, view, masks[i] if i < 2 else None)
    for i, view in enumerate(views)
  ]
  teacher = [_outputs(state['slow'], view) for view in views[:2]]
  # One assignment for both views, and one for all hidden patches.
  targets = _sinkhorn(np.concatenate([t[1] for t in teacher]))
  pairs = [
    _entropies(target, s[1]).mean()
    for i, target in enumerate(np.split(targets, 2))
    for v, s in enumerate(student)
    if v != i
  ]
  hidden = [(i, b, m) for i, b, m in np.argwhere(masks)]
  targets = _sinkhorn(np.stack([teacher[i][2][b, m] for i, b, m in hidden]))
  patch = sum(
    _entropies(target, student[i][2][b, m]) / masks[i, b].sum()
    for target, (i, b, m) in zip(targets, hidden, strict=True)
  )
  patch /= 2 * ROWS
  spread = sum(_koleo(student[i][0]) for i in range(2))
  loss, aux = _loss(patch_weight=2.0, koleo_weight=0.3)
  metrics = aux.metrics
  # float32 against float64; logits are divided by 0.1.
  np.testing.assert_allclose(metrics['class_loss'], np.mean(pairs), rtol=1e-4)
  np.testing.assert_allclose(metrics['patch_loss'], patch, rtol=1e-4)
  np.testing.assert_allclose(metrics['koleo'], spread, rtol=1e-4)
  np.testing.assert_allclose(
    loss, np.mean(pairs) + 2 * patch + 0.3 * spread, rtol=1e-4
  )
  assert metrics['hidden_patches'] == masks.sum() / ROWS


def test_each_picture_has_a_mask_on_one_of_its_large_views():
  keys = jax.random.split(jax.random.key(3), 256)
  images = [jnp.zeros((256, 56, 56, 3))] * 2
  masks = np.array(jax.jit(_method().draw_masks)(keys, images))
  counts = masks.sum(-1)
  assert (np.count_nonzero(counts, axis=0) == 1).all()
  # Five deviations of a share of 256 draws.
  assert (counts[0] > 0).mean() == pytest.approx(0.5, abs=0.16)
  shares = counts.max(0) / 196
  assert shares.min() < 0.15
  assert 0.45 < shares.max() <= 0.5
  assert shares.mean() == pytest.approx(0.3, abs=0.04)


def test_neighbours_are_those_of_a_group():
  views = make_views()
  alone = _loss(koleo_group=2)[1].metrics['koleo']
  student = [_outputs(_initial()[0], views[i], _masks()[i])[0] for i in (0, 1)]
  pairs = [_koleo(x[first : first + 2]) for x in student for first in (0, 2)]
  np.testing.assert_allclose(alone, np.sum(pairs) / 2, rtol=1e-4)
  with pytest.raises(UserError, match='among 3 rows of a batch of 4'):
    _loss(koleo_group=3)


def test_teacher_follows_the_new_parameters():
  params, state = _initial()
  _, new = _method(momentum=0.75).update(
    params, state, (), step=jnp.zeros((), int)
  )
  expected = jax.tree.map(
    lambda s, p: 0.75 * s + 0.25 * p, state['slow'], params
  )
  chex.assert_trees_all_close(new['slow'], expected, atol=1e-6)


def test_small_views_and_registers_go_along():
  assert SIZES[2] < SIZES[0]
  encoder = test_ibot.make_encoder(
    num_registers=4, act='swiglu', layer_scale=1e-5, drop_path=0.3
  )
  method = DINOv2(encoder=encoder, head=_method().head)
  batch = {'views': make_views()}

  def run(key):
    return method.loss(*method.init(key, batch), batch, key=key, step=0)[0]

  assert jax.eval_shape(run, jax.random.key(0)).shape == ()


@pytest.mark.reference
def test_the_anchor_holds_how_patches_resemble_each_other():
  """Its grid is made smaller, and the distance taken, with PyTorch."""
  import torch
  import torch.nn.functional as F

  params, state = _initial()
  state = {**state, 'anchor': {'encoder': state['slow']['encoder']}}
  views = make_views()
  whole = make_views((24, 24))
  loss, aux = jax.jit(_method(gram_weight=3.0).loss)(
    params,
    state,
    {'views': views, 'whole': tuple(whole)},
    key=jax.random.key(1),
    step=jnp.zeros((), jnp.int32),
  )
  encoder, found = test_ibot.make_encoder(), []
  for view, crop, mask in zip(views[:2], whole, _masks(), strict=True):
    _, own = encoder.apply({'params': params['encoder']}, view, mask=mask)
    _, out = encoder.apply({'params': state['slow']['encoder']}, crop)
    grid = torch.tensor(np.array(out['patches'])).reshape(ROWS, 6, 6, -1)
    smaller = F.interpolate(
      grid.permute(0, 3, 1, 2), size=(4, 4), mode='bicubic', antialias=False
    )
    target = smaller.flatten(2).transpose(1, 2)
    cosines = [
      x @ x.transpose(1, 2)
      for x in (
        F.normalize(torch.tensor(np.array(own['patches'])), dim=-1),
        F.normalize(target, dim=-1),
      )
    ]
    found.append(F.mse_loss(*cosines).item())
  np.testing.assert_allclose(aux.metrics['gram'], np.mean(found), rtol=1e-4)
  terms = {name: float(aux.metrics[name]) for name in aux.metrics}
  np.testing.assert_allclose(
    loss,
    terms['class_loss']
    + terms['patch_loss']
    + 0.1 * terms['koleo']
    + 3 * terms['gram'],
    rtol=1e-5,
  )


def test_the_anchor_becomes_the_teacher_at_its_steps():
  """First after the start, then every so many steps, and twice at most."""
  method = _method(
    gram_weight=1.0, gram_start=3, gram_every=2, gram_updates=2, momentum=0.0
  )
  anchor, seen = {'encoder': jnp.zeros(())}, []
  for step in range(10):
    params = {'encoder': jnp.asarray(step + 1.0)}
    _, state = method.update(
      params, {'slow': params, 'anchor': anchor}, (), step=jnp.asarray(step)
    )
    anchor = state['anchor']
    seen.append(float(anchor['encoder']))
  assert seen == [0, 0, 0, 4, 4, 6, 6, 6, 6, 6]
  stays = _method(gram_weight=1.0, momentum=0.0)
  _, state = stays.update(
    params, {'slow': params, 'anchor': anchor}, (), step=jnp.asarray(5)
  )
  assert state['anchor']['encoder'] == 6


@pytest.mark.parametrize('changes', [{'gram_start': 5}, {'gram_updates': 2}])
def test_times_of_an_anchor_that_never_changes_are_refused(changes):
  with pytest.raises(UserError, match=r'while method\.gram_every is 0'):
    _method(gram_weight=1.0, **changes)


def test_an_augmentation_without_larger_crops_is_a_user_error():
  params, state = _initial()
  state = {**state, 'anchor': {'encoder': state['slow']['encoder']}}
  keys = jax.random.split(jax.random.key(0), ROWS)
  embed = functools.partial(
    _method(gram_weight=1.0).embed, params, state, {'views': make_views()}
  )
  with pytest.raises(UserError, match=r"augment\.name='dinov3'"):
    jax.eval_shape(embed, keys=keys, step=0)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'encoder': test_ibot.make_encoder(use_mask_token=False)}, 'mask_token'),
    ({'head': models.DINOHead(use_bn=True)}, 'use_bn=False'),
    ({'mask_ratio': (0.5, 0.1)}, 'mask_ratio is .0.5, 0.1.'),
    ({'koleo_group': -1}, 'koleo_group is -1'),
  ],
)
def test_what_does_not_serve_is_a_user_error(changes, message):
  fields = {'encoder': test_ibot.make_encoder(), 'head': _method().head}
  with pytest.raises(UserError, match=message):
    DINOv2(**fields | changes)
