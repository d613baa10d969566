# shellcheck shell=bash
# Prepares the machine for scripts/bench in addition to the needs of the tests: the tools to compare with, and a control
# group whose processor time the kernel counts.

# The package that contains each tool's command.
peers=(pgbackrest:pgbackrest barman-wal-archive:barman-cli)

offer_peers() {
  local missing
  mapfile -t missing < <(missing_peers)
  offer_packages "${missing[@]}"
}

missing_peers() {
  local peer bin
  for peer in "${peers[@]}"; do
    [ -x "/usr/bin/${peer%%:*}" ] || echo "${peer#*:}"
  done
  # repmgr is an extension of one major.
  bin=$(newest_postgres_bin)
  if [ -x "$bin/postgres" ] && ! [ -x "$bin/repmgr" ]; then
    echo "postgresql-$(basename "$(dirname "$bin")")-repmgr"
  fi
}

# Puts this script, and so all that it starts, into a control group of its own. Without the right to do so, the
# benchmark adds up the times in /proc.
count_processor_time() {
  local parent group=''
  for parent in /sys/fs/cgroup/cpuacct /sys/fs/cgroup; do
    [ -w "$parent/cgroup.procs" ] || continue
    group=$parent/pitrtools-bench.$$
    mkdir "$group" 2>/dev/null || continue
    undo_at_end leave_control_group "$parent" "$group"
    if echo $$ 2>/dev/null >"$group/cgroup.procs"; then
      for PITRTOOLS_BENCH_CPU in "$group/cpuacct.usage" "$group/cpu.stat"; do
        if [ -r "$PITRTOOLS_BENCH_CPU" ]; then
          export PITRTOOLS_BENCH_CPU
          return
        fi
      done
    fi
  done
  unset PITRTOOLS_BENCH_CPU
}

leave_control_group() {
  echo $$ 2>/dev/null >"$1/cgroup.procs"
  rmdir "$2" 2>/dev/null
}

revision() {
  git -C "$checkout" describe --always --dirty 2>/dev/null || echo unknown
}

# keep_results FROM TO: gives the files of the run to the owner of the checkout.
keep_results() {
  local file
  for file in "$1"/*; do
    [ -e "$file" ] || continue
    "${as_owner[@]}" mkdir -p "$2"
    "${as_owner[@]}" tee "$2/${file##*/}" <"$file" >/dev/null
    say "saved $2/${file##*/}"
  done
}

# The run's user may be unable to read the other checkout or a folder above it. As root, the benchmark therefore runs
# its programs from a copy.
offer_other_checkout() {
  PITRTOOLS_BENCH_AGAINST=$against
  if is_root; then
    PITRTOOLS_BENCH_AGAINST=$run_dir/against
    mkdir "$PITRTOOLS_BENCH_AGAINST"
    tar -C "$against" --exclude=./.git --exclude=./.cache -cf - . | tar -C "$PITRTOOLS_BENCH_AGAINST" --no-same-owner -xf -
    chown -R "$run_user:" "$PITRTOOLS_BENCH_AGAINST"
  fi
  export PITRTOOLS_BENCH_AGAINST
}
