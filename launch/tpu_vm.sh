#!/usr/bin/env bash
# A Cloud TPU slice (v2 to v6e) from nothing to a finished run, with gcloud.
#
#   export TPU_NAME=mae ZONE=us-central1-a ACCELERATOR_TYPE=v5litepod-16 \
#     RUNTIME_VERSION=v2-alpha-tpuv5-lite
#   ./launch/tpu_vm.sh create     SPOT=1: may be taken away; QUEUED=1: waits its turn
#   ./launch/tpu_vm.sh setup      copies this checkout to every worker and installs it
#   ./launch/tpu_vm.sh run --config configs/mae_vit_b16_imagenet.py --workdir DIR
#   ./launch/tpu_vm.sh status | logs | delete
#   ./launch/tpu_vm.sh babysit --config ... --workdir DIR
#                                 all of these, again and again until exit 0
#   ./launch/tpu_vm.sh --dry_run COMMAND ...    prints what it would run
#
# PROJECT: if it is not gcloud's own. RETRY_SECONDS=60: pause of babysit.
# DIR must be reached from all workers and outlive the slice, so that a new one
# goes on where the last one stopped. TPU7x and later are not served by this
# API: use Compute Engine or GKE.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/dry_run.sh
if [ "${1:-}" = --dry_run ]; then
  dry_run=1
  shift
fi

tpu() { # VERB ARGUMENT ...: of gcloud's tpu-vm
  local verb=$1
  shift
  run gcloud compute tpus tpu-vm "$verb" "$TPU_NAME" --zone "$ZONE" \
    ${PROJECT:+--project "$PROJECT"} "$@"
}

on_workers() { # COMMAND
  tpu ssh --worker=all --command "$1"
}

create() {
  local kind=(--accelerator-type "$ACCELERATOR_TYPE")
  if [ "${QUEUED:-0}" = 1 ]; then
    run gcloud compute tpus queued-resources create "$TPU_NAME" \
      --node-id "$TPU_NAME" --zone "$ZONE" ${PROJECT:+--project "$PROJECT"} \
      "${kind[@]}" --runtime-version "$RUNTIME_VERSION" ${spot:+"$spot"}
  else
    tpu create "${kind[@]}" --version "$RUNTIME_VERSION" ${spot:+"$spot"}
  fi
}

setup() {
  local archive=/tmp/jaxssl-$$.tar
  run git archive --output "$archive" HEAD
  run gcloud compute tpus tpu-vm scp "$archive" "$TPU_NAME:jaxssl.tar" \
    --zone "$ZONE" ${PROJECT:+--project "$PROJECT"} --worker=all
  run rm -f "$archive"
  on_workers 'mkdir -p jaxssl && tar -xf jaxssl.tar -C jaxssl && cd jaxssl &&
 { [ -d .venv ] || python3 -m venv .venv; } &&
 .venv/bin/pip install --quiet --editable ".[data,tpu]"'
}

train() { # ARGUMENT ...: of jaxssl train
  [ $# -gt 0 ] || stop "run and babysit need the arguments of jaxssl train"
  local quoted
  quoted=$(printf '%q ' "$@")
  on_workers "cd jaxssl && set -o pipefail &&
 JAX_PLATFORMS=tpu .venv/bin/jaxssl train $quoted 2>&1 | tee -a train.log"
}

state() {
  gcloud compute tpus tpu-vm describe "$TPU_NAME" --zone "$ZONE" \
    ${PROJECT:+--project "$PROJECT"} --format 'value(state)' 2> /dev/null || true
}

delete() {
  if [ "${QUEUED:-0}" = 1 ]; then
    run gcloud compute tpus queued-resources delete "$TPU_NAME" \
      --zone "$ZONE" ${PROJECT:+--project "$PROJECT"} --force --quiet
  else
    tpu delete --quiet
  fi
}

babysit() {
  [ $# -gt 0 ] || stop "run and babysit need the arguments of jaxssl train"
  if [ "$dry_run" = 1 ]; then
    create
    setup
    train "$@"
    delete
    return
  fi
  local code is_set_up=0
  while true; do
    case $(state) in
      READY)
        if [ "$is_set_up" = 0 ] && setup; then is_set_up=1; fi
        if [ "$is_set_up" = 1 ]; then
          code=0
          train "$@" || code=$?
          # 2: the command itself is wrong, and stays so.
          case $code in 0 | 2) return "$code" ;; esac
          echo "ended with $code; once more" >&2
        fi
        ;;
      '')
        is_set_up=0
        create || true
        ;;
      PREEMPTED | SUSPENDED | TERMINATED | FAILED)
        is_set_up=0
        delete || true
        ;;
    esac
    sleep "${RETRY_SECONDS:-60}"
  done
}

for name in TPU_NAME ZONE ACCELERATOR_TYPE RUNTIME_VERSION; do
  [ -n "${!name:-}" ] || stop "set $name; the top of this file has an example"
done
case $ACCELERATOR_TYPE in
  v[0-6]*) ;;
  *) stop "$ACCELERATOR_TYPE is not served by the Cloud TPU API; from TPU7x on\
 use Compute Engine or GKE" ;;
esac
spot=
[ "${SPOT:-0}" = 0 ] || spot=--spot
command=${1:-}
shift || true
case $command in
  create | setup | delete | babysit) "$command" "$@" ;;
  run) train "$@" ;;
  status) tpu describe --format 'value(state,health)' ;;
  logs) tpu ssh --worker=0 --command 'tail -n 50 -F jaxssl/train.log' ;;
  *) stop "unknown command '$command'; known: create, setup, run, status, logs,\
 babysit, delete" ;;
esac
