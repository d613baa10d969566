# shellcheck shell=bash
# Installs the Debian packages that the tests and the demo need. An installation here must not start a new service, or
# make one start with the machine.

newest_postgres_bin() {
  printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1
}

# Prints the packages that are missing, one a line.
missing_debian_packages() {
  local bin
  bin=$(newest_postgres_bin)
  [ -x /usr/bin/rsync ] || echo rsync
  [ -x /usr/bin/ssh ] || echo openssh-client
  [ -x /usr/sbin/sshd ] || echo openssh-server
  [ -x /usr/bin/zstd ] || echo zstd
  [ -x /usr/sbin/ip ] || [ -x /sbin/ip ] || [ -x /usr/bin/ip ] || echo iproute2
  if ! { [ -x "$bin/psql" ] && [ -x "$bin/pgbench" ] && [ -x "$bin/pg_archivecleanup" ]; }; then
    echo postgresql
  fi
  # Only for the tests of what monitoring reads: want_monitoring=1, exported.
  if [ -n "${want_monitoring-}" ]; then
    [ -x /usr/bin/promtool ] || echo prometheus
    [ -x /usr/bin/prometheus-node-exporter ] || echo prometheus-node-exporter
  fi
}

require_debian_packages() {
  local missing
  mapfile -t missing < <(missing_debian_packages)
  [ "${#missing[@]}" -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null; then
    die "these packages are missing, and there is no apt-get to install them: ${missing[*]}"
  fi
  if is_root; then
    install_debian_packages "${missing[@]}"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n bash -c 'set -euo pipefail; . "$1/common.sh"; . "$1/debian-packages.sh"; shift; install_debian_packages "$@"' \
      "$program" "$checkout/scripts/lib" "${missing[@]}"
  else
    say "these packages are missing: ${missing[*]}"
    say "install them and start this again:"
    printf '  su -c "apt-get update && apt-get install --no-install-recommends %s"\n' "${missing[*]}" >&2
    say "or run scripts/setup as root: that way nothing of theirs is started or enabled"
    exit 1
  fi
}

install_debian_packages() {
  local before after
  exec 7>/run/lock/pitrtools-install.lock
  take_lock 7 -x /run/lock/pitrtools-install.lock
  # The run that we waited for may have installed them.
  if [ -n "$(missing_debian_packages)" ]; then
    say "installing from Debian's packages: $*"
    before=$(installed_packages)
    keep_services_as_they_are
    apt_install "$@"
    restore_services
    after=$(installed_packages)
    say "installed: $(comm -13 <(echo "$before") <(echo "$after") | paste -sd ' ')"
    say "no service was started or enabled"
  fi
  exec 7>&-
}

installed_packages() {
  dpkg-query -W -f '${db:Status-Abbrev}${Package}=${Version}\n' | sed -n 's/^ii //p' | LC_ALL=C sort
}

apt_install() {
  local options=(-q -y --no-install-recommends -o DPkg::Lock::Timeout=600)
  export DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFOLD=1
  if ! apt-get -s "${options[@]}" install "$@" >/dev/null 2>&1; then
    apt_quietly apt-get -q -o DPkg::Lock::Timeout=600 update
  fi
  # Package lists that are older than the archive name files that have gone since.
  apt_quietly apt-get "${options[@]}" install "$@" || {
    apt_quietly apt-get -q -o DPkg::Lock::Timeout=600 update
    apt_quietly apt-get "${options[@]}" install "$@"
  } || die "apt-get could not install $*"
}

# apt-get is not interrupted: a half-installed package is worse than a late end.
apt_quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null 7>&- || status=$?
  [ "$status" -eq 0 ] || tail -n 30 "$log" >&2
  rm -f "$log"
  return "$status"
}

# offer_packages PACKAGE...: what cannot be installed is left out, and its name is shown; the run continues.
offer_packages() {
  [ $# -gt 0 ] || return 0
  if ! command -v apt-get >/dev/null; then
    say "left out, because there is no apt-get to install them: $*"
  elif is_root; then
    install_offered "$@"
  else
    say "left out: $* (run this as root once to have them installed, or install them yourself)"
  fi
}

install_offered() {
  local before after package
  exec 7>/run/lock/pitrtools-install.lock
  take_lock 7 -x /run/lock/pitrtools-install.lock
  say "installing from Debian's packages: $*"
  before=$(installed_packages)
  keep_services_as_they_are
  for package in "$@"; do
    # In a subshell, because apt_install ends the script that it fails in.
    (apt_install "$package") || say "left out: $package cannot be had here"
  done
  restore_services
  after=$(installed_packages)
  say "installed: $(comm -13 <(echo "$before") <(echo "$after") | paste -sd ' ')"
  say "no service was started or enabled"
  exec 7>&-
}

# Programs that check our own packages. Without them the tests skip these checks.
offer_package_checkers() {
  local missing=()
  [ -x /usr/bin/lintian ] || missing+=(lintian)
  [ -x /usr/bin/mandoc ] || missing+=(mandoc)
  offer_packages "${missing[@]}"
}

# A real cluster of Patroni: its tests are skipped where these cannot be had.
offer_patroni() {
  local missing=()
  [ -x /usr/bin/patroni ] || missing+=(patroni)
  [ -x /usr/bin/etcd ] || missing+=(etcd-server)
  offer_packages "${missing[@]}"
}

policy_file=/usr/sbin/policy-rc.d
policy_mark='made by pitrtools while it installs packages'
cluster_conf=/etc/postgresql-common/createcluster.conf

keep_services_as_they_are() {
  undo_at_end restore_services
  services_before=$(enabled_services)
  # A run that was killed may have left its file.
  if [ -e "$policy_file" ] && grep -q "$policy_mark" "$policy_file"; then rm -f "$policy_file"; fi
  if [ ! -e "$policy_file" ]; then
    printf '#!/bin/sh\n# %s\nexit 101\n' "$policy_mark" >"$policy_file"
    chmod 755 "$policy_file"
  fi
  if [ ! -e "$cluster_conf" ] && ! dpkg-query -W -f '${db:Status-Status}' postgresql-common 2>/dev/null | grep -qx installed; then
    mkdir -p "$(dirname "$cluster_conf")"
    printf '# %s\ncreate_main_cluster = false\n' "$policy_mark" >"$cluster_conf"
  fi
}

restore_services() {
  [ -n "${services_before+known}" ] || return 0
  if [ -e "$policy_file" ] && grep -q "$policy_mark" "$policy_file"; then rm -f "$policy_file"; fi
  if [ -e "$cluster_conf" ] && grep -q "$policy_mark" "$cluster_conf"; then restore_cluster_conf; fi
  disable_new_services
  unset services_before
}

# Makes what the package itself would have made: if the admin installs the server later, it gets its main cluster.
restore_cluster_conf() {
  if [ -e /usr/share/postgresql-common/createcluster.conf ]; then
    cp /usr/share/postgresql-common/createcluster.conf "$cluster_conf"
  else
    rm -f "$cluster_conf"
    rmdir --ignore-fail-on-non-empty "$(dirname "$cluster_conf")"
  fi
}

# The links by which systemd or init start a service when the machine starts.
enabled_services() {
  find /etc/systemd/system /etc/rc?.d -type l \
    \( -path '/etc/rc*/S*' -o -path '/etc/systemd/*' \) 2>/dev/null | LC_ALL=C sort
}

disable_new_services() {
  local link new
  mapfile -t new < <(comm -13 <(echo "$services_before") <(enabled_services))
  for link in "${new[@]}"; do
    case $link in
      # Keeps the link as one that stops the service, which later upgrades of the package respect.
      /etc/rc?.d/S*) update-rc.d "$(basename "$link" | sed 's/^S[0-9]*//')" disable >/dev/null 2>&1 || : ;;
      # deb-systemd-helper takes a missing link for the admin's decision.
      /etc/systemd/*) rm -f "$link" ;;
    esac
  done
  if [ "${#new[@]}" -gt 0 ] && [ -d /run/systemd/system ]; then systemctl daemon-reload || :; fi
}
