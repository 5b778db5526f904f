#!/usr/bin/env bash
# Builds images of Kafka and of the schema registry for a machine that has a Docker engine but can pull no image.
#
# Usage: build-local-image.sh [--again]
#
# They are made of Debian's minimal system with a Java runtime (debootstrap) and of the jars that `mdr kafka` fetches,
# and are started as apache/kafka and apicurio/apicurio-registry are: properties in /mnt/shared/config, CLUSTER_ID and
# KAFKA_HEAP_OPTS; QUARKUS_* and APICURIO_* variables. Then
#
#   export MDR_KAFKA_IMAGE=mdr-kafka-local MDR_REGISTRY_IMAGE=mdr-registry-local
#   mdr kafka up --provider docker
#
# Needs root, debootstrap and docker (Debian: apt-get install debootstrap docker.io), Maven and Java for the jars.
# What is there already is left as it is, unless --again is given.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
PATH=$root/node_modules/.bin:$PATH

exists() { docker image inspect "$1" >/dev/null 2>&1; }
if [ "${1:-}" != --again ] && exists mdr-kafka-local && exists mdr-registry-local; then exit 0; fi
command -v debootstrap >/dev/null || { echo "debootstrap is missing (apt-get install debootstrap)" >&2; exit 3; }

jars=$root/.kafka/jars
(cd "$root" && node --input-type=module -e "
  import { fetchJars } from '#services/platform/kafka-provider/jars.ts';
  await fetchJars((text) => process.stderr.write(text + '\\n'));
")

# The release that this machine runs, from where this machine's packages come from.
. /etc/os-release
[ "$ID" = debian ] || VERSION_CODENAME=bookworm
mirror=$(grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | head -1 || true)
system=$(mktemp -d)
trap 'rm -rf "$system"' EXIT
echo "making a Debian $VERSION_CODENAME with Java, a minute or two" >&2
# shellcheck disable=SC2086
if ! debootstrap --variant=minbase --include=openjdk-17-jre-headless "$VERSION_CODENAME" "$system" ${mirror:-http://deb.debian.org/debian} \
  >"$system.log" 2>&1; then
  tail -5 "$system.log" >&2
  exit 3
fi
rm -rf "$system".log "$system"/var/cache/apt/archives/*.deb "$system"/var/lib/apt/lists/*

mkdir -p "$system/opt" "$system/mnt/shared/config" "$system/var/lib/kafka/data" "$system/var/lib/registry"
cp -r "$jars"/kafka-* "$system/opt/kafka"
cat >"$system/opt/start" <<'END'
#!/bin/sh
set -e
properties=/mnt/shared/config/server.properties
java -XX:TieredStopAtLevel=1 -cp '/opt/kafka/*' kafka.tools.StorageTool format --ignore-formatted -t "$CLUSTER_ID" -c $properties
exec java $KAFKA_HEAP_OPTS -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp '/opt/kafka/*' kafka.Kafka $properties
END
chmod +x "$system/opt/start"
import() { tar -C "$system" -c . | docker import --change 'ENTRYPOINT ["/opt/start"]' - "$1" >/dev/null; }
import mdr-kafka-local

rm -rf "$system/opt/kafka"
cp -r "$jars"/apicurio-* "$system/opt/registry"
printf '#!/bin/sh\nexec java -Xmx256m -XX:TieredStopAtLevel=1 -jar /opt/registry/*-runner.jar\n' >"$system/opt/start"
import mdr-registry-local
