#!/usr/bin/env bash
# CPython 3.8.18, 3.10.13, 3.11.7, 3.12.1 and 3.13.0 (Linux), seen on 2026-11-29.
#
# A program catches the KeyboardInterrupt of a Ctrl-C and ends with
# `sys.exit(42)`. The interrupt came while a string was executed by `exec`, as
# the making of a dataclass or a namedtuple does.
#
# One would guess: its exit code is 42.
# Seen: `python FILE` ends with 42. `python -m MODULE` kills itself by SIGINT at
# its end (130 in a shell, -2 in `subprocess`): CPython notes in `exec` that an
# interrupt was not handled, and looks at the note when the module has ended,
# although it was caught outside. `os._exit(42)` gives 42.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/stopped.py" <<'PY'
import os
import signal
import sys

# A script in the background ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
  exec('os.kill(os.getpid(), signal.SIGINT)')
except KeyboardInterrupt:
  pass
(os._exit if sys.argv[1:] else sys.exit)(42)
PY
cd "$folder"
python=${PYTHON:-python3}
code_of() { "$@" && echo 0 || echo $?; }
file=$(code_of "$python" stopped.py)
module=$(code_of "$python" -m stopped)
at_once=$(code_of "$python" -m stopped at_once)
echo "file $file, module $module, module by os._exit $at_once"
[ "$file $module $at_once" = '42 130 42' ]
