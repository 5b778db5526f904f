import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MdrError } from '#core/errors.ts';
import { withLock } from './lock.ts';
import { jarsDirectory } from './places.ts';

export const KAFKA_VERSION = '4.1.1';
export const REGISTRY_VERSION = '3.0.9';
const JAVA_MIN = 17;
/** Later ones read the parent of the registry's POM, which is not in Maven Central. */
const PLUGIN_VERSION = '2.8';
const OUTPUT_LINES_SHOWN = 5;

/** Directories: Kafka's jars, and the registry's with its runner. */
export type Jars = { kafka: string; registry: string };

export const java = (): string =>
  process.env.JAVA_HOME === undefined ? 'java' : join(process.env.JAVA_HOME, 'bin', 'java');

/** What is missing to run Kafka by Java here, or undefined. Maven is needed the first time only. */
export function missingForJava(): string | undefined {
  const { stderr } = spawnSync(java(), ['-version'], { encoding: 'utf8' });
  const version = /version "(?:1\.)?(\d+)/.exec(stderr ?? '');
  if (version === null) return `Java ${JAVA_MIN} or later is not installed`;
  if (Number(version[1]) < JAVA_MIN) return `Java is ${version[1]}, and ${JAVA_MIN} or later is needed`;
  if (!areHere() && spawnSync('mvn', ['-version']).status !== 0) return 'Maven is not installed';
  return undefined;
}

export function registryRunner(jars: Jars): string {
  return join(jars.registry, `apicurio-registry-app-${REGISTRY_VERSION}-runner.jar`);
}

/** Fetches the jars by Maven when they are not there yet. Several processes may ask at once. */
export async function fetchJars(onProgress: (text: string) => void): Promise<void> {
  if (areHere()) return;
  await mkdir(jarsDirectory(), { recursive: true });
  await withLock(join(jarsDirectory(), 'lock'), async () => {
    if (!areHere()) await fetchAll(onProgress);
  });
}

export function jarsHere(): Jars {
  const directory = jarsDirectory();
  return {
    kafka: join(directory, `kafka-${KAFKA_VERSION}`),
    registry: join(directory, `apicurio-${REGISTRY_VERSION}`),
  };
}

function areHere(): boolean {
  return Object.values(jarsHere()).every((directory) => existsSync(directory));
}

/** Fetches beside the final place and moves there, so that what stands there is always whole. */
async function fetchAll(onProgress: (text: string) => void): Promise<void> {
  for (const name of await readdir(jarsDirectory())) {
    // Of a fetch that was killed: this one has the lock.
    if (name.startsWith('fetching-')) await rm(join(jarsDirectory(), name), { recursive: true, force: true });
  }
  const work = await mkdtemp(join(jarsDirectory(), 'fetching-'));
  try {
    onProgress(`fetching Kafka ${KAFKA_VERSION} and Apicurio Registry ${REGISTRY_VERSION} by Maven, once`);
    await writeFile(join(work, 'pom.xml'), pom());
    await runMaven(work, onProgress);
    const jars = jarsHere();
    for (const name of ['kafka', 'registry'] as const) await moveInto(join(work, name), jars[name]);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Whoever came first has put the same files there. */
async function moveInto(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

function runMaven(work: string, onProgress: (text: string) => void): Promise<void> {
  const mvn = spawn('mvn', ['-B', '-f', join(work, 'pom.xml'), 'package'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let files = 0;
  let tail: string[] = [];
  const read = (text: string) => {
    const lines = text.split('\n').filter((line) => line.trim() !== '');
    const downloaded = lines.filter((line) => /Downloaded from .*\.(jar|gz)\b/.test(line)).length;
    files += downloaded;
    if (downloaded > 0) onProgress(`${files} files fetched`);
    tail = [...tail, ...lines.filter((line) => line.includes('ERROR'))].slice(0, OUTPUT_LINES_SHOWN);
  };
  mvn.stdout.setEncoding('utf8').on('data', read);
  mvn.stderr.setEncoding('utf8').on('data', read);
  return new Promise((resolve, reject) => {
    mvn.once('error', reject);
    mvn.once('close', (code) => {
      if (code === 0) resolve();
      else reject(new MdrError('COULD_NOT_RUN', `Maven could not fetch Kafka's jars:\n${tail.join('\n')}`));
    });
  });
}

/** kafka-tools has the admin commands; slf4j-simple writes warnings to the broker's log. */
function pom(): string {
  const dependency = (artifact: string): string => {
    const [groupId, artifactId, version] = artifact.split(':');
    return `<dependency><groupId>${groupId}</groupId><artifactId>${artifactId}</artifactId><version>${version}</version></dependency>`;
  };
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>mdr</groupId><artifactId>kafka-jars</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    ${dependency(`org.apache.kafka:kafka_2.13:${KAFKA_VERSION}`)}
    ${dependency(`org.apache.kafka:kafka-tools:${KAFKA_VERSION}`)}
    ${dependency('org.slf4j:slf4j-simple:1.7.36')}
  </dependencies>
  <build><plugins><plugin>
    <groupId>org.apache.maven.plugins</groupId><artifactId>maven-dependency-plugin</artifactId><version>${PLUGIN_VERSION}</version>
    <executions>
      <execution>
        <id>kafka</id><phase>package</phase><goals><goal>copy-dependencies</goal></goals>
        <configuration>
          <includeScope>runtime</includeScope>
          <outputDirectory>\${project.basedir}/kafka</outputDirectory>
        </configuration>
      </execution>
      <execution>
        <id>registry</id><phase>package</phase><goals><goal>unpack</goal></goals>
        <configuration>
          <artifactItems><artifactItem>
            <groupId>io.apicurio</groupId><artifactId>apicurio-registry-app</artifactId>
            <version>${REGISTRY_VERSION}</version><type>tar.gz</type><classifier>all</classifier>
          </artifactItem></artifactItems>
          <outputDirectory>\${project.basedir}/registry</outputDirectory>
        </configuration>
      </execution>
    </executions>
  </plugin></plugins></build>
</project>
`;
}
