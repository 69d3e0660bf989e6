"""Which picture shows what a method has learned to do."""

from collections.abc import Callable

from jaxssl.pictures import puzzles, reconstruction
from jaxssl.pictures.panel import Panel

# Name of the method -> (method, params, state, images, augment) -> its picture.
METHOD_PANELS: dict[str, Callable[..., Panel]] = {
  'beit': reconstruction.beit_panel,
  'colorization': reconstruction.colorization_panel,
  'dvae': reconstruction.dvae_panel,
  'jigsaw': puzzles.jigsaw_panel,
  'mae': reconstruction.mae_panel,
  'relative_patch': puzzles.relative_patch_panel,
  'rotation': puzzles.rotation_panel,
}
