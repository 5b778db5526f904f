import { lookup } from 'node:dns/promises';
import { type Fault, MdrError } from '#core/errors.ts';
import { nowMs, sleep } from '#services/platform/clock.ts';
import type { Admin, Kafka } from '#services/platform/kafka/client.ts';
import { endOffsets } from '#services/platform/kafka/partition-reader.ts';
import { prefixesOn } from '#services/platform/kafka/topics.ts';
import { RUN_PARTITION } from '#services/platform/run-record.ts';
import { type ServiceProcess, statusOf } from './processes.ts';

/** The topics that a run is on, as a service names its own. `cluster`: the name that the Kafka cluster gives itself. */
export type RunPlace = { cluster: string; prefix: string; partitions: number };

/** A service that has just been started is connected and waits for its run within this: 15 s, 60 on a busy machine. */
const WAITS_WITHIN_MS = 120_000;
const LOOK_EVERY_MS = 200;
/** A container that ended is started anew within this; a pod that went away is not seen at its address again. */
const SILENT_MS_MAX = 60_000;

/**
 * Services that run already, by the URLs of their health: one at each address that a host name has, as a headless
 * Service of Kubernetes has one a pod. Throws COULD_NOT_RUN with all that is wrong where one of them does not wait for
 * a run on these topics, or comes to it within `withinMs`.
 */
export async function givenServices(
  urls: readonly string[],
  place: RunPlace,
  withinMs: number = WAITS_WITHIN_MS,
): Promise<ServiceProcess[]> {
  const endMs = nowMs() + withinMs;
  const found = (await Promise.all(urls.map((url) => servicesAt(url, place, endMs)))).flat();
  const faults = found.filter((one): one is Fault => 'expected' in one);
  if (faults.length > 0) throw new MdrError('COULD_NOT_RUN', 'The services given cannot take this run', faults);
  return found as ServiceProcess[];
}

/** Throws COULD_NOT_RUN where the topics have had a run: the services of a set of topics take part in one. */
export async function refuseSecondRun(client: Kafka, admin: Admin, prefix: string): Promise<void> {
  if (!(await prefixesOn(admin)).includes(prefix)) return;
  if ((await endOffsets(client, `${prefix}runs`))[RUN_PARTITION] === 0) return;
  throw new MdrError(
    'COULD_NOT_RUN',
    `The topics ${prefix}* have had their run, and a set of topics has one: give another --prefix, and services that were started with it`,
  );
}

/** A given service that was not heard of for too long: nothing says whether it ended. */
export function silentSince(services: readonly ServiceProcess[], atMs: number): ServiceProcess | undefined {
  return services.find(({ child, heardMs }) => child === undefined && atMs - heardMs > SILENT_MS_MAX);
}

async function servicesAt(url: string, place: RunPlace, endMs: number): Promise<(ServiceProcess | Fault)[]> {
  if (!/^https?:/.test(url) || !URL.canParse(url)) return [{ path: url, expected: 'a URL as http://127.0.0.1:9464' }];
  const { protocol, hostname, port } = new URL(url);
  const hosts = await addressesOf(hostname.replace(/^\[|\]$/g, ''), endMs);
  if (hosts instanceof Error) return [{ path: url, expected: `the address of a service: ${hosts.message}` }];
  const suffix = port === '' ? '' : `:${port}`;
  return await Promise.all(
    hosts.map((host) => serviceAt(`${protocol}//${host.includes(':') ? `[${host}]` : host}${suffix}`, place, endMs)),
  );
}

async function addressesOf(host: string, endMs: number): Promise<string[] | Error> {
  for (;;) {
    try {
      const addresses = await lookup(host, { all: true, order: 'ipv4first' });
      // A pod of two families has an address of each.
      return addresses.filter(({ family }) => family === addresses[0].family).map(({ address }) => address);
    } catch (error) {
      if (nowMs() > endMs) return error as Error;
    }
    await sleep(LOOK_EVERY_MS);
  }
}

async function serviceAt(url: string, place: RunPlace, endMs: number): Promise<ServiceProcess | Fault> {
  const given = {
    name: url,
    pid: -1,
    url,
    log: `the log of ${url}`,
    child: undefined,
    exit: undefined,
    heardMs: nowMs(),
  };
  for (;;) {
    const status = (await statusOf(given)) as Partial<GivenStatus> | undefined;
    const fault = faultOf(url, status, place);
    if (fault === undefined) return { ...given, name: String(status?.service), pid: Number(status?.pid) };
    if (fault.isFinal || nowMs() > endMs) return fault.fault;
    await sleep(LOOK_EVERY_MS);
  }
}

type GivenStatus = {
  service: string;
  pid: number;
  ready: boolean;
  /** Without `cluster` until it is connected. */
  kafka: Partial<RunPlace>;
  waitsFor: string;
  run: string;
};

/** What keeps a service from taking the run; `isFinal`: waiting does not mend it. */
function faultOf(
  url: string,
  status: Partial<GivenStatus> | undefined,
  place: RunPlace,
): { fault: Fault; isFinal: boolean } | undefined {
  const is = (path: string, value: unknown, expected: string, isFinal = true) => ({
    fault: { path: `${url} ${path}`, ...(value === undefined ? {} : { value }), expected },
    isFinal,
  });
  if (status === undefined) return is('/status', undefined, 'an answer: nothing answers there', false);
  const { service, ready, kafka, waitsFor, run } = status;
  if (service === undefined || kafka === undefined)
    return is('/status', undefined, 'that of a service of this version');
  if (kafka.prefix !== place.prefix) return is('prefix', kafka.prefix, `${place.prefix}, as --prefix says`);
  if (kafka.partitions !== place.partitions)
    return is('partitions', kafka.partitions, `${place.partitions}, as --partitions says`);
  if (kafka.cluster !== undefined && kafka.cluster !== place.cluster)
    return is('Kafka cluster', kafka.cluster, `${place.cluster}, that of --brokers`);
  if (run !== undefined) return is('run', run, 'none yet: a service takes part in one');
  if (ready === true) return is(service, undefined, 'that it waits for a run: start it without --load nothing');
  return waitsFor === undefined ? is(service, undefined, 'that it waits for a run: it still starts', false) : undefined;
}
