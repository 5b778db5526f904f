#!/usr/bin/env bash
# Copies files of this machine into the root of a container's file system, each to its own path, and with a program or
# library what it is linked to; besides, the CAs that this machine trusts, and /tmp.
#
# Usage: file-system.sh ROOT FILE...
set -euo pipefail
root=$1
shift

put() { install -D "$(readlink -f "$1")" "$root$1"; }
libraries() { ldd "$1" 2>/dev/null | grep -oE '/[^ ]+' || true; }

for file in "$@"; do
  put "$file"
  for library in $(libraries "$file"); do put "$library"; done
done
put /etc/ssl/certs/ca-certificates.crt
mkdir -p "$root/tmp"
chmod 1777 "$root/tmp"
