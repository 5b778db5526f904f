#!/usr/bin/env bash
# Builds the image mdr-stream:local on bases made here, for a machine that has a Docker engine but can pull no image.
#
# Usage: build-local.sh [--again]
#
# The base to build on is Debian's minimal system (debootstrap) with this tree's Node and this machine's npm; the base to
# run on has the libraries that Node is linked to, certificates of CAs, and nothing else: no shell.
# Needs root, debootstrap and docker (Debian: apt-get install debootstrap docker.io). What is there is left as it is,
# unless --again is given.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
exists() { docker image inspect "$1" >/dev/null 2>&1; }
if [ "${1:-}" != --again ] && exists mdr-stream:local; then exit 0; fi
node=$root/node_modules/node/bin/node
[ -x "$node" ] || { echo "run 'npm ci' first" >&2; exit 3; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! exists mdr-build-base:local; then
  command -v debootstrap >/dev/null || { echo "debootstrap is missing (apt-get install debootstrap)" >&2; exit 3; }
  # The release that this machine runs, from where this machine's packages come from.
  . /etc/os-release
  [ "$ID" = debian ] || VERSION_CODENAME=bookworm
  mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | head -1 || true)
  echo "making a Debian $VERSION_CODENAME with Node, a minute or two" >&2
  # shellcheck disable=SC2086
  if ! debootstrap --variant=minbase --include=ca-certificates,libstdc++6 "$VERSION_CODENAME" "$work/build" \
    ${mirror:-http://deb.debian.org/debian} >"$work/log" 2>&1; then
    tail -5 "$work/log" >&2
    exit 3
  fi
  rm -rf "$work"/build/var/cache/apt/archives/*.deb "$work"/build/var/lib/apt/lists/*
  mkdir -p "$work/build/usr/local/lib/node_modules"
  cp "$node" "$work/build/usr/local/bin/node"
  cp -r "$(npm root -g)/npm" "$work/build/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$work/build/usr/local/bin/npm"
  # CAs that this machine trusts besides, such as that of a proxy before the registry of packages.
  cp -L /etc/ssl/certs/ca-certificates.crt "$work/build/etc/ssl/certs/ca-certificates.crt"
  tar -C "$work/build" -c . | docker import --change 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' - mdr-build-base:local >/dev/null
fi

if ! exists mdr-run-base:local; then
  mkdir -p "$work/run/etc/ssl/certs" "$work/run/tmp" "$work/run/work"
  chmod 1777 "$work/run/tmp"
  echo 'mdr:x:65532:65532::/work:/sbin/nologin' >"$work/run/etc/passwd"
  cp -L /etc/ssl/certs/ca-certificates.crt "$work/run/etc/ssl/certs/"
  ldd "$node" | grep -oE '/[^ ]+' | sort -u | while read -r library; do
    install -D "$(readlink -f "$library")" "$work/run$library"
  done
  tar -C "$work/run" -c . | docker import - mdr-run-base:local >/dev/null
fi

"$root/docker/build.sh" mdr-stream:local mdr-build-base:local mdr-run-base:local >"$work/log" 2>&1 || { tail -30 "$work/log" >&2; exit 3; }
