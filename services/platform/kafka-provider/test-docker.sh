#!/usr/bin/env bash
# Runs the tests of Kafka on containers, and those of our image. An engine that answers is used; where none does, one is
# started from Debian's docker.io (needs root), without a network of its own, so that it starts inside a container too,
# and stopped at the end. Where the images cannot be pulled, build-local-image.sh makes them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
PATH=$root/node_modules/.bin:$PATH
work=$(mktemp -d)
engine=

finish() {
  status=$?
  if [ -n "$engine" ]; then
    kill "$engine" && wait "$engine" || true
    # The engine leaves the host's network namespace mounted here.
    umount "$work"/exec/netns/* 2>/dev/null || true
  fi
  rm -rf "$work"
  exit $status
}
trap finish EXIT

if ! docker version >/dev/null 2>&1; then
  command -v dockerd >/dev/null || { echo "there is no Docker engine (apt-get install docker.io)" >&2; exit 3; }
  mkdir -p "$root/.kafka"
  export DOCKER_HOST=unix://$work/docker.sock
  dockerd --iptables=false --ip6tables=false --bridge=none --host "$DOCKER_HOST" \
    --data-root "$root/.kafka/docker" --exec-root "$work/exec" --pidfile "$work/pid" >"$root/.kafka/dockerd.log" 2>&1 &
  engine=$!
  for _ in $(seq 300); do
    docker version >/dev/null 2>&1 && break
    kill -0 "$engine" 2>/dev/null || { tail -5 "$root/.kafka/dockerd.log" >&2; exit 3; }
    sleep 0.1
  done
fi

present() { docker image inspect "$1" >/dev/null 2>&1 || docker pull -q "$1" >/dev/null 2>&1; }
if ! present "${MDR_KAFKA_IMAGE:-apache/kafka:4.1.1}" || ! present "${MDR_REGISTRY_IMAGE:-apicurio/apicurio-registry:3.0.9}"; then
  "$here/build-local-image.sh"
  export MDR_KAFKA_IMAGE=mdr-kafka-local MDR_REGISTRY_IMAGE=mdr-registry-local
fi

unset KAFKA_BROKERS SCHEMA_REGISTRY_URL
export MDR_KAFKA_PROVIDER=docker MDR_KAFKA_DIR=$work/kafka
cd "$root"
vitest run --project kafka "${@:-services/platform/kafka-provider}"
docker/build-local.sh
MDR_IMAGE=mdr-stream:local vitest run --project rules docker
left=$(docker ps --all --quiet | wc -l)
[ "$left" = 0 ] || [ -z "$engine" ] || { echo "$left containers are left" >&2; exit 1; }
