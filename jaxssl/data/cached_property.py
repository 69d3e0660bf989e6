"""A property that is computed once, which protocols know for a property."""

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
  # Type checkers do not take a `functools.cached_property` for the property
  # that a protocol such as `Source` asks for.
  cached_property = property
else:
  cached_property = functools.cached_property
