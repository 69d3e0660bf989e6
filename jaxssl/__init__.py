"""jaxssl: pre-train visual encoders without labels, in JAX."""

from typing import Any

__version__ = '0.1.0'
_OF_API = ('embed', 'load', 'pretrain')


def __getattr__(name: str) -> Any:
  """Returns `load`, `pretrain` and `embed` of `jaxssl.api`.

  When they are used: `import jaxssl` alone takes no JAX.
  """
  if name not in _OF_API:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  from jaxssl import api

  return getattr(api, name)
