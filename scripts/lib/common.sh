# shellcheck shell=bash
# Shared by the scripts in this folder's parent: messages, locks, and the cleanup at the end.
# To be sourced by bash with `set -euo pipefail`.

# The scripts do the same for every caller, in every directory and language. The tests run in the caller's language.
caller_language=${LC_ALL:-C}
export LC_ALL=C
unset CDPATH GREP_OPTIONS POSIXLY_CORRECT BASH_ENV ENV TAR_OPTIONS

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
program=$(basename "$0")

# npm must not print messages of its own.
export NPM_CONFIG_UPDATE_NOTIFIER=false

say() {
  printf '%s\n' "$program: $*" >&2
}

die() {
  say "$@"
  exit 1
}

undo_steps=()

# undo_at_end COMMAND...: runs when the script ends, however it ends, the latest first.
undo_at_end() {
  undo_steps+=("$(printf '%q ' "$@")")
}

undo_everything() {
  local status=$? step
  # A second signal must not interrupt the cleanup after the first one.
  trap '' HUP INT TERM
  set +e
  while [ "${#undo_steps[@]}" -gt 0 ]; do
    step=${undo_steps[-1]}
    unset 'undo_steps[-1]'
    eval "$step"
  done
  exit "$status"
}

trap undo_everything EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Runs a command so that a signal to the script ends both at once, because bash handles no signal while a command runs
# in the foreground.
interruptible() {
  local child status=0
  "$@" &
  child=$!
  undo_at_end end_child "$child"
  wait "$child" || status=$?
  unset 'undo_steps[-1]'
  return "$status"
}

end_child() {
  kill -TERM "$1" 2>/dev/null && wait "$1" 2>/dev/null
}

# take_lock FD MODE FILE: MODE is -s or -x. Reports if another process holds the lock.
take_lock() {
  flock "$2" -n "$1" && return
  say "waiting for another run ($3)"
  interruptible flock "$2" "$1"
}

is_root() {
  [ "$(id -u)" -eq 0 ]
}
