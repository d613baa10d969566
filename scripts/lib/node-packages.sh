# shellcheck shell=bash
# Checks Node, installs the packages of the lock file, and builds: each only if that is not done already.

require_node() {
  local version
  if ! { command -v node && command -v npm; } >/dev/null; then
    die "Node.js 20.19 or newer with npm is needed, and there is none on the PATH"
  fi
  version=$(node -p 'process.versions.node')
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    die "Node.js 20.19 or newer is needed; this is $version ($(command -v node))"
}

# Installs and builds the checkout, and keeps a shared lock on it in descriptor 8: a process that wants to change it
# waits until no other uses it.
require_build() {
  find_owner
  "${as_owner[@]}" mkdir -p .cache
  "${as_owner[@]}" touch .cache/lock
  exec 8<"$checkout/.cache/lock"
  take_lock 8 -s "$checkout/.cache/lock"
  if is_installed && is_built; then return; fi
  take_lock 8 -x "$checkout/.cache/lock"
  is_installed || install_node_packages
  is_built || build
  take_lock 8 -s "$checkout/.cache/lock"
}

release_build() {
  exec 8<&-
}

# Sets the words that make a command run in the checkout as its owner: with sudo, new files belong to the owner as well.
# These are words and not a function, so that a signal reaches the command itself.
find_owner() {
  local owner home
  owner=$(stat -c %u "$checkout")
  as_owner=(env -C "$checkout")
  if is_root && [ "$owner" != 0 ]; then
    home=$(getent passwd "$owner" | cut -d: -f6) || :
    # A checkout that a container sees may belong to a user whom only the machine outside knows.
    if [ -n "$home" ]; then
      as_owner=(setpriv "--reuid=$owner" "--regid=$(id -g "$owner")" --init-groups env -C "$checkout" "HOME=$home")
    else
      as_owner=(setpriv "--reuid=$owner" "--regid=$(stat -c %g "$checkout")" --clear-groups
        env -C "$checkout" "HOME=$checkout/.cache")
    fi
  fi
}

digest() {
  sha256sum | cut -c 1-16
}

packages_wanted() {
  { cat "$checkout/package-lock.json"; node -p 'process.versions.modules'; } | digest
}

build_wanted() {
  (cd "$checkout" && packages_wanted && cat tsconfig.json tsconfig.build.json scripts/bundle-execa.js && find src -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum) | digest
}

is_installed() {
  [ "$(cat "$checkout/node_modules/.pitrtools-stamp" 2>/dev/null)" = "$(packages_wanted)" ]
}

is_built() {
  [ "$(cat "$checkout/dist/.pitrtools-stamp" 2>/dev/null)" = "$(build_wanted)" ]
}

install_node_packages() {
  # The developer's own `npm install` of this lock file is as good.
  if ! { [ -d "$checkout/node_modules" ] && in_checkout npm ls --all >/dev/null 2>&1; }; then
    say "installing the npm packages of package-lock.json"
    in_checkout npm ci --ignore-scripts --no-fund --no-audit --loglevel=error >&2 || die "npm ci failed"
  fi
  packages_wanted | "${as_owner[@]}" tee node_modules/.pitrtools-stamp >/dev/null
}

# With `build_may_complain` set, type errors are shown, but the compiler's output is used all the same: for a developer
# who runs one test in the middle of a change.
build() {
  say "building"
  if ! in_checkout npm run --silent build >&2; then
    [ "${build_may_complain:-}" ] || die "the build failed"
    say "continuing with a build that has errors"
    return
  fi
  build_wanted | "${as_owner[@]}" tee dist/.pitrtools-stamp >/dev/null
}

in_checkout() {
  interruptible "${as_owner[@]}" "$@" </dev/null 8<&-
}
