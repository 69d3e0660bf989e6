# Sourced by the scripts beside it: `run COMMAND ...` prints the command with
# --dry_run, and runs it otherwise.

dry_run=0

run() {
  if [ "$dry_run" = 1 ]; then
    printf '%q ' "$@"
    printf '\n'
  else
    "$@"
  fi
}

stop() { # MESSAGE: what is wrong and what would be right
  echo "$(basename "$0"): $1" >&2
  exit 2
}
