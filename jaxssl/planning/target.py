"""What a step is compiled for: chips that are not there, and their compiler."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
  """Devices of one kind; they need not be there.

  Attributes:
    name: as the user says it.
    devices: devices from `jax` or `jax.experimental.topologies`, neighbours
      first.
    limit: bytes that a program may use of a chip, where the compiler does not
      know it; None where compilation fails instead.
    options: options of the compiler.
  """

  name: str
  devices: tuple[Any, ...]
  limit: float | None = None
  options: dict[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def num_chips(self) -> int:
    """Returns how many chips there are."""
    return len(self.devices)
