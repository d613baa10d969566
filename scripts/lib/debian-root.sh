# shellcheck shell=bash
# Makes the directory of a whole Debian, with what a database host has before pitrtools comes: PostgreSQL's server, rsync, sshd and
# systemd's tools. It is made once, by debootstrap, in the cache that all checkouts and runs share. Nothing of it runs on this machine.

all_debians='12,13'
default_debian=12

# use_debian RELEASE: what it is made of. Its Node.js is older than ours may be, or is that of the packages. A host of the test
# reaches no archive: what apt would fetch for our packages is there.
use_debian() {
  debian_release=$1
  case $debian_release in
    12) debian_suite=bookworm debian_server=15 debian_node=libatomic1 ;;
    13) debian_suite=trixie debian_server=17 debian_node=nodejs ;;
    *) die "there is no test on Debian $1: $all_debians" ;;
  esac
  debian_includes=("postgresql-$debian_server" rsync openssh-server systemd "$debian_node")
}

# Sets debian_root. Fails, after it has shown the reason, where it cannot be had.
find_debian_root() {
  find_package_cache
  debian_root=$package_cache/debian-$debian_release-$(debian_root_digest)
  [ ! -d "$debian_root" ] || return 0
  command -v debootstrap >/dev/null || offer_packages debootstrap
  command -v debootstrap >/dev/null || return 1
  exec 7>"$package_cache/lock.debian"
  take_lock 7 -x "$package_cache/lock.debian"
  if [ ! -d "$debian_root" ]; then make_debian_root || return 1; fi
  exec 7>&-
}

# Another way to make it makes a new one.
debian_root_digest() {
  { echo "$debian_suite" "${debian_includes[@]}"; declare -f make_debian_root first_stage second_stage; } | digest
}

make_debian_root() {
  local mirror new=$package_cache/new.debian log=$package_cache/new.debian.log
  mirror=$(debian_mirror)
  if [ -z "$mirror" ]; then
    say "the sources of apt name no archive of Debian"
    return 1
  fi
  say "making $debian_root from Debian's packages"
  # We hold the lock, so no process uses the leftovers of a killed run.
  rm -rf --one-file-system "$new" "$log"
  undo_at_end rm -rf --one-file-system "$new" "$log"
  export_proxy
  if ! { first_stage "$mirror" "$new" && second_stage "$new"; } >"$log" 2>&1; then
    tail -n 15 "$log" "$new/debootstrap/debootstrap.log" >&2 || :
    say "debootstrap failed, or took longer than ten minutes (its last lines are above)"
    return 1
  fi
  rm -rf "$new"/var/cache/apt/archives/*.deb "$new/usr/sbin/policy-rc.d" "$new/etc/postgresql-common/createcluster.conf" "$log"
  mv -T "$new" "$debian_root"
  unset 'undo_steps[-1]'
}

# The archive that apt uses here, whatever the release of this machine.
debian_mirror() {
  local list=(apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' 'Origin: Debian' 'Label: Debian') found
  found=$("${list[@]}" 2>/dev/null)
  if [ -z "$found" ]; then
    apt_quietly apt-get -q -o DPkg::Lock::Timeout=600 update || :
    found=$("${list[@]}" 2>/dev/null)
  fi
  head -n 1 <<<"$found"
}

# What apt's own settings say; the environment has the other way to say it.
export_proxy() {
  local of_apt=
  eval "$(apt-config shell of_apt Acquire::http::Proxy)"
  case $of_apt in
    '' | DIRECT) ;;
    *) export http_proxy=$of_apt ;;
  esac
}

# alone NAMESPACE... -- COMMAND...: what it mounts and starts ends with it, and it ends with us.
alone() {
  supervised setpriv --pdeathsig KILL unshare --mount --pid --ipc --fork --mount-proc --kill-child --propagation private "$@" 7>&-
}

# Fetches the packages, and unpacks the essential ones. An archive that cannot be reached does not hold up the other tests.
first_stage() {
  local includes
  includes=$(printf ',%s' "${debian_includes[@]}")
  alone timeout 600 debootstrap --foreign --variant=minbase "--include=${includes#,}" "$debian_suite" "$2" "$1"
}

# Installs them, without a network: what a package starts is refused, and would reach nothing. Each host makes a cluster of its own.
second_stage() {
  printf '#!/bin/sh\nexit 101\n' >"$1/usr/sbin/policy-rc.d"
  chmod 755 "$1/usr/sbin/policy-rc.d"
  mkdir -p "$1/etc/postgresql-common" "$1/etc/dpkg/dpkg.cfg.d"
  echo 'create_main_cluster = false' >"$1/etc/postgresql-common/createcluster.conf"
  # Nobody needs a half-made directory after a crash: it is made anew.
  echo force-unsafe-io >"$1/etc/dpkg/dpkg.cfg.d/unsafe-io"
  alone --net env -i LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    chroot "$1" /debootstrap/debootstrap --second-stage
}
