import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DeviceId } from '#core/identifiers.ts';
import { DAY_MS, formatDay } from '#core/settlement-day.ts';
import { importMpanOf } from '#fleet-sim/meter.ts';
import { benchRun, publishRun } from '#load-tests/bench/service-run.ts';
import { endService, type ServiceProcess, startService, statusOf, untilReady } from '#load-tests/load/processes.ts';
import { createKeyFolder } from '#services/gateway/pki/key-folder.ts';
import type { element } from '#services/gateway/xml-writer.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import { connectAdmin, createKafka } from '#services/platform/kafka/client.ts';
import { createRawProducer } from '#services/platform/kafka/raw-producer.ts';
import { registerSchemas } from '#services/platform/kafka/registry.ts';
import { ensureTopics } from '#services/platform/kafka/topics.ts';
import { createLog } from '#services/platform/log.ts';
import {
  ask,
  type DuisUser,
  duisRequest,
  type Endpoint,
  elementValue,
  type HttpAnswer,
  openEndpoint,
  openUser,
} from './duis-user.ts';

const MDR = fileURLToPath(new URL('../../bin/mdr', import.meta.url));
const NAMES = ['registration', 'access-control', 'anomaly', 'scheduler', 'fleet-sim', 'users', 'trt-monitor'] as const;
const METERS = 40;
export const PARTITIONS = 2;
export const SEED = 7;
export const SPEED = 3600;
export const AGENT: DeviceId = '90-B3-D5-1F-30-01-00-00';
export const OTHER: DeviceId = '90-B3-D5-1F-30-02-00-00';
/** Reads of the import profile on demand that the agent may send. */
export const THRESHOLD = 12;
/** On a machine that has other work: what is waited for comes earlier, or not at all. */
const PATIENCE_MS = 90_000;

const { record: PREPARED, model } = benchRun(
  'settlement-day',
  [`fleet.meters=${METERS}`, 'fleet.metersPerCell=20', 'fleet.notCommunicatingShare=0.2'],
  SPEED,
);
export const MODEL = model;
export const TODAY = Math.floor(PREPARED.startMs / DAY_MS);
const RUN = { ...PREPARED, endMs: PREPARED.startMs + 10 * DAY_MS };

export type GatewayProcess = { process: ServiceProcess; url: string };

/** All services on real Kafka over real HTTPS, with two Users of the gateway: one with an endpoint, one that collects. */
export class GatewayRun {
  readonly prefix = `gateway-${process.pid}-${Math.trunc(performance.timeOrigin)}.`;
  readonly agent: DuisUser;
  readonly other: DuisUser;
  readonly endpoint: Endpoint;
  /** Every acknowledgement that a User was given. */
  readonly acknowledgements: string[] = [];
  gateway!: GatewayProcess;
  /** Of the last request sent. */
  counter = 0;
  readonly #brokers: string[];
  readonly #registryUrl: string;
  readonly #directory: string;
  readonly #services = new Map<string, ServiceProcess>();
  #startedWallMs = 0;

  private constructor(kafka: { brokers: string[]; registryUrl: string }, directory: string, endpoint: Endpoint) {
    this.#brokers = kafka.brokers;
    this.#registryUrl = kafka.registryUrl;
    this.#directory = directory;
    this.endpoint = endpoint;
    this.agent = openUser(join(directory, 'keys'), AGENT);
    this.other = openUser(join(directory, 'keys'), OTHER);
  }

  static async start(kafka: { brokers: string[]; registryUrl: string }): Promise<GatewayRun> {
    const directory = mkdtempSync(join(tmpdir(), 'mdr-gateway-'));
    const keys = join(directory, 'keys');
    const users = [
      { name: 'Agent', eui: AGENT, roles: ['MDR'] },
      { name: 'Other', eui: OTHER, roles: ['MDR'] },
    ];
    await createKeyFolder(keys, { seed: SEED, users }, nowMs(), false);
    const run = new GatewayRun(kafka, directory, await openEndpoint(keys));
    await run.#open();
    return run;
  }

  async #open(): Promise<void> {
    const client = createKafka(this.#brokers, 'gateway-run', createLog('gateway-run', 'silent'));
    const admin = await connectAdmin(client, this.#brokers);
    await ensureTopics(admin, this.prefix, PARTITIONS, { create: true });
    await admin.disconnect();
    const schemaIds = await registerSchemas(this.#registryUrl);
    const producer = await createRawProducer(client);
    await publishRun(producer, this.prefix, RUN, schemaIds);
    for (const name of NAMES) await this.startService(name);
    await Promise.all([...this.#services.values()].map((one) => untilReady(one, PATIENCE_MS)));
    this.#addUsers();
    for (let meter = 0; meter < METERS; meter++) await this.#registerAtFirst(importMpanOf(MODEL.fleet, meter));
    this.gateway = await this.startGateway(2);
    this.#startedWallMs = nowMs();
    const running = { ...RUN, state: 'RUNNING' as const, patienceWallMs: 2000, wallEpochMs: this.#startedWallMs };
    await publishRun(producer, this.prefix, running, schemaIds);
    await producer.disconnect();
  }

  async startService(name: string, settings: Record<string, string | number> = {}): Promise<ServiceProcess> {
    const [brokers, registry, directory] = [this.#brokers, this.#registryUrl, this.#directory];
    const given = { brokers, registry, prefix: this.prefix, partitions: PARTITIONS, workers: 1, directory };
    const started = await startService({ ...given, name, settings });
    this.#services.set(settings.source === undefined ? name : `${name} ${settings.source}`, started);
    return started;
  }

  async startGateway(source: number): Promise<GatewayProcess> {
    const keys = join(this.#directory, 'keys');
    const settings = { 'listen-port': 0, keys, source, 'retry-seconds': 1, 'session-timeout-ms': 3000 };
    const started = await this.startService('gateway', settings);
    await untilReady(started, PATIENCE_MS);
    return { process: started, url: `https://localhost:${(await statusOf(started))?.listenPort}/api/v1` };
  }

  /** By force, and another one in its place. */
  async restart(name: string): Promise<void> {
    process.kill((this.#services.get(name) as ServiceProcess).pid, 'SIGKILL');
    await untilReady(await this.startService(name, { 'session-timeout-ms': 3000 }), PATIENCE_MS);
  }

  async end(): Promise<void> {
    for (const one of this.#services.values()) await endService(one);
    await this.endpoint.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  simulatedMs(): number {
    return RUN.startMs + (nowMs() - this.#startedWallMs) * SPEED;
  }

  /** A command of the product on this stream; throws where it does not end with 0. */
  mdr(...args: string[]): string {
    const stream = ['--brokers', this.#brokers.join(), '--registry', this.#registryUrl, '--prefix', this.prefix];
    const all = [...args, ...stream, '--partitions', String(PARTITIONS)];
    const { status, stdout, stderr } = spawnSync(MDR, all, { encoding: 'utf8', timeout: 2 * PATIENCE_MS });
    if (status !== 0) throw new Error(`mdr ${args.join(' ')} ended with ${status}: ${stderr}`);
    return stdout;
  }

  async register(mpan: number, sequence: number, mpid: string, day: number): Promise<void> {
    const change = { mpan: String(mpan), sequence, appointments: [{ mpid, role: 'MDR', efd: formatDay(day) }] };
    const answer = await fetch(`${this.#services.get('registration')?.url}/registrations`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-ndjson' },
      body: JSON.stringify(change),
    });
    const text = await answer.text();
    if (answer.status !== 200 || !text.includes('applied')) throw new Error(`${answer.status} ${text}`);
  }

  /** Sends a signed request; the target is the DCC where no device is named. */
  async send(
    user: DuisUser,
    srv: string,
    body: ReturnType<typeof element>,
    { target, number, at = this.gateway }: { target?: DeviceId; number?: number; at?: GatewayProcess } = {},
  ): Promise<HttpAnswer & { code: string }> {
    const counter = number ?? ++this.counter;
    const signed = user.sign(duisRequest(user.eui, counter, srv, body, target));
    return await this.post(user, `${at.url}/${target === undefined ? 'serviceD' : 'serviceS'}`, signed);
  }

  async post(user: DuisUser, url: string, document: string): Promise<HttpAnswer & { code: string }> {
    const answer = await ask(user, url, 'POST', document);
    if (answer.status === 200) this.acknowledgements.push(answer.body);
    return { ...answer, code: elementValue(answer.body, 'ResponseCode') ?? answer.body };
  }

  /** The first document at the agent's endpoint that is the one. */
  async delivered(isIt: (document: string) => boolean): Promise<string> {
    return await until('it is delivered', async () => this.endpoint.received.find(isIt)).catch(async (error) => {
      const documents = this.endpoint.received.map((one) => one.slice(0, 700)).join('\n');
      const status = JSON.stringify(await statusOf(this.gateway.process));
      throw new Error(`${error.message}; ${status}\n${documents}\n${readFileSync(this.gateway.process.log, 'utf8')}`);
    });
  }

  answerTo(number: number): Promise<string> {
    return this.delivered((one) => elementValue(one, 'RequestID')?.endsWith(`:${number}`) === true && !isAlert(one));
  }

  // A User that was added a moment ago is not known to the registration service yet.
  async #registerAtFirst(mpan: number): Promise<void> {
    await until('it is registered', () =>
      this.register(mpan, 1, 'MYAG', TODAY - 60).then(
        () => true,
        () => undefined,
      ),
    );
  }

  #addUsers(): void {
    const day = (back: number) => formatDay(TODAY - back);
    const user = (name: string, eui: string, mpid: string, more: string) => `
  - name: ${name}
    eui: ${eui}
    category: MDR Party
    roles: {MDR: [${mpid}]}
    gates:
      accededOn: ${day(300)}
      ueptOn: {MDR: ${day(200)}}
      securityAssessments: [${day(100)}]
      privacyAssessments: [${day(100)}]
      adtDeclaredOn: ${day(100)}
    ${more}`;
    const threshold = `anomalyThresholds: [{srv: 4.8.1, count: ${THRESHOLD}, periodSeconds: 31536000}]`;
    const agent = user('Agent', AGENT, 'MYAG', `${threshold}\n    delivery: ${this.endpoint.url}`);
    const file = join(this.#directory, 'users.yaml');
    writeFileSync(file, `users:${agent}${user('Other', OTHER, 'OTAG', 'anomalyThresholds: []')}\n`);
    this.mdr('users', 'add', file);
  }
}

/** Looks until there is something; throws where there is nothing after long. */
export async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (const end = nowMs() + PATIENCE_MS; nowMs() < end; await sleep(100)) {
    const found = await look();
    if (found !== undefined) return found;
  }
  throw new Error(`not within ${PATIENCE_MS / 1000} s: ${what}`);
}

export function isAlert(document: string): boolean {
  return elementValue(document, 'DCCAlertCode') !== undefined;
}
