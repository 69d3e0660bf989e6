"""What the rest of the package knows about a method: one row of a table."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

from flax import linen as nn

from jaxssl.methods.base import Method

# Keys of a section of a config, and sections by name.
Keys = Mapping[str, Any]
Sections = Mapping[str, Keys]


def unknown(method: Any, rows: int) -> None:
  """The loss of guessing depends on the pictures."""
  del method, rows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tiny:
  """The smallest instance of a method that still learns, in numbers.

  Trial runs and tests of all methods use it. Tests give it 16 rows of 16x16
  pixels, four labels, and texts of six out of 32 tokens.

  Attributes:
    initial_loss: the loss that theory expects of it at random weights.
    tolerance: how far the first loss may be from that, as a share of it (as a
      number if it is 0); features at initialisation are not independent.
    learning_rate: a rate of plain SGD that is small enough for two orders of
      summation to give the same parameters after four steps.
    method: keys of section `method`.
    head: keys of section `head`.
    encoder: keys of section `encoder`, with its name, for a method that does
      not take every encoder.
  """

  initial_loss: float
  tolerance: float = 0.15
  learning_rate: float = 0.02
  method: Keys = dataclasses.field(default_factory=dict)
  head: Keys = dataclasses.field(default_factory=dict)
  encoder: Keys = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
  """Names and numbers of a method; nothing else needs to be told of it.

  A layer above `methods` (the command line, pictures, benchmarks, tests) finds
  here what it must know, by name, so that a method never imports it.

  Attributes:
    make: its constructor, whose fields are the keys of section `method`.
    recipe: its augmentation, a key of `augment.recipes.RECIPES`.
    config: name of its small config in `configs/`.
    tiny: its smallest instance.
    head: constructor of its head, whose fields are the keys of section `head`;
      None for a method that has none, or makes it itself.
    text_encoder: name of its text tower where a config names none; None for a
      method that takes no text.
    starts_trained: whether a run can start from a trained encoder; a method
      whose encoder is no use without what was trained beside it cannot.
    only_encoder: what the name of an encoder must have in it, where the method
      does not take every one: `'vit'` for what hides patches.
    encoder: its encoder where none is named; a vision transformer is a smaller
      one of smaller patches for small pictures and on CPUs.
    resnet: keys of section `encoder` that it wants of a ResNet.
    vit: keys of section `encoder` that it wants of a vision transformer.
    defaults: keys of other sections that differ from the constructors'
      defaults where the user names only method, encoder and data.
    small: the same for pictures of 32x32 pixels, and few of them.
    few: the same for few pictures of any size.
    optim: keys of section `optim`, those of its paper for AdamW.
    vit_optim: the same with a vision transformer.
    any_size: whether the side of its views may follow the data and the device;
      if not, they have 224 pixels (32 of small pictures).
    num_views: views of an image that it needs at least.
    pair: whether it compares two views, of one size, and takes no others.
    needs_rgb: whether its views must be RGB in [0, 1], not normalised.
    only_rgb: whether it learns from colours, and so from RGB alone.
    needs_pixels: whether it also needs the view before normalisation.
    panel: `module.function` in `pictures/` that shows what it has learned.
    guessing: (method, images of a batch) -> the loss of an answer that does not
      look at the picture (`methods.guessing`); None where it depends on the
      pictures. A loss well below it says that something has been learned.
  """

  make: Callable[..., Method]
  recipe: str
  config: str
  tiny: Tiny
  head: Callable[..., nn.Module] | None = None
  text_encoder: str | None = None
  starts_trained: bool = True
  only_encoder: str | None = None
  encoder: str = 'resnet18'
  resnet: Keys = dataclasses.field(default_factory=dict)
  vit: Keys = dataclasses.field(default_factory=dict)
  defaults: Sections = dataclasses.field(default_factory=dict)
  small: Sections = dataclasses.field(default_factory=dict)
  few: Sections = dataclasses.field(default_factory=dict)
  optim: Keys = dataclasses.field(default_factory=dict)
  vit_optim: Keys = dataclasses.field(default_factory=dict)
  any_size: bool = True
  num_views: int = 1
  pair: bool = False
  needs_rgb: bool = False
  only_rgb: bool = False
  needs_pixels: bool = False
  panel: str | None = None
  guessing: Callable[[Any, int], float | None] = unknown

  def takes(self, encoder: str) -> bool:
    """Returns whether the method trains an encoder of this name."""
    return self.only_encoder is None or self.only_encoder in encoder
