"""Which tile lies where: an encoder of tiles and a head over all of them."""

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.models.norm import BatchNorm
from jaxssl.ops.tokens import take_tokens


class PuzzleNet(nn.Module):
  """One shared encoder for n tiles of an image, one classifier for all n.

  Every tile is encoded on its own and projected to E numbers; the projections,
  in the order in question, go through Dense, BatchNorm, ReLU and Dense. Tiles
  do not see each other before that, so a tile is encoded once however many
  orders are asked about.

  This is the network of Kolesnikov et al. (Revisiting Self-Supervised Visual
  Representation Learning, 2019, https://arxiv.org/abs/1901.09005,
  google/revisiting-self-supervised) for both jigsaw and relative patch
  location; the original papers have the same shape with AlexNets. Deviation:
  no dropout before the logits.

  Attributes:
    encoder: module `(images, train, axis_name, keys) -> (features, out)`.
    num_classes: K.
    embed_dim: E, width of a tile's projection.
    hidden_dim: width of the layer over all tiles.
  """

  encoder: nn.Module
  num_classes: int
  embed_dim: int = 1000
  hidden_dim: int = 4096

  def __post_init__(self) -> None:
    """Raises `UserError` for a ViT that would fit tiles only."""
    learned = getattr(self.encoder, 'position', None) == 'learned'
    if learned and self.encoder.grid is None:
      raise errors.UserError(
        'a ViT that trains on tiles and later sees whole images needs '
        "encoder.position='sincos_mae', or the encoder.grid=(rows, columns) of "
        'patches in a tile for its learned positions'
      )
    super().__post_init__()

  @nn.compact
  def __call__(
    self,
    tiles: jax.Array,
    orders: jax.Array,
    *,
    train: bool,
    axis_name: str | None = None,
    keys: jax.Array | None = None,
  ) -> jax.Array:
    """Classifies m orders of the tiles of each image.

    Args:
      tiles: [b, n, p, p, 3], normalised.
      orders: int32 [b, m, n]; place i of an order shows tile `orders[..., i]`.
      train: use batch statistics, drop paths.
      axis_name: mapped device axis, or None in the global view.
      keys: typed PRNG keys [b, n], needed only for drop path in training.

    Returns:
      Logits float32 [b, m, K].
    """
    b, n, *shape = tiles.shape
    m = orders.shape[1]
    # To the encoder a tile is a row.
    keys = None if keys is None else keys.reshape(-1)
    features, _ = self.encoder(
      tiles.reshape(b * n, *shape), train, axis_name, keys
    )
    # Once a tile, before tiles are put in m orders.
    x = nn.Dense(self.embed_dim, name='embed')(features)
    x = take_tokens(x.reshape(b, n, -1), orders.reshape(b, -1))  # [b, m n, E]
    x = x.reshape(b * m, n * self.embed_dim)
    # BatchNorm would take a bias out.
    x = nn.Dense(self.hidden_dim, use_bias=False, name='hidden')(x)
    x = BatchNorm(name='bn')(x, train=train, axis_name=axis_name)
    x = nn.Dense(
      self.num_classes,
      kernel_init=nn.initializers.normal(0.01),
      name='logits',
    )(nn.relu(x))
    return x.astype(jnp.float32).reshape(b, m, -1)
