#!/usr/bin/env bash
# Builds the image of all services and commands.
#
# Usage: docker/build.sh TAG BUILD_BASE@sha256:DIGEST RUN_BASE@sha256:DIGEST
#
# docker/build-local.sh makes bases of this machine's, where none can be pulled.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ $# = 3 ] || { sed -n '4p' "$0" | cut -c3- >&2; exit 2; }
for base in "$2" "$3"; do
  [[ $base =~ @sha256:[0-9a-f]{64}$ || $base == mdr-*-base:local ]] ||
    { echo "$base is not pinned: give it as NAME@sha256:DIGEST" >&2; exit 2; }
done
docker build --network host --file "$root/docker/Dockerfile" --tag "$1" \
  --build-arg BUILD_BASE="$2" --build-arg RUN_BASE="$3" "$root"
