"""Images as rows of patches, and back."""

import jax

from jaxssl import errors


def patchify(images: jax.Array, patch_size: int) -> jax.Array:
  """Cuts images into square patches in reading order.

  Inside a patch the order is row, column, channel (channel fastest), as in
  MAE's code.

  Args:
    images: [b, H, W, C]; H and W divisible by `patch_size`.
    patch_size: p, side of a patch in pixels.

  Returns:
    [b, (H / p) (W / p), p p C].

  Raises:
    jaxssl.errors.UserError: if p does not divide H and W.
  """
  b, height, width, channels = images.shape
  p = patch_size
  if height % p or width % p:
    raise errors.UserError(
      f'images of {height}x{width} pixels do not divide into patches of {p}'
    )
  # [b, rows, p, columns, p, C], of which both sides of a patch go behind both
  # of the grid.
  x = images.reshape(b, height // p, p, width // p, p, channels)
  return x.transpose(0, 1, 3, 2, 4, 5).reshape(b, -1, p * p * channels)


def unpatchify(
  patches: jax.Array, patch_size: int, grid: tuple[int, int]
) -> jax.Array:
  """The inverse of `patchify`.

  Args:
    patches: [b, rows columns, p p C].
    patch_size: p, side of a patch in pixels.
    grid: (rows, columns) of patches.

  Returns:
    Images [b, rows p, columns p, C].
  """
  (rows, columns), p = grid, patch_size
  x = patches.reshape(len(patches), rows, columns, p, p, -1)
  x = x.transpose(0, 1, 3, 2, 4, 5)
  return x.reshape(len(patches), rows * p, columns * p, -1)
