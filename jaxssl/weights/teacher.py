"""Reads the encoder that another learns to imitate."""

import os

from jaxssl import errors
from jaxssl.methods.teacher import Teacher
from jaxssl.weights.exported import export_of, load_encoder


def load_teacher(directory: str | os.PathLike[str]) -> Teacher:
  """Reads a teacher.

  Args:
    directory: workdir of `jaxssl train` or `jaxssl import`, or a folder of an
      exported encoder.

  Raises:
    UserError: it is not there, or damaged.
  """
  try:
    exported = load_encoder(export_of(directory))
  except errors.UserError as error:
    raise errors.UserError(
      f'method.teacher: {error}; give the workdir of `jaxssl train` or `jaxssl '
      'import`'
    ) from error
  return Teacher(
    encoder=exported.encoder,
    variables=exported.variables,
    mean=exported.mean,
    std=exported.std,
  )
