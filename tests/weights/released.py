"""Released architectures at random weights, in the files of their libraries."""

import inspect
import json

import jax
import numpy as np
from PIL import Image

from jaxssl import models
from jaxssl.augment.preprocessing import usual
from jaxssl.data import crop
from jaxssl.train.workdir import Workdir
from jaxssl.weights import huggingface_towers
from jaxssl.weights.exported import (
  ExportedEncoder,
  load_encoder,
  save_encoder,
)
from tests.commands import runs
from tests.data.test_crop import picture
from tests.models import timm_reference

# Largest difference of features over their largest value. Both sides compute in
# float32, in another order of sums; a wrong filter, epsilon or activation is
# ten to a thousand times larger at these weights.
TOLERANCE = 1e-4


def randomize(model):
  """Makes every trained tensor random, at a scale that keeps features tame."""
  import torch

  torch.manual_seed(0)
  with torch.no_grad():
    for name, tensor in model.named_parameters():
      noise = torch.randn_like(tensor)
      if tensor.ndim > 1 and not _is_token(name):
        tensor.copy_(noise / tensor[0].numel() ** 0.5)
      elif tensor.ndim == 1 and not name.endswith('bias'):
        tensor.copy_(1.0 + 0.2 * noise)  # norms and LayerScale
      else:
        tensor.copy_(0.3 * noise)
  return model.eval()


def _is_token(name):
  return any(part in name for part in ('token', 'pos', 'probe', 'latent'))


def from_timm(folder, name, size, **arguments):
  """Writes a model of timm for images of a size as it is uploaded."""
  import timm
  from timm.models import _hub

  sides = {'input_size': (3, size, size)}
  model = timm.create_model(
    name, num_classes=0, pretrained_cfg_overlay=sides, **arguments
  )
  model = randomize(model)
  _hub.save_for_hf(model, folder, safe_serialization=True)
  path = folder / 'config.json'
  plain = {k: v for k, v in arguments.items() if isinstance(v, int | float)}
  content = json.loads(path.read_text())
  path.write_text(json.dumps({**content, 'model_args': plain}))
  return model


def from_transformers(folder, model, processor):
  """Writes a model of transformers as it is uploaded; returns it."""
  model = randomize(model)
  model.save_pretrained(folder)
  processor.save_pretrained(folder)
  return model


def imported(source, workdir, *arguments):
  """Returns the encoder that `jaxssl import` makes without further words."""
  command = ('import', source, f'--workdir={workdir}', *arguments)
  assert runs.jaxssl(*command) == 0
  return load_encoder(Workdir(workdir).export)


def features_of_timm(model, images):
  """Returns timm's features [b, D]."""
  import torch

  with torch.no_grad():
    return model(timm_reference.to_torch(images)).numpy()


def tokens_of_transformers(model, images):
  """Returns the last hidden states of a model of transformers [b, N, D]."""
  return _of_transformers(model, images).last_hidden_state.numpy()


def features_of_transformers(model, images):
  """Returns the pooled tokens of a model of transformers [b, D]."""
  return _of_transformers(model, images).pooler_output.numpy()


def _of_transformers(model, images):
  import torch

  arguments = {}
  forward = inspect.signature(model.forward).parameters
  if 'interpolate_pos_encoding' in forward:
    arguments['interpolate_pos_encoding'] = True
  with torch.no_grad():
    return model(
      pixel_values=timm_reference.to_torch(images),
      **arguments,
    )


def ours(exported, images):
  """Returns features [b, D] and the normed tokens of our encoder."""
  features, out = jax.jit(exported.encoder.apply)(exported.variables, images)
  return features, out['encoded']


def images(size, batch=1):
  """Returns smooth pictures [b, size, size, 3], as a network is shown them."""
  rng = np.random.default_rng(size)
  return rng.standard_normal((batch, size, size, 3), np.float32)


def assert_same_pixels(exported, theirs, *, atol=2e-6):
  """Compares how both libraries prepare a picture; returns theirs.

  Args:
    exported: our encoder.
    theirs: function from a Pillow image to normalised pixels [3, S, S].
    atol: largest difference.
  """
  pixels = picture(233, 311)
  own = crop.prepare(pixels, exported.preprocessing)
  own = np.asarray(exported.normalize(own[None])[0])
  other = np.asarray(theirs(Image.fromarray(pixels))).transpose(1, 2, 0)
  np.testing.assert_allclose(own, other, rtol=0, atol=atol)
  return np.float32(other)[None]


def random_export(section, size):
  """Returns an encoder at random weights, with nothing left at zero or one."""
  encoder = models.make_encoder(**section)
  variables = timm_reference.random_variables(encoder, images(size))
  return ExportedEncoder(
    section=section,
    variables=jax.tree.map(np.asarray, variables),
    preprocessing=usual(size, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25)),
    step=0,
    config_hash='random',
  )


LIBRARIES = ('timm', 'huggingface')


def check_round_trip(library, section, sizes, folder):
  """Exports, loads by the library, compares at two sizes, imports again.

  Args:
    library: one of `LIBRARIES`.
    section: `encoder` of a config.
    sizes: of the images; the first is that of the encoder.
    folder: to write in.
  """
  exported = random_export(section, sizes[0])
  save_encoder(Workdir(folder / 'run').export, exported)
  out = folder / 'out'
  command = ('export', library, f'--workdir={folder / "run"}', f'--out={out}')
  assert runs.jaxssl(*command) == 0
  is_tower = huggingface_towers.is_tower(exported.encoder)
  if library == 'timm':
    theirs = load_timm(out)
  else:
    theirs = load_transformers(out, pooled=is_tower)
  back = imported(out, folder / 'back')
  for size in sizes:
    x = images(size)
    own = ours(exported, x)
    which = int(library == 'huggingface' and not is_tower)
    error = timm_reference.relative_error(own[which], theirs(x))
    assert error < TOLERANCE
    for one, other in zip(own, ours(back, x), strict=True):
      assert timm_reference.relative_error(one, other) < TOLERANCE


def load_timm(folder):
  """Returns the features [b, D] of a folder's model as a function."""
  import timm

  model = timm.create_model(
    f'local-dir:{folder}', pretrained=True, dynamic_img_size=True
  )
  return lambda x: features_of_timm(model.eval(), x)


def load_transformers(folder, *, pooled):
  """Returns the last hidden states [b, N, D] of a folder as a function.

  Args:
    folder: from `jaxssl export huggingface`.
    pooled: the pooled tokens [b, D] instead.
  """
  import transformers

  model, info = transformers.AutoModel.from_pretrained(
    folder, output_loading_info=True
  )
  assert not info['unexpected_keys']
  missing = [n for n in info['missing_keys'] if not n.startswith('pooler')]
  assert not missing
  found = features_of_transformers if pooled else tokens_of_transformers
  return lambda x: found(model.eval(), x)
