"""CIE L*a*b* of sRGB images, and back.

White is D65 of the 2-degree observer. Sums are written out: a matrix product
would lose digits on accelerators that multiply in bfloat16.
"""

import jax
import jax.numpy as jnp

Matrix = tuple[tuple[float, float, float], ...]

# Linear sRGB -> XYZ and back (IEC 61966-2-1, as scikit-image has it).
_RGB_TO_XYZ = (
  (0.412453, 0.357580, 0.180423),
  (0.212671, 0.715160, 0.072169),
  (0.019334, 0.119193, 0.950227),
)
_XYZ_TO_RGB = (
  (3.24048134, -1.53715152, -0.49853633),
  (-0.96925495, 1.87599, 0.04155593),
  (0.05564664, -0.20404134, 1.05731107),
)
_WHITE = (0.95047, 1.0, 1.08883)
# Where the cube root goes over into a line: (6 / 29)^3 and its image.
_KNEE, _ROOT_KNEE = 0.008856, 0.2068966
_SLOPE, _OFFSET = 7.787, 16.0 / 116.0


def rgb_to_lab(rgb: jax.Array) -> jax.Array:
  """Returns L*a*b* of sRGB.

  L = 116 f(Y / Yn) - 16, a = 500 (f(X / Xn) - f(Y / Yn)),
  b = 200 (f(Y / Yn) - f(Z / Zn)), with f the cube root, a line below 0.008856.

  Args:
    rgb: [..., 3] in [0, 1]; what lies outside is clipped.

  Returns:
    float32 [..., 3]: L in [0, 100], a in [-87, 99], b in [-108, 95].

  References:
    CIE 15:2004; equal to `skimage.color.rgb2lab`.
  """
  rgb = jnp.clip(rgb.astype(jnp.float32), 0.0, 1.0)
  linear = jnp.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
  x, y, z = (
    _compress(value / white)
    for value, white in zip(_mix(_RGB_TO_XYZ, linear), _WHITE, strict=True)
  )
  return jnp.stack([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], -1)


def lab_to_rgb(lab: jax.Array) -> jax.Array:
  """Returns sRGB of L*a*b*, the inverse of `rgb_to_lab`.

  Args:
    lab: [..., 3].

  Returns:
    float32 [..., 3] in [0, 1]; colours outside of sRGB are clipped, each
    channel on its own.
  """
  lab = lab.astype(jnp.float32)
  y = (lab[..., 0] + 16.0) / 116.0
  x, z = y + lab[..., 1] / 500.0, y - lab[..., 2] / 200.0
  xyz = jnp.stack(
    [_expand(f) * w for f, w in zip((x, y, z), _WHITE, strict=True)], axis=-1
  )
  linear = jnp.clip(jnp.stack(_mix(_XYZ_TO_RGB, xyz), axis=-1), 0.0, 1.0)
  return jnp.where(
    linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear
  )


def _mix(matrix: Matrix, values: jax.Array) -> tuple[jax.Array, ...]:
  """Returns the three entries of matrix @ values [..., 3]."""
  first, second, third = (values[..., i] for i in range(3))
  return tuple(a * first + b * second + c * third for a, b, c in matrix)


def _compress(t: jax.Array) -> jax.Array:
  # CIE's line for dark colours, where the root would be infinitely steep.
  return jnp.where(t > _KNEE, jnp.cbrt(t), _SLOPE * t + _OFFSET)


def _expand(f: jax.Array) -> jax.Array:
  return jnp.where(f > _ROOT_KNEE, f**3, (f - _OFFSET) / _SLOPE)
