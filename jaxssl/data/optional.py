"""Libraries that only the input pipeline needs, imported when first used."""

import importlib
import os
import types

from jaxssl.errors import UserError

_LEVEL, _OF_JAX = 'TF_CPP_MIN_LOG_LEVEL', '1'


def require(module: str, *, extra: str) -> types.ModuleType:
  """Imports a library that belongs to an extra of the package.

  Args:
    module: name to import.
    extra: the extra of `jaxssl` that installs it.

  Returns:
    The module.

  Raises:
    UserError: if it is not installed; the message says how to install it.
  """
  try:
    return importlib.import_module(module)
  except ModuleNotFoundError as error:
    raise UserError(
      f'{module} is not installed; pip install "jaxssl[{extra}]"'
    ) from error


def tensorflow() -> types.ModuleType:
  """Imports TensorFlow for work on the host only.

  TensorFlow would reserve the whole memory of every GPU that it sees.

  Returns:
    The module `tensorflow`.
  """
  # oneDNN changes nothing here but prints a line on every start.
  os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
  # Its messages about pictures come as exceptions too, and are told then. JAX
  # sets 1 when it is imported, where nobody has chosen before.
  if os.environ.get(_LEVEL, _OF_JAX) == _OF_JAX:
    os.environ[_LEVEL] = '3'
  tf = require('tensorflow', extra='data')
  tf.config.set_visible_devices([], 'GPU')
  return tf
