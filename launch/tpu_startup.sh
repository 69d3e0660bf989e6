# shellcheck shell=bash
# Runs as root on each worker of a slice whenever it starts. `tpu_vm.sh create`
# writes the lines before these: `archive`, where this checkout is, `result`,
# where the end of the run is told, and the arguments of `jaxssl train`.
set -euo pipefail
: "${archive:?}" "${result:?}"
mkdir -p "${JAXSSL_HOME:=/opt/jaxssl}"
cd "$JAXSSL_HOME"
gcloud storage cp "$archive" jaxssl.tar
tar -xf jaxssl.tar
[ -d .venv ] || python3 -m venv .venv
.venv/bin/pip install --quiet --editable '.[data,tpu]'
while true; do
  code=0
  ./launch/tpu_worker.sh "$@" || code=$?
  case $code in
    0 | 2)
      echo "$code" | gcloud storage cp - "$result"
      exit "$code"
      ;;
  esac
  sleep "${RETRY_SECONDS:-60}"
done
