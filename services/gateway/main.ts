import { accessUser } from '#fleet-sim/world-users.ts';
import { every, nowMs, sleep } from '#services/platform/clock.ts';
import { type Commit, joinGroup } from '#services/platform/kafka/group.ts';
import type { Committed } from '#services/platform/kafka/intake.ts';
import { LaneQueue } from '#services/platform/lane-queue.ts';
import { expose, exposeValue } from '#services/platform/metrics/exposition.ts';
import { OffsetSet } from '#services/platform/offset-set.ts';
import { awaitRun } from '#services/platform/run.ts';
import type { RunningService, Service, ServiceContext } from '#services/platform/service.ts';
import { AnswerDesk } from './delivery/answer-desk.ts';
import { Courier, NOTHING_KNOWN, type Standing } from './delivery/courier.ts';
import { Mailbox } from './delivery/mailbox.ts';
import { Acceptance } from './edge/acceptance.ts';
import { GatewayTables } from './edge/access-tables.ts';
import { answerAt } from './edge/doors.ts';
import { HeldRequests } from './edge/held-requests.ts';
import { readGatewayKeys } from './edge/keys.ts';
import { listen } from './edge/listener.ts';
import { followRequestIds } from './edge/request-id-feed.ts';
import { RequestIds } from './edge/request-ids.ts';
import { RequestLane } from './edge/request-lane.ts';
import { ScheduleIndex } from './edge/schedule-index.ts';
import { GATEWAY_SETTINGS, gatewayOptions } from './settings.ts';

export const gateway: Service = {
  name: 'gateway',
  summary: 'Users’ requests over HTTPS into the stream, and its responses to them',
  settings: GATEWAY_SETTINGS,
  start,
};

const TOPICS = ['service-responses', 'quarantine', 'gateway-requests', 'deliveries'] as const;
const LANE = { urgent: 0, responses: 1 } as const;
/** Fetches that wait for their turn; beyond it the topic is paused. */
const WAITING_MAX = 4;
/** How often it is looked whether a day has begun, and which registrations have changed. */
const DAY_LOOK_EVERY_MS = 250;

type Partition = {
  partition: number;
  desk: AnswerDesk;
  courier: Courier;
  queue: LaneQueue;
  /** Behind what is done, by topic; gateway-requests and deliveries know it themselves. */
  responses: number;
  quarantine: number;
  changed: Set<number>;
};

async function start(context: ServiceContext): Promise<RunningService> {
  const { settings, outbox, setAside, fail } = context;
  const options = gatewayOptions(settings);
  const keys = readGatewayKeys(options.keys);
  const run = await awaitRun(context);
  const { matrix, clock } = run;
  const { dayConvention, users: scenarioUsers } = run.scenario;
  const tables = new GatewayTables(matrix, dayConvention, settings.partitions);
  const schedules = new ScheduleIndex();
  await Promise.all([tables.follow(context), schedules.follow(context)]);
  const lanes = await RequestLane.takeOverAll(context, options.source, run.record.startMs - 1);
  const ids = new RequestIds(options.rememberMs, options.requestIdsMax);
  const stopIds = await followRequestIds(context, ids, matrix, options.rememberMs);
  const simulated = new Set(
    scenarioUsers.map((user, index) => accessUser(user, index, '2026-01-01').eui.replaceAll('-', '')),
  );
  const isDelivered = (user: string) => !simulated.has(user) && tables.userRecords.has(user);
  const held = new HeldRequests(isDelivered);
  await held.follow(context);
  const now = () => Math.floor(clock.isPaced ? clock.now() : nowMs());
  const rendering = { signers: keys.signers, secrets: keys.secrets, codes: options.codes };
  const counts = { delivered: 0, failed: 0, verdicts: new Map<string, number>(), replies: new Map<number, number>() };
  const partitions = new Map<number, Partition>();
  let isDraining = false;

  async function restore(partition: number, committed: ReadonlyMap<string, Committed>): Promise<Partition> {
    const offsetOf = (topic: (typeof TOPICS)[number]) => committed.get(topic)?.offset ?? 0;
    const desk = new AnswerDesk(
      { context, matrix, convention: dayConvention, tables, codes: options.codes, isDelivered },
      partition,
      offsetOf('gateway-requests'),
    );
    await desk.schedules.follow();
    const metadata = committed.get('deliveries')?.metadata;
    const courier = new Courier(
      {
        context,
        rendering,
        tls: keys.clientTls,
        urlOf: (user) => tables.userRecords.get(user)?.deliveryUrl ?? undefined,
        retrySecondsFirst: options.retrySeconds,
        holdHours: options.holdHours,
        onDelivered: () => counts.delivered++,
        onFailed: () => counts.failed++,
        setAside,
      },
      partition,
      new OffsetSet(offsetOf('deliveries')),
      metadata === undefined || metadata === '' ? NOTHING_KNOWN : (JSON.parse(metadata) as Standing),
    );
    return {
      partition,
      desk,
      courier,
      queue: new LaneQueue(2, fail),
      responses: offsetOf('service-responses'),
      quarantine: offsetOf('quarantine'),
      changed: new Set(),
    };
  }

  const group = joinGroup(context, {
    topics: TOPICS,
    fetchWaitMsMax: 20,
    async assigned(partition, committed) {
      partitions.set(partition, await restore(partition, committed));
    },
    lost(partition) {
      const of = partitions.get(partition);
      partitions.delete(partition);
      of?.queue.close();
      of?.courier.stop();
      void of?.desk.schedules.stop();
    },
    take({ topic, partition, batches, fromOffset, nextOffset }) {
      const of = partitions.get(partition) as Partition;
      if (topic === 'gateway-requests') of.desk.takeBodies(batches, fromOffset, nextOffset);
      else if (topic === 'deliveries') of.courier.take(batches, fromOffset, nextOffset);
      else if (topic === 'quarantine') {
        of.queue.push(LANE.responses, async () => {
          await of.desk.takeQuarantine(batches, fromOffset);
          of.quarantine = nextOffset;
        });
      } else {
        if (of.queue.waiting(LANE.responses) >= WAITING_MAX) return false;
        of.queue.push(LANE.responses, async () => {
          await of.desk.takeResponses(batches, fromOffset);
          of.responses = nextOffset;
          group.resume('service-responses', partition);
        });
      }
      return true;
    },
    committable: () =>
      [...partitions.values()].flatMap(({ partition, desk, courier, responses, quarantine }): Commit[] => [
        { topic: 'service-responses', partition, offset: responses, metadata: '' },
        { topic: 'quarantine', partition, offset: quarantine, metadata: '' },
        { topic: 'gateway-requests', partition, offset: desk.bodiesFrom, metadata: '' },
        { topic: 'deliveries', partition, offset: courier.done.low, metadata: JSON.stringify(courier.standing) },
      ]),
  });

  tables.onRegistration = (mpan) => {
    for (const { desk, changed } of partitions.values()) if (desk.schedules.ownMpans.has(mpan)) changed.add(mpan);
  };
  const stopDays = every(DAY_LOOK_EVERY_MS, () => {
    if (run.record.state === 'PREPARED') return;
    for (const of of partitions.values()) {
      if (of.queue.waiting(LANE.urgent) > 0) continue;
      of.queue.push(LANE.urgent, async () => {
        const changed = [...of.changed];
        of.changed.clear();
        await of.desk.removeEnded(now(), changed);
      });
    }
  });

  const notReadyBecause = () => (group.isSettled ? undefined : 'partitions are being restored');
  await group.start();
  const listener = await listen({
    host: options.host,
    port: options.port,
    keys: options.isTls ? keys : undefined,
    limits: options.limits,
    answer: answerAt({
      acceptance: new Acceptance({
        context,
        matrix,
        clock,
        source: options.source,
        tables,
        schedules,
        ids,
        lanes,
        codes: options.codes,
      }),
      mailbox: new Mailbox(context, rendering),
      held,
      checks: {
        certificates: options.isVerified ? keys.signingCertificates : 'unchecked',
        otherVersions: options.otherVersions,
      },
      signers: keys.signers,
      mhhsUsers: options.mhhsUsers,
      nowMs: now,
      closedBecause: () => (isDraining ? 'the gateway drains' : undefined),
      onVerdict: (code) => counts.verdicts.set(code, (counts.verdicts.get(code) ?? 0) + 1),
    }),
    onReply: (status) => counts.replies.set(status, (counts.replies.get(status) ?? 0) + 1),
    fail,
  });
  measure(partitions, counts, () => listener.connections());
  return {
    notReadyBecause,
    status: () => ({
      partitions: group.partitions,
      listenPort: listener.port,
      mpans: tables.mpans,
      devices: tables.devices.devices,
      users: tables.userRecords.size,
      requestIds: ids.size,
      held: held.size,
      verdicts: Object.fromEntries(counts.verdicts),
      delivered: counts.delivered,
      waiting: waitingOf(partitions),
      lag: group.lag(),
    }),
    async drain() {
      isDraining = true;
      await Promise.race([listener.close(), sleep(CLOSE_WITHIN_MS)]);
      stopDays();
      await group.leave(async () => {
        await Promise.all([...partitions.values()].map(({ queue }) => queue.idle()));
        for (const { courier, desk } of partitions.values()) {
          courier.stop();
          await desk.schedules.stop();
        }
        await Promise.all([tables.stop(), schedules.stop(), held.stop(), stopIds()]);
        await outbox.idle();
        await run.end();
      });
    },
  };
}

/** Clients that keep a connection open are cut off at the end of the process. */
const CLOSE_WITHIN_MS = 2000;

function waitingOf(partitions: ReadonlyMap<number, Partition>): number {
  return [...partitions.values()].reduce((sum, { courier }) => sum + courier.waiting, 0);
}

function measure(
  partitions: ReadonlyMap<number, Partition>,
  counts: { delivered: number; failed: number; verdicts: Map<string, number>; replies: Map<number, number> },
  connections: () => number,
): void {
  exposeValue('mdr_gateway_deliveries_waiting', () => waitingOf(partitions));
  exposeValue('mdr_gateway_connections', connections);
  expose('mdr_gateway_requests_total', () =>
    [...counts.verdicts].map(([code, value]) => ({ labels: { code }, value })),
  );
  expose('mdr_gateway_replies_total', () =>
    [...counts.replies].map(([status, value]) => ({ labels: { status: String(status) }, value })),
  );
  exposeValue('mdr_gateway_delivered_total', () => counts.delivered);
  exposeValue('mdr_gateway_undelivered_total', () => counts.failed);
}
