#!/usr/bin/env bash
# Builds images of Kafka and of the schema registry for a machine that has a Docker engine but can pull no image.
#
# Usage: build-local-image.sh [--again]
#
# They are made of this machine's shell and Java, and of the jars that `mdr kafka` fetches, and are started as
# apache/kafka and apicurio/apicurio-registry are: properties in /mnt/shared/config, CLUSTER_ID and KAFKA_HEAP_OPTS;
# QUARKUS_* and APICURIO_* variables. Then
#
#   export MDR_KAFKA_IMAGE=mdr-kafka-local MDR_REGISTRY_IMAGE=mdr-registry-local
#   mdr kafka up --provider docker
#
# Needs Java 17 or later, and Maven for the jars.
# What is there already is left as it is, unless --again is given.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
PATH=$root/node_modules/.bin:$PATH

exists() { docker image inspect "$1" >/dev/null 2>&1; }
if [ "${1:-}" != --again ] && exists mdr-kafka-local && exists mdr-registry-local; then exit 0; fi
command -v java >/dev/null || { echo "there is no Java (apt-get install openjdk-17-jre-headless)" >&2; exit 3; }

jars=$root/.kafka/jars
(cd "$root" && node --input-type=module -e "
  import { fetchJars } from '#services/platform/kafka-provider/jars.ts';
  await fetchJars((text) => process.stderr.write(text + '\\n'));
")

system=$(mktemp -d)
trap 'rm -rf "$system"' EXIT
java=$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")
mkdir -p "$system$java"
# What Debian has as links into /etc is copied; sources, where they are, are of no use.
tar -C "$java" --exclude=src.zip -ch bin/java conf lib | tar -C "$system$java" -x
mapfile -t libraries < <(find "$java/lib" -name '*.so')
"$root/docker/file-system.sh" "$system" /bin/sh "$java/bin/java" "${libraries[@]}"

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
import() {
  tar -C "$system" -c . |
    docker import --change 'ENTRYPOINT ["/opt/start"]' --change "ENV PATH=$java/bin:/bin" - "$1" >/dev/null
}
import mdr-kafka-local

rm -rf "$system/opt/kafka"
cp -r "$jars"/apicurio-* "$system/opt/registry"
printf '#!/bin/sh\nexec java -Xmx256m -XX:TieredStopAtLevel=1 -jar /opt/registry/*-runner.jar\n' >"$system/opt/start"
import mdr-registry-local
