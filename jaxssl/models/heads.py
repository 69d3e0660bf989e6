"""Heads: small networks between the features and a loss."""

from typing import Literal

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl.fields import check_fields
from jaxssl.models import initializers
from jaxssl.models.mlp import gelu
from jaxssl.models.norm import BatchNorm


class SimCLRHead(nn.Module):
  """SimCLR's projection head (arXiv 2002.05709; v2: arXiv 2006.10029).

  Every layer is a Dense without bias (normal, 0.01) and a BatchNorm; all but
  the last keep the input's width, learn a BatchNorm bias and end with ReLU.
  The last BatchNorm has a scale but no bias, as in the authors' code
  (google-research/simclr, tf2/model.py, `ProjectionHead`); the papers do not
  mention these BatchNorms.

  Attributes:
    num_layers: 2 in v1, 3 in v2.
    out_dim: K, width of the projection.
    dtype: type of the Dense layers; BatchNorm and the result are float32.
  """

  num_layers: Literal[2, 3] = 3
  out_dim: int = 128
  dtype: Dtype = jnp.float32

  def __post_init__(self):
    """Raises `UserError` for a number of layers other than 2 or 3."""
    check_fields(self)
    super().__post_init__()

  @nn.compact
  def __call__(
    self,
    features: jax.Array,
    *,
    train: bool,
    axis_name: str | None = None,
    stop_after: int | None = None,
  ) -> jax.Array:
    """Projects features [b, D] to float32 [b, K].

    Args:
      features: of the encoder, not normalised.
      train: use batch statistics in BatchNorm.
      axis_name: mapped device axis, or None in the global view.
      stop_after: return the output [b, D] of this layer (counted from 1, after
        ReLU) instead; SimCLR v2 fine-tunes from layer 1.
    """
    x, width = features, features.shape[-1]
    for i in range(stop_after or self.num_layers):
      last = i == self.num_layers - 1
      x = nn.Dense(
        self.out_dim if last else width,
        use_bias=False,
        dtype=self.dtype,
        kernel_init=nn.initializers.normal(0.01),
        name=f'dense_{i}',
      )(x)
      x = BatchNorm(use_bias=not last, name=f'bn_{i}')(
        x, train=train, axis_name=axis_name
      )
      x = x if last else nn.relu(x)
    return x


class MoCoHead(nn.Module):
  """Projection head of MoCo (arXiv 1911.05722; v2: arXiv 2003.04297).

  Dense layers with bias and without normalisation, ReLU between them, the
  hidden one as wide as the features; PyTorch's default initialisation,
  U(+-1 / sqrt(fan_in)) for kernel and bias, as the authors' `fc`.

  Attributes:
    num_layers: 1 in v1, 2 in v2.
    out_dim: K, width of the embedding.
    dtype: type of the Dense layers; the result is float32.
  """

  num_layers: Literal[1, 2] = 2
  out_dim: int = 128
  dtype: Dtype = jnp.float32

  def __post_init__(self):
    """Raises `UserError` for a number of layers other than 1 or 2."""
    check_fields(self)
    super().__post_init__()

  @nn.compact
  def __call__(
    self, features: jax.Array, *, train: bool, axis_name: str | None = None
  ) -> jax.Array:
    """Projects features [b, D] to float32 [b, K], not normalised.

    Args:
      features: of the encoder.
      train: unused; part of every head's signature.
      axis_name: unused; part of every head's signature.
    """
    del train, axis_name
    x, width = features, features.shape[-1]
    for i in range(self.num_layers):
      last = i == self.num_layers - 1
      x = nn.Dense(
        self.out_dim if last else width,
        dtype=self.dtype,
        kernel_init=initializers.torch_kernel,
        bias_init=initializers.uniform(width**-0.5),
        name=f'dense_{i}',
      )(x)
      x = x if last else nn.relu(x)
    return x.astype(jnp.float32)


class MoCoV3Head(nn.Module):
  """Projector and predictor of MoCo v3 (arXiv 2104.02057).

  Dense layers without bias; BatchNorm and ReLU after all but the last, which
  ends, with `last_bn`, in a BatchNorm without scale and bias (moco/builder.py
  of facebookresearch/moco-v3, `_build_mlp`; its Dense layers start from
  PyTorch's default U(+-1 / sqrt(fan_in))).

  Attributes:
    num_layers: projector: 2 for ResNet, 3 for ViT; predictor: 2.
    hidden_dim: width of all layers but the last.
    out_dim: K.
    last_bn: end in a BatchNorm; all but the predictor of ResNets do.
    dtype: type of the Dense layers; BatchNorm and the result are float32.
  """

  num_layers: int = 3
  hidden_dim: int = 4096
  out_dim: int = 256
  last_bn: bool = True
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(
    self, features: jax.Array, *, train: bool, axis_name: str | None = None
  ) -> jax.Array:
    """Maps [b, D] to float32 [b, K], not normalised.

    Args:
      features: of the encoder, or the projection.
      train: use batch statistics in BatchNorm.
      axis_name: mapped device axis, or None in the global view.
    """
    x = features
    for i in range(self.num_layers):
      last = i == self.num_layers - 1
      x = nn.Dense(
        self.out_dim if last else self.hidden_dim,
        use_bias=False,
        dtype=self.dtype,
        kernel_init=initializers.torch_kernel,
        name=f'dense_{i}',
      )(x)
      if last and not self.last_bn:
        continue
      x = BatchNorm(use_scale=not last, use_bias=not last, name=f'bn_{i}')(
        x, train=train, axis_name=axis_name
      )
      x = x if last else nn.relu(x)
    return x.astype(jnp.float32)


class Projection(nn.Module):
  """Projection of a tower's features into the space of images and texts.

  CLIP's is one layer without bias, SigLIP's text tower has a bias. With two
  layers, the first keeps the width and is followed by GELU (open_clip's 'mlp').
  Kernels start from normal(fan_in^-0.5), CLIP's.

  Attributes:
    num_layers: 1, or 2 for a non-linear projection.
    out_dim: K, width of the joint space.
    use_bias: have a bias in the last layer.
    dtype: type of the computation; the result is float32.
  """

  num_layers: Literal[1, 2] = 1
  out_dim: int = 512
  use_bias: bool = False
  dtype: Dtype = jnp.float32

  def __post_init__(self):
    """Raises `UserError` for a number of layers other than 1 or 2."""
    check_fields(self)
    super().__post_init__()

  @nn.compact
  def __call__(
    self, features: jax.Array, *, train: bool, axis_name: str | None = None
  ) -> jax.Array:
    """Projects features [b, D] to float32 [b, K], not normalised.

    Args:
      features: of a tower.
      train: unused; part of every head's signature.
      axis_name: unused; part of every head's signature.
    """
    del train, axis_name
    x, width = features, features.shape[-1]
    for i in range(self.num_layers):
      last = i == self.num_layers - 1
      x = nn.Dense(
        self.out_dim if last else width,
        use_bias=self.use_bias and last,
        dtype=self.dtype,
        kernel_init=nn.initializers.variance_scaling(1.0, 'fan_in', 'normal'),
        name=f'dense_{i}',
      )(x)
      x = x if last else gelu(x)
    return x.astype(jnp.float32)


class Unprojected(nn.Module):
  """The features themselves, float32: a head without parameters."""

  @nn.compact
  def __call__(
    self, features: jax.Array, *, train: bool, axis_name: str | None = None
  ) -> jax.Array:
    """Returns features [b, D] in float32."""
    del train, axis_name
    return features.astype(jnp.float32)


class DINOHead(nn.Module):
  """Head of DINO (arXiv 2104.14294, appendix C).

  `num_layers` Dense layers with bias and exact GELU between them, from D over
  `hidden_dim` to `bottleneck_dim`; the result is normalised to length 1 and
  multiplied with `out_dim` prototypes of length g:

    y_k = g_k (v_k / |v_k|) . z / |z|

  (vision_transformer.py of facebookresearch/dino, `DINOHead`, whose defaults
  these are.) The layers start from a normal of deviation 0.02, v from PyTorch's
  default U(+-1 / sqrt(bottleneck_dim)).

  Attributes:
    num_layers: layers before the prototypes.
    hidden_dim: width of all of them but the last.
    bottleneck_dim: width of the normalised vector.
    out_dim: K, number of prototypes.
    norm_last_layer: keep g at 1; otherwise it is the parameter `scale`.
    use_bn: a BatchNorm, over all views of the global batch, before each GELU.
    dtype: type of the Dense layers; norms and the prototypes are float32.
  """

  num_layers: int = 3
  hidden_dim: int = 2048
  bottleneck_dim: int = 256
  out_dim: int = 65536
  norm_last_layer: bool = True
  use_bn: bool = False
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(
    self, features: jax.Array, *, train: bool, axis_name: str | None = None
  ) -> jax.Array:
    """Maps features [..., D] to logits float32 [..., K].

    Args:
      features: of the encoder.
      train: use batch statistics in BatchNorm.
      axis_name: mapped device axis, or None in the global view.
    """
    x = features
    for i in range(self.num_layers):
      last = i == self.num_layers - 1
      x = nn.Dense(
        self.bottleneck_dim if last else self.hidden_dim,
        dtype=self.dtype,
        kernel_init=nn.initializers.normal(0.02),
        name=f'dense_{i}',
      )(x)
      if last:
        break
      if self.use_bn:
        norm = BatchNorm(dtype=self.dtype, name=f'bn_{i}')
        x = norm(x, train=train, axis_name=axis_name)
      x = nn.gelu(x, approximate=False)
    x = x.astype(jnp.float32)
    # PyTorch's `F.normalize`: a lower bound on the norm, not on its square.
    x = x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
    return Prototypes(self.out_dim, self.norm_last_layer, name='last_layer')(x)


class Prototypes(nn.Module):
  """Weight-normed Dense layer without bias: y_k = g_k (v_k / |v_k|) . x.

  Attributes:
    out_dim: K.
    unit: keep every g_k at 1; otherwise it is the parameter `scale` [1, K].
  """

  out_dim: int
  unit: bool

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps float32 [b, D] to float32 [b, K]."""
    kernel = self.param(
      'kernel',
      initializers.torch_kernel,
      (x.shape[-1], self.out_dim),
      jnp.float32,
    )
    kernel = kernel / jnp.linalg.norm(kernel, axis=0, keepdims=True)
    if not self.unit:
      ones = nn.initializers.ones
      kernel *= self.param('scale', ones, (1, self.out_dim), jnp.float32)
    return x @ kernel


class Linear(nn.Module):
  """Linear classifier `features @ kernel + bias`, in float32.

  Attributes:
    num_classes: K.
    kernel_init: normal(0.01) as MoCo's linear probe; SimCLR starts from zeros.
  """

  num_classes: int
  kernel_init: nn.initializers.Initializer = nn.initializers.normal(0.01)

  @nn.compact
  def __call__(
    self,
    features: jax.Array,
    *,
    train: bool = False,
    axis_name: str | None = None,
  ) -> jax.Array:
    """Returns logits float32 [b, K] for features [b, D].

    Args:
      features: of the encoder.
      train: unused; part of every head's signature.
      axis_name: unused; part of every head's signature.
    """
    del train, axis_name
    return nn.Dense(self.num_classes, kernel_init=self.kernel_init, name='fc')(
      features.astype(jnp.float32)
    )
