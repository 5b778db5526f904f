import { readFileSync } from 'node:fs';
import avsc from 'avsc';
import type { SettlementDay } from '#core/settlement-day.ts';
import { WIRE_HEADER_BYTES, wireSchemaId } from '#schemas/wire.ts';
import { BatchWalk } from './batch-walk.ts';
import { endOffsets, readPartitions } from './kafka/partition-reader.ts';
import { registeredSchema } from './kafka/registry.ts';
import type { ServiceContext } from './service.ts';
import type { ServiceSettings } from './settings.ts';
import { noteTable, TABLES, type TableProgress } from './table-progress.ts';

const USER = avsc.Type.forSchema(JSON.parse(readFileSync(new URL('../../schemas/user.avsc', import.meta.url), 'utf8')));
/** A User with every SRV's threshold and a hundred assessments takes some kilobytes. */
const VALUE_BYTES_MAX = 256 * 1024;

/** A `user` record as avsc decodes it. */
export type UserRecord = {
  eui: Uint8Array;
  name: string;
  category: string;
  roles: { role: string; mpids: string[] }[];
  suspendedFrom: SettlementDay | null;
  accededOn: SettlementDay | null;
  ueptOn: { role: string; day: SettlementDay }[];
  securityAssessments: SettlementDay[];
  privacyAssessments: SettlementDay[];
  equivalentSecurityOn: SettlementDay | null;
  equivalentPrivacyOn: SettlementDay | null;
  adtDeclaredOn: SettlementDay | null;
  anomalyThresholds: { srv: string; count: number; periodSeconds: number }[];
  deliveryUrl: string | null;
};

export type UserFeed = {
  /** Resolves when everything that was in the topic at the start is known. */
  restored: Promise<void>;
  stop(): Promise<void>;
};

/**
 * Follows the topic users, all its partitions: calls back with all Users, each as avsc decodes it, whenever some have
 * changed. They are few, so every process knows all of them. What cannot be used is set aside.
 */
export async function followUsers<T>(
  { name, kafka, settings, schemaIds, setAside, fail }: ServiceContext,
  onUsers: (users: T[]) => void,
): Promise<UserFeed> {
  const topic = `${settings.prefix}users`;
  const ends = await endOffsets(kafka, topic);
  const left = new Set(ends.flatMap((end, partition) => (end > 0 ? [partition] : [])));
  const users = new Map<string, T>();
  const restoreRecords = ends.reduce((sum, end) => sum + end, 0);
  const reached = Object.fromEntries(ends.map((_, partition) => [partition, 0]));
  const progress: TableProgress = {
    topic: 'users',
    restoreRecords,
    restoredRecords: 0,
    lagRecords: restoreRecords,
    reached,
  };
  TABLES.add(progress);
  let applied = 0;
  const walk = new BatchWalk(name);
  /** By schema id: what reads its values as today's. The topic is compacted, so old ones stay for ever. */
  const resolvers = new Map<number, Resolver>([[schemaIds.users, USER.createResolver(USER)]]);
  let resolveRestored: () => void = () => {};
  const restored = new Promise<void>((resolve) => {
    resolveRestored = resolve;
  });
  let hasChanged = left.size === 0;
  const publish = () => {
    if (!hasChanged || left.size > 0) return;
    hasChanged = false;
    onUsers([...users.values()]);
    resolveRestored();
  };
  const reading = readPartitions(kafka, {
    partitions: ends.map((_, partition) => ({ topic, partition, fromOffset: 0 })),
    async onBatch(batch, { partition }) {
      walk.begin({ topic: 'users', partition, batches: [batch], fromOffset: 0 });
      while (walk.next()) {
        await learn(resolvers, walk, settings);
        if (apply(users, walk, resolvers, schemaIds.users)) hasChanged = true;
      }
      if (walk.deadLetters.length > 0) setAside(walk.deadLetters).catch(fail);
    },
    onAnswerEnd(answered) {
      for (const { range, nextOffset } of answered) {
        // Where nothing was there but what could not be used, that is known as well.
        if (nextOffset >= ends[range.partition] && left.delete(range.partition)) hasChanged = true;
      }
      publish();
      const records = answered.reduce((sum, { nextOffset }) => sum + nextOffset, 0) - applied;
      const behind = answered.reduce((sum, { nextOffset, endOffset }) => sum + Math.max(0, endOffset - nextOffset), 0);
      for (const { range, nextOffset } of answered) reached[range.partition] = nextOffset;
      noteTable(progress, records, behind);
      applied += records;
    },
  });
  reading.done.catch(fail);
  publish();
  return {
    restored,
    async stop() {
      TABLES.delete(progress);
      await reading.stop();
    },
  };
}

type Resolver = ReturnType<typeof USER.createResolver>;

/** Asks the registry for the schema of the record under the cursor, where it is not known. */
async function learn(
  resolvers: Map<number, Resolver>,
  { cursor }: BatchWalk,
  { registry, security }: ServiceSettings,
): Promise<void> {
  const { buffer, valueAt, valueLength } = cursor;
  const id = wireSchemaId(buffer, valueAt, valueLength);
  if (id < 0 || resolvers.has(id)) return;
  const schema = await registeredSchema(registry, id, security.registry);
  if (schema === undefined) return;
  try {
    resolvers.set(id, USER.createResolver(avsc.Type.forSchema(JSON.parse(schema))));
  } catch {
    // Of another topic: the record is set aside for it.
  }
}

/** Whether the record under the cursor has changed anything. */
function apply<T>(
  users: Map<string, T>,
  walk: BatchWalk,
  resolvers: ReadonlyMap<number, Resolver>,
  schemaId: number,
): boolean {
  const { buffer, keyAt, keyLength, valueAt, valueLength } = walk.cursor;
  const key = buffer.toString('latin1', keyAt, keyAt + Math.max(0, keyLength));
  if (valueLength < 0) return users.delete(key);
  const written = wireSchemaId(buffer, valueAt, valueLength);
  const resolver = resolvers.get(written);
  if (!walk.hasValue(resolver === undefined ? schemaId : written, VALUE_BYTES_MAX)) return false;
  let user: T & { eui: Uint8Array };
  try {
    user = USER.fromBuffer(Buffer.from(buffer.subarray(valueAt + WIRE_HEADER_BYTES, valueAt + valueLength)), resolver);
  } catch (error) {
    return walk.setAside('UNDECODABLE', (error as Error).message);
  }
  const eui = Buffer.from(user.eui).toString('hex').toUpperCase();
  if (key !== eui) return walk.setAside('IMPOSSIBLE_VALUE', `the key is not ${eui}, as the value says`);
  users.set(key, user);
  return true;
}
