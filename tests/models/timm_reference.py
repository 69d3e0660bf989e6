"""A timm model at random weights beside the encoder of the same weights."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl.weights import timm as timm_weights


def make(name, **kwargs):
  """Returns a timm model without classifier, every tensor random."""
  import timm
  import torch

  torch.manual_seed(0)
  model = timm.create_model(name, pretrained=False, num_classes=0, **kwargs)
  with torch.no_grad():
    for tensor_name, tensor in model.state_dict().items():
      if tensor_name.endswith('running_var'):
        tensor.uniform_(0.5, 2.0)
      elif tensor_name.endswith('running_mean'):
        tensor.normal_(0.0, 0.2)
      elif tensor.ndim == 1 and tensor.is_floating_point():
        # Scales and biases start at one and zero, which would hide a swap.
        tensor.add_(torch.randn_like(tensor) * 0.1)
      elif tensor_name in ('cls_token', 'reg_token', 'pos_embed'):
        tensor.normal_(0.0, 0.5)
  return model.eval()


def load(encoder, model, size):
  """Returns the variables of `encoder` with the weights of `model`."""
  tensors = {k: v.detach().numpy() for k, v in model.state_dict().items()}
  shapes = jax.eval_shape(
    encoder.init, jax.random.key(0), jnp.zeros((1, size, size, 3))
  )
  return jax.tree.map(jnp.asarray, timm_weights.from_timm(tensors, shapes))


def random_variables(encoder, x):
  """Returns random variables; compiling `encoder.init` would cost seconds."""
  rng = np.random.default_rng(0)

  def draw(path, leaf):
    name, noise = path[-1].key, rng.standard_normal(leaf.shape, np.float32)
    if name == 'kernel':
      return noise / np.float32(np.prod(leaf.shape[:-1]) ** 0.5)
    return (name in ('scale', 'var')) + np.float32(0.05) * noise

  shapes = jax.eval_shape(encoder.init, jax.random.key(0), x)
  return jax.tree_util.tree_map_with_path(draw, shapes)


def images(size, batch=2):
  """Returns normal images [b, size, size, 3]."""
  rng = np.random.default_rng(size)
  return rng.standard_normal((batch, size, size, 3), np.float32)


def to_torch(nhwc):
  """Returns the images as a PyTorch tensor [b, 3, H, W]."""
  import torch

  return torch.from_numpy(nhwc.transpose(0, 3, 1, 2).copy())


def relative_error(ours, theirs):
  """Returns the largest difference over the largest value."""
  theirs = np.asarray(theirs)
  return np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max()


def features_error(encoder, variables, model, size):
  """Returns the relative error of the features at one image size."""
  import torch

  x = images(size)
  with torch.no_grad():
    theirs = model(to_torch(x)).numpy()
  ours, _ = jax.jit(encoder.apply)(variables, x)
  return relative_error(ours, theirs)


def gradient_errors(encoder, variables, model, size):
  """Returns the errors of features and of a scalar's gradient at one size.

  The second is a dict by timm's names and 'input'; each entry is the norm of
  the difference over the norm of PyTorch's gradient.
  """
  import torch

  x, x_torch = images(size), to_torch(images(size)).requires_grad_()
  expected = model(x_torch)
  weights = np.random.default_rng(1).standard_normal(expected.shape, np.float32)

  def scalar(params, x):
    features, _ = encoder.apply(variables | {'params': params}, x)
    return (features * weights).sum(), features

  ours, features = jax.jit(jax.grad(scalar, argnums=(0, 1), has_aux=True))(
    variables['params'], x
  )
  model.zero_grad()
  (expected * torch.from_numpy(weights)).sum().backward()
  theirs = {n: p.grad.numpy() for n, p in model.named_parameters()}
  theirs['input'] = x_torch.grad.numpy().transpose(0, 2, 3, 1)
  named = timm_weights.to_timm({'params': ours[0]})
  named['input'] = np.asarray(ours[1])
  assert set(named) == set(theirs)
  return relative_error(features, expected.detach()), {
    name: np.linalg.norm(named[name] - g) / np.linalg.norm(g)
    for name, g in theirs.items()
  }
