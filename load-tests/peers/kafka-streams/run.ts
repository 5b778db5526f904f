import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { FACT, type User } from '#core/access-control.ts';
import { MdrError } from '#core/errors.ts';
import { ROLES, type Role } from '#core/matrix.ts';
import { anniversaryOf, standingOn } from '#core/onboarding.ts';
import { DAY_MAX, type SettlementDay } from '#core/settlement-day.ts';
import { euiBytes } from '#schemas/wire.ts';

const PROJECT = fileURLToPath(new URL('.', import.meta.url));
const MATRIX = fileURLToPath(new URL('../../../core/matrices/mp162-v0.4.json', import.meta.url));
const JAVA_MIN = 17;

export type PeerOptions = {
  brokers: readonly string[];
  prefix: string;
  /** Service Requests in the topic: it ends when it has decided so many. */
  requests: number;
  users: readonly User[];
  schemaIds: { 'device-requests.scheduled': number; 'service-responses': number };
  /** 1 unless said. */
  threads?: number;
  /** Times that it does all the work, in one JVM; 3 unless said. */
  passes?: number;
  /** In place of those found best, for finding them. */
  jvm?: readonly string[];
  settings?: Readonly<Record<string, string>>;
};

/** Counted from 10 % of the work until all outputs are acknowledged. */
export type PeerPass = {
  processed: number;
  accepted: number;
  refused: number;
  counted: number;
  wallSeconds: number;
  /** Of all threads of the process. */
  cpuSeconds: number;
  perSecond: number;
  perCpuSecond: number;
};

/** The last pass, and the first as `cold`: the JVM compiles for most of a short run, which a service does but once. */
export type PeerResult = PeerPass & { cold: PeerPass };

/** Topics that the peer writes to, by the topic of ours that each stands for. */
export const PEER_OUTPUTS = {
  'device-requests.scheduled': 'peer-device-requests',
  'service-responses': 'peer-responses',
} as const;

/** The settings that gave most SRs a CPU-second, see README.md. */
const JVM = ['-Xms2g', '-Xmx2g', '-XX:+UseParallelGC', '-XX:+UseTransparentHugePages'];

/** Runs the Kafka Streams application as a group of its own, from the beginning of its topics. */
export async function runKafkaStreamsPeer(options: PeerOptions): Promise<PeerResult> {
  const { brokers, prefix, requests, users, schemaIds, threads = 1, passes = 3, jvm = JVM, settings = {} } = options;
  const directory = await mkdtemp(join(tmpdir(), 'mdr-peer-'));
  try {
    const args = [
      ...(await commonArguments(directory, users, schemaIds)),
      ...['--brokers', brokers.join(','), '--prefix', prefix, '--requests', String(requests)],
      ...['--passes', String(passes)],
      ...['--threads', String(threads), '--application-id', `${prefix}peer-${process.pid}-${runs++}`],
      ...['--state-dir', join(directory, 'state')],
      ...Object.entries(settings).flatMap(([name, value]) => [`--set.${name}`, value]),
    ];
    const lines = (await runJava(jvm, args)).split('\n').filter((line) => line.startsWith('{'));
    const results = lines.map((line) => JSON.parse(line) as PeerPass);
    return { ...results[results.length - 1], cold: results[0] };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** The same topology without a broker: lines `topic key value-in-hex` in and out, in order. */
export async function checkKafkaStreamsPeer(
  users: readonly User[],
  schemaIds: PeerOptions['schemaIds'],
  lines: Iterable<string>,
): Promise<string[]> {
  const directory = await mkdtemp(join(tmpdir(), 'mdr-peer-'));
  try {
    const args = [...(await commonArguments(directory, users, schemaIds)), '--check', 'true'];
    const output = await runJava(['-XX:TieredStopAtLevel=1'], args, [...lines, ''].join('\n'));
    return output.split('\n').filter((line) => line !== '');
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What has to be installed to run the peer, undefined where nothing is missing. */
export function missingForPeer(): string | undefined {
  const { stderr } = spawnSync('java', ['-version'], { encoding: 'utf8' });
  const version = /version "(?:1\.)?(\d+)/.exec(stderr ?? '');
  if (version === null) return `Java ${JAVA_MIN} or later is not installed`;
  if (Number(version[1]) < JAVA_MIN) return `Java is ${version[1]}, and ${JAVA_MIN} or later is needed`;
  if (!isBuilt() && spawnSync('mvn', ['-version']).status !== 0) return 'Maven is not installed';
  return undefined;
}

/** Builds the peer unless its jar is younger than its sources. */
export function buildPeer(): void {
  const missing = missingForPeer();
  if (missing !== undefined) throw new MdrError('COULD_NOT_RUN', `the Kafka Streams peer cannot be run: ${missing}`);
  if (isBuilt()) return;
  try {
    execFileSync('mvn', ['-q', '-B', 'package'], { cwd: PROJECT, encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    const { stdout } = error as { stdout: string };
    throw new MdrError('COULD_NOT_RUN', `Maven could not build the Kafka Streams peer:\n${stdout.trim()}`);
  }
}

let runs = 0;
const JAR = join(PROJECT, 'target', 'kafka-streams-peer-1.jar');
const CLASSPATH = join(PROJECT, 'target', 'classpath.txt');

function isBuilt(): boolean {
  if (!existsSync(JAR) || !existsSync(CLASSPATH)) return false;
  const sources = readdirSync(join(PROJECT, 'src'), { recursive: true, encoding: 'utf8' });
  const newest = Math.max(...['pom.xml', ...sources.map((file) => join('src', file))].map(modifiedMs));
  if (newest > statSync(JAR).mtimeMs) return false;
  return readFileSync(CLASSPATH, 'utf8')
    .trim()
    .split(delimiter)
    .every((jar) => existsSync(jar));
}

function modifiedMs(file: string): number {
  return statSync(join(PROJECT, file)).mtimeMs;
}

async function commonArguments(
  directory: string,
  users: readonly User[],
  schemaIds: PeerOptions['schemaIds'],
): Promise<string[]> {
  const file = join(directory, 'users.json');
  await writeFile(file, JSON.stringify(users.map(peerUser)));
  return [
    ...['--users', file, '--matrix', MATRIX],
    ...['--device-request-schema', String(schemaIds['device-requests.scheduled'])],
    ...['--service-response-schema', String(schemaIds['service-responses'])],
  ];
}

async function runJava(jvm: readonly string[], args: readonly string[], input = ''): Promise<string> {
  buildPeer();
  const classpath = [JAR, readFileSync(CLASSPATH, 'utf8').trim()].join(delimiter);
  const java = spawn('java', [...jvm, '-cp', classpath, 'mdr.peer.Peer', ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  let output = '';
  let errors = '';
  java.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  java.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-ERROR_CHARACTERS_MAX);
  });
  java.stdin.end(input);
  const code = await new Promise<number | null>((resolve, reject) => {
    java.once('error', reject);
    java.once('close', resolve);
  });
  if (code !== 0) throw new MdrError('COULD_NOT_RUN', `the Kafka Streams peer ended with ${code}:\n${errors.trim()}`);
  return output;
}

const ERROR_CHARACTERS_MAX = 4000;

/** As Users.java reads it. */
function peerUser(user: User): object {
  return {
    eui: euiBytes(user.eui).toString('hex'),
    suspendedFrom: typeof user.suspended === 'number' ? user.suspended : user.suspended ? -DAY_MAX : DAY_MAX,
    roles: Object.entries(user.roles).map(([role, mpids]) => ({
      role: ROLES.indexOf(role as Role),
      mpids,
      standing: standingSteps(user, role as Role),
    })),
  };
}

/** Days and the fact that is true from each on, one after another; the first is true from ever. */
function standingSteps(user: User, role: Role): number[] {
  const { gates } = user;
  const { security, privacy } = gates.otherUserEquivalent ?? {};
  const assessed = [...gates.securityAssessments, ...gates.privacyAssessments, security, privacy].filter(isDay);
  const changes = [
    gates.accededOn,
    gates.ueptOn[role],
    gates.adtDeclaredOn,
    ...assessed,
    ...assessed.map(anniversaryOf),
  ];
  const days = [-DAY_MAX, ...new Set(changes.filter(isDay))].sort((a, b) => a - b);
  return days.flatMap((day) => {
    const gate = standingOn(user, role, day);
    return [day, gate === undefined ? FACT.accepted : FACT[gate]];
  });
}

function isDay(day: SettlementDay | undefined): day is SettlementDay {
  return day !== undefined;
}
