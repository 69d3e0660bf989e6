"""Ten optimizer steps of CLIP beside transformers' model with open_clip's loss.

The loop is open_clip's on one process: AdamW that decays neither vectors nor
the temperature, which is clamped after every step.
"""

import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.ops import schedules
from jaxssl.train import optim
from jaxssl.train.state import TrainState
from jaxssl.train.step import train_step
from jaxssl.weights import huggingface_two_towers
from tests.weights import clip_towers

STEPS, BATCH = 10, 8
RATE, DECAY, BETAS, EPSILON = 1e-3, 0.2, (0.9, 0.98), 1e-6
# Above the limit, so that a step without the clamp shows.
START = math.log(100) + 0.2


def _batches():
  rng = np.random.default_rng(0)
  vocabulary = clip_towers.TOKENIZER.vocab_size
  for _ in range(STEPS):
    images = rng.normal(size=(BATCH, clip_towers.SIZE, clip_towers.SIZE, 3))
    text = rng.integers(1, vocabulary - 2, (BATCH, clip_towers.LENGTH))
    text[:, -1] = clip_towers.TOKENIZER.end_id
    yield images.astype(np.float32), text.astype(np.int32)


def _start(method):
  images, text = next(_batches())
  batch = {'views': (images,), 'text': text}
  params, state = jax.jit(method.init)(jax.random.key(0), batch)
  return {**params, 'logit_scale': jnp.float32(START)}, state


def _ours(method, params, state):
  tx = optim.make_optimizer(
    name='adamw',
    learning_rate=schedules.constant(start=RATE),
    weight_decay=DECAY,
    b1=BETAS[0],
    b2=BETAS[1],
    epsilon=EPSILON,
    exclude='ndim<=1',
    rules=({'match': 'cls_token$', 'weight_decay': 0.0},),
  )
  zero = jnp.zeros((), jnp.int32)
  train = TrainState(zero, params, state, tx.init(params), jax.random.key(0))

  @jax.jit
  def step(train, batch):
    return train_step(
      train,
      batch,
      method=method,
      augment=lambda key, batch, axis_name: batch,
      tx=tx,
    )

  losses = []
  for images, text in _batches():
    train, metrics = step(train, {'views': (images,), 'text': text})
    losses.append(float(metrics['loss']))
  return train, losses


def _theirs(method, towers):
  from open_clip.loss import ClipLoss
  import torch
  from transformers import CLIPConfig, CLIPModel

  config = CLIPConfig(**huggingface_two_towers.config(method, towers))
  model = CLIPModel(config).train()
  tensors = huggingface_two_towers.tensors(towers)
  model.load_state_dict({n: torch.tensor(t) for n, t in tensors.items()})
  groups = [
    {
      'params': [p for p in model.parameters() if (p.ndim > 1) == decays],
      'weight_decay': DECAY if decays else 0.0,
    }
    for decays in (True, False)
  ]
  optimizer = torch.optim.AdamW(groups, lr=RATE, betas=BETAS, eps=EPSILON)
  losses = []
  for images, text in _batches():
    pixels = torch.tensor(images.transpose(0, 3, 1, 2))
    out = model(input_ids=torch.tensor(text).long(), pixel_values=pixels)
    scale = model.logit_scale.exp()
    loss = ClipLoss()(out.image_embeds, out.text_embeds, scale)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
      model.logit_scale.clamp_(0, math.log(100))
    losses.append(loss.item())
  return {n: t.detach().numpy() for n, t in model.state_dict().items()}, losses


@pytest.mark.reference
def test_clip():
  method = clip_towers.clip()
  params, state = _start(method)
  towers = jax.device_get(method.export(params, state))
  theirs, their_losses = _theirs(method, towers)
  train, our_losses = _ours(method, params, state)
  # The first loss is of equal weights; a missing clamp would move the second
  # by a fifth.
  np.testing.assert_allclose(our_losses, their_losses, rtol=2e-4)
  found = method.export(train.params, train.method_state)
  ours = huggingface_two_towers.tensors(jax.device_get(found))
  # The bias of the keys has no gradient but rounding, of which Adam makes
  # steps. Else a step is of the size of the learning rate; this is a twentieth.
  moved = [name for name in ours if not name.endswith('k_proj.bias')]
  chex.assert_trees_all_close(
    {name: ours[name] for name in moved},
    {name: theirs[name] for name in moved},
    atol=RATE / 20,
    rtol=1e-4,
  )
