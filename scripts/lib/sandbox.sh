# shellcheck shell=bash
# Runs a command as an unprivileged user in a directory of its own, so that nothing remains, however the run
# ends. If the kernel allows it, the command gets its own process, mount and IPC namespaces: every process ends
# with them, /tmp is a directory of the run, and there are small disks to fill.
#
# PostgreSQL, sshd and our programs refuse root, and the checkout may lie where only root can read: for root
# the run works on a copy.

test_user=pitrtools-test

# Sets run_dir, run_checkout, run_user.
make_sandbox() {
  choose_user
  run_dir=$(mktemp -d /var/tmp/pitr.XXXXXX)
  undo_at_end remove_sandbox
  mkdir -m 1777 "$run_dir/tmp"
  mkdir "$run_dir/home" "$run_dir/disks"
  if is_root; then
    run_checkout=$run_dir/checkout
    copy_checkout
    own_node
    chown -R "$run_user:" "$run_dir"
  else
    run_checkout=$checkout
    run_node=$(command -v node)
  fi
}

choose_user() {
  run_user=$(id -un)
  is_root || return 0
  if has_usable_shell postgres; then
    run_user=postgres
  else
    getent passwd "$test_user" >/dev/null || {
      useradd --system --no-create-home --home-dir /nonexistent --shell /bin/sh "$test_user"
      say "created the system user $test_user"
    }
    run_user=$test_user
  fi
  say "running as user $run_user: PostgreSQL, sshd and pitrtools refuse root"
}

has_usable_shell() {
  local shell
  shell=$(getent passwd "$1" | cut -d: -f7)
  [ -x "$shell" ] && [ "${shell##*/}" != nologin ] && [ "${shell##*/}" != false ]
}

copy_checkout() {
  mkdir "$run_checkout"
  tar -C "$checkout" --exclude=./.git --exclude=./.cache -cf - . | tar -C "$run_checkout" --no-same-owner -xf -
}

# Node may be installed below /root.
own_node() {
  run_node=$(readlink -f "$(command -v node)")
  if ! setpriv --reuid="$run_user" --regid="$(id -g "$run_user")" --init-groups "$run_node" -e 0 2>/dev/null; then
    mkdir "$run_dir/bin"
    cp "$run_node" "$run_dir/bin/node"
    run_node=$run_dir/bin/node
  fi
}

remove_sandbox() {
  end_processes_of "$run_dir"
  rm -rf --one-file-system "$run_dir"
}

# in_sandbox COMMAND...: runs it in the run's checkout.
in_sandbox() {
  local inside=("$checkout/scripts/lib/inside-sandbox" "$(id -u "$run_user")" "$(id -g "$run_user")" "$run_dir" "$run_checkout")
  local environment
  sandbox_environment
  if has_namespaces; then
    # The kernel ends the first process of the namespace, and so all of them, when we die by any signal.
    supervised setpriv --pdeathsig KILL "${namespaces[@]}" "${inside[@]}" namespaces "${environment[@]}" "$@"
  else
    supervised "${inside[@]}" plain "${environment[@]}" "$@"
  fi
}

has_namespaces() {
  namespaces=(unshare --mount --pid --ipc --fork --mount-proc --kill-child --propagation private)
  is_root || namespaces+=(--user --map-root-user)
  # Some container runtimes allow the namespace, but not the mounts.
  "${namespaces[@]}" bash -c 'mount -t tmpfs tmpfs /mnt' 2>/dev/null && return
  say "no namespaces here: tests that need a small disk are skipped, and the end of a run depends on this script"
  return 1
}

# A clean environment: only the variables that the tests name, and the language that they are to run in.
sandbox_environment() {
  local name
  environment=(
    "PATH=$(dirname "$run_node"):/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
    "HOME=$run_dir/home" "USER=$run_user" "LOGNAME=$run_user" "LANG=C.UTF-8" "LC_ALL=$caller_language" "NPM_CONFIG_UPDATE_NOTIFIER=false"
  )
  for name in $(compgen -v | grep -E '^(PITRTOOLS_.*|CI|TERM|NO_COLOR|FORCE_COLOR|NODE_EXTRA_CA_CERTS|https?_proxy|HTTPS?_PROXY|no_proxy|NO_PROXY)$'); do
    environment+=("$name=${!name}")
  done
}

supervised() {
  local child status=0
  "$@" </dev/null 8<&- &
  child=$!
  undo_at_end end_supervised "$child"
  wait "$child" || status=$?
  unset 'undo_steps[-1]'
  return "$status"
}

# When the first process of a namespace ends, all others end, and then its parent.
end_supervised() {
  local first=''
  read -r first _ 2>/dev/null <"/proc/$1/task/$1/children"
  kill -KILL "${first:-$1}" 2>/dev/null
  wait "$1" 2>/dev/null
}

# For machines without namespaces: ends every process that works in a directory or names it.
end_processes_of() {
  local rounds=5 left
  while left=$(processes_of "$1") && [ -n "$left" ] && [ "$((rounds -= 1))" -gt 0 ]; do
    xargs -r kill -KILL 2>/dev/null <<<"$left"
    sleep 0.2
  done
}

processes_of() {
  local entry pid
  for entry in /proc/[0-9]*; do
    pid=${entry#/proc/}
    if [ "$pid" = $$ ] || [ "$pid" = "$BASHPID" ]; then continue; fi
    case "$(readlink "$entry/cwd" 2>/dev/null) $(tr '\0' ' ' 2>/dev/null <"$entry/cmdline") $(tr '\0' ' ' 2>/dev/null <"$entry/environ")" in
      *"$1"*) echo "$pid" ;;
    esac
  done
}
