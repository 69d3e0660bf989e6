"""Configs that compare methods: one data set, encoder and length for all."""

from collections.abc import Mapping
import dataclasses

from jaxssl import defaults
from jaxssl.config import Config
from jaxssl.methods import METHODS
from jaxssl.methods.entry import Sections


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
  """The recipes of all methods for one data set, encoder and length.

  A method gets the defaults of `--method`; `shared` replaces single keys of
  them, and so does the method's row of `recipes`, where a section with a name
  stands for itself: nothing is left in it of the defaults.

  Attributes:
    shared: sections of every method; `encoder` and `data` with their names,
      `augment` with the size, `train` with `epochs` and `batch_size`.
    recipes: method -> sections that differ, from the source that is compared
      with.
    needed: method -> keys of its section `method` that have no default.
  """

  shared: Sections
  recipes: Mapping[str, Sections]
  needed: Sections = dataclasses.field(default_factory=dict)

  @property
  def methods(self) -> tuple[str, ...]:
    """The methods that take no text and train this encoder."""
    encoder = self.shared['encoder']['name']
    return tuple(
      name
      for name, row in METHODS.items()
      if row.text_encoder is None and row.takes(encoder)
    )

  def config(self, method: str) -> Config:
    """Returns the sections of a method that differ from the constructors'.

    Args:
      method: one of `methods`.
    """
    shared, own = self.shared, self.recipes.get(method, {})
    train = {**shared['train'], **own.get('train', {})}
    config = defaults.default_config(
      method,
      shared['encoder']['name'],
      shared['data']['name'],
      defaults.Asked(
        epochs=train['epochs'],
        batch_size=train['batch_size'],
        image_size=shared['augment']['size'],
      ),
    )
    # Whatever lies under that name here.
    config['data'] = {}
    for name, keys in shared.items():
      config[name] = {**config.get(name, {}), **keys}
    config['method'] |= self.needed.get(method, {})
    for name, keys in own.items():
      kept = shared if 'name' in keys else config
      config[name] = {**kept.get(name, {}), **keys}
    return config
