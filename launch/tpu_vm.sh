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
#                                 all of these, again and again until exit 0 or 2
#   ./launch/tpu_vm.sh --dry_run COMMAND ...    prints what it would run
#
# With BUCKET=gs://NAME/FOLDER, `create` takes the arguments of `jaxssl train`
# too: each worker then fetches this checkout from there and trains by itself
# whenever it starts, with no terminal open; `babysit` only makes a slice again
# that was taken away.
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

queued() { # VERB ARGUMENT ...: of gcloud's queued-resources
  local verb=$1
  shift
  run gcloud compute tpus queued-resources "$verb" "$TPU_NAME" --zone "$ZONE" \
    ${PROJECT:+--project "$PROJECT"} "$@"
}

on_workers() { # COMMAND
  tpu ssh --worker=all --command "$1"
}

new_folder() { # whose name nobody can know before and put files of theirs at
  if [ "$dry_run" = 1 ]; then
    echo /tmp/tmp.XXXXXXXXXX
  else
    mktemp -d
  fi
}

create() { # ARGUMENT ...: of jaxssl train, with BUCKET
  local kind=(--accelerator-type "$ACCELERATOR_TYPE" ${spot:+"$spot"})
  local folder startup
  if [ -n "$bucket" ]; then
    need_arguments "$@"
    folder=$(new_folder)
    startup=$folder/startup.sh
    send_startup_script "$@"
    kind+=(--metadata-from-file "startup-script=$startup")
  fi
  local code=0
  if [ "$is_queued" = 1 ]; then
    queued create --node-id "$TPU_NAME" --runtime-version "$RUNTIME_VERSION" \
      "${kind[@]}" || code=$?
  else
    tpu create --version "$RUNTIME_VERSION" "${kind[@]}" || code=$?
  fi
  [ -z "$bucket" ] || run rm -rf "$folder"
  return "$code"
}

send_startup_script() { # ARGUMENT ...: of jaxssl train; of `create`
  local archive=$folder/jaxssl.tar
  run git archive --output "$archive" HEAD
  run gcloud storage cp "$archive" "$bucket/$TPU_NAME.tar"
  # How an earlier run of this name has ended.
  run gcloud storage rm "$result" || true
  if [ "$dry_run" = 1 ]; then
    echo "# $startup:"
    startup_script "$@" | sed 's/^/#   /'
  else
    startup_script "$@" > "$startup"
  fi
}

startup_script() { # ARGUMENT ...: of jaxssl train
  printf '#!/usr/bin/env bash\n'
  printf 'archive=%q\nresult=%q\n' "$bucket/$TPU_NAME.tar" "$result"
  printf 'set --'
  printf ' %q' "$@"
  printf '\n'
  cat launch/tpu_startup.sh
}

setup() {
  local folder archive
  folder=$(new_folder)
  archive=$folder/jaxssl.tar
  run git archive --output "$archive" HEAD
  run gcloud compute tpus tpu-vm scp "$archive" "$TPU_NAME:jaxssl.tar" \
    --zone "$ZONE" ${PROJECT:+--project "$PROJECT"} --worker=all
  run rm -rf "$folder"
  on_workers 'mkdir -p jaxssl && tar -xf jaxssl.tar -C jaxssl && cd jaxssl &&
 { [ -d .venv ] || python3 -m venv .venv; } &&
 .venv/bin/pip install --quiet --editable ".[data,tpu]"'
}

train() { # ARGUMENT ...: of jaxssl train
  need_arguments "$@"
  on_workers "cd jaxssl && ./launch/tpu_worker.sh $(printf '%q ' "$@")"
}

need_arguments() {
  [ $# -gt 0 ] || stop "run, babysit, and create with BUCKET need the\
 arguments of jaxssl train"
}

state() {
  local describe=(gcloud compute tpus tpu-vm describe "$TPU_NAME")
  local field=state
  if [ "$is_queued" = 1 ]; then
    describe=(gcloud compute tpus queued-resources describe "$TPU_NAME")
    field=state.state
  fi
  "${describe[@]}" --zone "$ZONE" ${PROJECT:+--project "$PROJECT"} \
    --format "value($field)" 2> /dev/null || true
}

status() {
  if [ "$is_queued" = 1 ]; then
    queued describe --format 'value(state.state)'
  fi
  tpu describe --format 'value(state,health)'
}

delete() {
  if [ "$is_queued" = 1 ]; then
    queued delete --force --quiet
  else
    tpu delete --quiet
  fi
}

# On a slice that is there: sets `code` once the run has ended.
attend() {
  code=
  if [ -n "$bucket" ]; then
    code=$(gcloud storage cat "$result" 2> /dev/null || true)
    return
  fi
  if [ "$is_set_up" = 0 ]; then
    setup || return 0
    is_set_up=1
  fi
  code=0
  train "$@" || code=$?
}

babysit() {
  need_arguments "$@"
  if [ "$dry_run" = 1 ]; then
    create "$@"
    [ -n "$bucket" ] || { setup && train "$@"; }
    delete
    return
  fi
  local code is_set_up=0
  while true; do
    case $(state) in
      READY | ACTIVE)
        attend "$@"
        case $code in
          # 2: the command itself is wrong, and stays so.
          0 | 2) return "$code" ;;
          ?*) echo "ended with $code; once more" >&2 ;;
        esac
        ;;
      '')
        is_set_up=0
        create "$@" || true
        ;;
      PREEMPTED | SUSPENDED | TERMINATED | FAILED)
        is_set_up=0
        delete || true
        ;;
      # The rest waits: CREATING, ACCEPTED, WAITING_FOR_RESOURCES,
      # PROVISIONING, SUSPENDING, DELETING, ...
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
is_queued=${QUEUED:-0}
bucket=${BUCKET:-}
bucket=${bucket%/}
case $bucket in
  '' | gs://?*) ;;
  *) stop "BUCKET is $bucket; give gs://NAME/FOLDER" ;;
esac
result=$bucket/$TPU_NAME.exit
log=jaxssl/train.log
[ -z "$bucket" ] || log=/opt/jaxssl/train.log
command=${1:-}
shift || true
case $command in
  create | setup | status | delete | babysit) "$command" "$@" ;;
  run) train "$@" ;;
  logs) tpu ssh --worker=0 --command "tail -n 50 -F $log" ;;
  *) stop "unknown command '$command'; known: create, setup, run, status, logs,\
 babysit, delete" ;;
esac
