#!/usr/bin/env bash
# All that is to be measured on a GPU, in one go: the training step of each
# family beside PyTorch, cuDNN's attention beside XLA's, SimCLR on CIFAR-10
# beside lightly's figures. Writes rows (JSON lines), logs and a page, gpu.md.
#
#   ./benchmarks/gpu.sh [--out DIR] [--minutes N] [--data_name NAME] [--data_dir DIR]
#   ./benchmarks/gpu.sh --dry_run     tiny shapes on the CPU: does it all run?
#
# --out is runs/gpu, --minutes (of CIFAR-10) 60, the data TFDS's cifar10 in its
# usual folder. Needs PyTorch with CUDA, torchvision, timm, lightly and open_clip
# beside jaxssl[cuda]. PYTHON=.venv/bin/python by default. A benchmark, or a row
# of one, that fails is reported, the others are run nevertheless; the exit code
# is then 1.
set -euo pipefail
cd "$(dirname "$0")/.."
source launch/dry_run.sh # for `stop`

python=${PYTHON:-.venv/bin/python}
out=runs/gpu
minutes=60
data=(--data_name cifar10)
command="./benchmarks/gpu.sh $*"
while [ $# -gt 0 ]; do
  case $1 in
    --dry_run) dry_run=1 && shift && continue ;;
    --out | --minutes | --data_name | --data_dir) ;;
    *) stop "$1 is no option; --dry_run, --out, --minutes, --data_name and --data_dir are" ;;
  esac
  [ $# -gt 1 ] || stop "give $1 a value"
  case $1 in
    --out) out=$2 ;;
    --minutes) minutes=$2 ;;
    *) data+=("$1" "$2") ;;
  esac
  shift 2
done

if [ "$dry_run" = 1 ]; then
  export JAX_PLATFORMS=cpu CUDA_VISIBLE_DEVICES=
  # Much is compiled here and little computed.
  export XLA_FLAGS="--xla_backend_optimization_level=0\
 --xla_llvm_disable_expensive_passes=true ${XLA_FLAGS:-}"
  title='Dry run of the GPU benchmarks on a CPU'
  note='Tiny shapes: the figures say only that everything runs.'
  step=(--device cpu --repeats 1 --steps 2)
  attention=(--device cpu --repeats 2 --calls 2)
  cifar10=(--minutes 0.1 --data_name digits --batch_size 64 --width 0.125
    --speed_steps 4 --log_steps 1 --dtype float32)
else
  export JAX_PLATFORMS=cuda
  "$python" -c 'import jax; jax.devices()' 2> /dev/null ||
    stop "JAX finds no GPU. Drivers: nvidia-smi; JAX: pip install\
 'jaxssl[cuda]'; without a GPU: --dry_run"
  "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' \
    2> /dev/null || stop "PyTorch is not installed or finds no GPU; install\
 torch for CUDA, or try --dry_run"
  JAX_PLATFORMS=cpu "$python" -c \
    'import timm, lightly.loss, lightly.models, open_clip' 2> /dev/null ||
    stop "timm, lightly or open_clip cannot be imported; pip install\
 torchvision timm lightly open_clip_torch"
  title='On a GPU'
  note=''
  step=()
  attention=()
  cifar10=(--minutes "$minutes" "${data[@]}")
fi

# A run of CIFAR-10 that is there already would be continued, not timed.
[ ! -e "$out" ] || stop "$out is there already; give another --out"
mkdir -p "$out"
code=0

measure() { # MODULE ARGUMENTS ...: runs a benchmark, whatever the others did
  local module=$1 name=${1##*.}
  shift
  "$python" -m "benchmarks.$module" --out "$out/$name.jsonl" "$@" 2>&1 |
    tee "$out/$name.log" || code=1
}

measure speed.gpu_step "${step[@]}"
measure speed.attention "${attention[@]}"
measure quality.cifar10 --workdir "$out/cifar10" "${cifar10[@]}"
"$python" -m benchmarks.report.table "$out"/{gpu_step,attention,cifar10}.jsonl \
  --title "$title" --command "$command" --note "$note" --out "$out/gpu.md"
echo "wrote $out/gpu.md"
exit "$code"
