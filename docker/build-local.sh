#!/usr/bin/env bash
# Builds the image mdr-stream:local on bases made here, for a machine that has a Docker engine but can pull no image.
#
# Usage: build-local.sh [--again]
#
# Both bases are made of this machine's files: the one to build on of a shell, this tree's Node and this machine's npm;
# the one to run on of the libraries that Node and the packages' own programs are linked to, certificates of CAs, and
# nothing else: no shell. Bases that are there are taken as they are, unless --again is given.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
node=$root/node_modules/node/bin/node
[ -x "$node" ] || { echo "run 'npm ci' first" >&2; exit 3; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
again=${1:-}
is_missing() { [ "$again" = --again ] || ! docker image inspect "$1" >/dev/null 2>&1; }
mapfile -t libraries < <(
  for file in "$node" "$root"/node_modules/@*/*/*.node; do ldd "$file"; done | grep -oE '/[^ ]+' | sort -u
)

if is_missing mdr-build-base:local; then
  "$root/docker/file-system.sh" "$work/build" "${libraries[@]}" \
    /bin/sh /usr/bin/env "$(command -v mkdir)" "$(command -v ln)" "$(command -v rm)"
  install -D "$node" "$work/build/usr/local/bin/node"
  mkdir -p "$work/build/usr/local/lib/node_modules"
  # Not `npm root -g`, which is below the Node that runs npm.
  cp -r "$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")" "$work/build/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/build/usr/local/bin/npm"
  tar -C "$work/build" -c . |
    docker import --change 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' - mdr-build-base:local >/dev/null
fi

if is_missing mdr-run-base:local; then
  "$root/docker/file-system.sh" "$work/run" "${libraries[@]}"
  echo 'mdr:x:65532:65532::/work:/sbin/nologin' >"$work/run/etc/passwd"
  tar -C "$work/run" -c . | docker import - mdr-run-base:local >/dev/null
fi

"$root/docker/build.sh" mdr-stream:local mdr-build-base:local mdr-run-base:local >"$work/log" 2>&1 || { tail -30 "$work/log" >&2; exit 3; }
