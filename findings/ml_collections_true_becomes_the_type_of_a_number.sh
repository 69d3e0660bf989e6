#!/usr/bin/env bash
# ml_collections 1.1.0 (Python 3.11), seen on 2026-12-01.
#
# A `ConfigDict` keeps the type of a field: a text or a fraction for a number is
# a TypeError. Here a number is given True, as a flag without a value does.
#
# One would guess: a TypeError too, or 1, as an integer for a float becomes one.
# Seen: the field takes True, and its type is bool from then on: the number that
# it held before is a TypeError now.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" ml_collections==1.1.0
PYTHONPATH=$folder/site "${PYTHON:-python3}" - <<'PY'
from ml_collections import ConfigDict


def refuses(config, key, value):
  try:
    config[key] = value
  except TypeError:
    return True
  return False


config = ConfigDict({'steps': 1000, 'rate': 0.1})
assert refuses(config, 'steps', '5')
assert refuses(config, 'steps', 0.5)
config.rate = 1
assert isinstance(config.rate, float)
assert not refuses(config, 'steps', True)
print(f'steps: {config.steps!r}')
assert config.steps is True
assert refuses(config, 'steps', 1000)
PY
