#!/usr/bin/env bash
# A run on GKE from `gke_jobset.yaml`, with kubectl.
#
#   export NAME=mae IMAGE=REGION-docker.pkg.dev/PROJECT/REPO/jaxssl:TAG
#   TPU=tpu-v5-lite-podslice TOPOLOGY=4x4 PROCESSES=4 CHIPS=4 \
#     ./launch/gke.sh create --config configs/... --workdir /runs/mae
#   GPU=nvidia-h100-80gb PROCESSES=2 CHIPS=8 \
#     ./launch/gke.sh create --config ...    CHIPS=1: one process per GPU
#   ./launch/gke.sh status | logs | delete
#   ./launch/gke.sh --dry_run create ...     prints what it would apply
#
# CHIPS: of one process. CLAIM=jaxssl-runs: persistent volume claim, mounted at
# /runs, that all pods can write. MAX_RESTARTS=20. The image: launch/Dockerfile.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/dry_run.sh
if [ "${1:-}" = --dry_run ]; then
  dry_run=1
  shift
fi

create() { # ARGUMENT ...: of jaxssl train
  [ $# -gt 0 ] || stop "create needs the arguments of jaxssl train"
  need IMAGE PROCESSES CHIPS
  case ${TPU:+tpu}${GPU:+gpu} in
    tpu) need TOPOLOGY ;;
    gpu) ;;
    *) stop "set either TPU (and TOPOLOGY) or GPU, the node pool's accelerator" ;;
  esac
  local manifest
  manifest=$("${PYTHON:-python3}" launch/gke_render.py "$@")
  if [ "$dry_run" = 1 ]; then
    run kubectl apply --filename -
    printf '%s\n' "$manifest"
  else
    printf '%s\n' "$manifest" | kubectl apply --filename -
  fi
}

need() { # VARIABLE ...
  local variable
  for variable in "$@"; do
    [ -n "${!variable:-}" ] || stop "set $variable; the top of this file has an example"
  done
}

need NAME
command=${1:-}
shift || true
case $command in
  create) create "$@" ;;
  status)
    run kubectl get jobset "$NAME"
    run kubectl get pods --selector "jobset.sigs.k8s.io/jobset-name=$NAME"
    ;;
  logs)
    run kubectl logs --follow --prefix --selector \
      "jobset.sigs.k8s.io/jobset-name=$NAME,batch.kubernetes.io/job-completion-index=0"
    ;;
  delete) run kubectl delete jobset "$NAME" ;;
  *) stop "unknown command '$command'; known: create, status, logs, delete" ;;
esac
