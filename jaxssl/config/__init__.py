"""Configs: as text, as sections of keys, and what each key can be."""

from jaxssl.config.text import (
  PREFIX,
  Config,
  config_hash,
  differences,
  flatten,
  from_json,
  load_file,
  parse_overrides,
  to_json,
  to_plain,
  unflatten,
)

__all__ = [
  'PREFIX',
  'Config',
  'config_hash',
  'differences',
  'flatten',
  'from_json',
  'load_file',
  'parse_overrides',
  'to_json',
  'to_plain',
  'unflatten',
]
