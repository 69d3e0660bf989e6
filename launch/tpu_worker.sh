#!/usr/bin/env bash
# On a worker of a TPU slice: trains, once nothing else holds the chips.
# `tpu_vm.sh` calls it on all of them; the arguments are those of `jaxssl train`.
#
# A Python that was killed leaves /tmp/libtpu_lockfile behind, and no other one
# starts. The file is removed here only if no living process holds it or a chip.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/dry_run.sh
if [ "${1:-}" = --dry_run ]; then
  dry_run=1
  shift
fi
[ $# -gt 0 ] || stop "give the arguments of jaxssl train"

lock=${LIBTPU_LOCKFILE:-/tmp/libtpu_lockfile}
chips=("$lock")
for path in /dev/accel* /dev/vfio/[0-9]*; do
  [ ! -e "$path" ] || chips+=("$path")
done
if [ -e "$lock" ] && [ "$dry_run" = 0 ]; then
  if ! command -v lsof > /dev/null; then
    echo "$lock exists, and without lsof nobody can tell who holds it" >&2
    exit 1
  fi
  # lsof fails where nobody holds any of them.
  holders=$(sudo lsof -t "${chips[@]}" 2> /dev/null | sort -u | xargs || true)
  if [ -n "$holders" ]; then
    echo "the TPU is held by process(es) $holders; end them first" >&2
    exit 1
  fi
  echo "nobody holds $lock: removing it" >&2
  sudo rm -f "$lock"
fi
train=(env JAX_PLATFORMS=tpu "${PYTHON:-.venv/bin/python}" -m jaxssl train "$@")
if [ "$dry_run" = 1 ]; then
  run "${train[@]}"
else
  "${train[@]}" 2>&1 | tee -a train.log
fi
