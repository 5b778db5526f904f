import { readFileSync } from 'node:fs';
import avsc from 'avsc';
import type { User } from '#core/access-control.ts';
import type { Role } from '#core/matrix.ts';
import type { PartyCategory } from '#core/onboarding.ts';
import { partitionOfKey } from '#core/partition.ts';
import { DAY_MAX, type SettlementDay } from '#core/settlement-day.ts';
import { anomalyThresholds } from '#fleet-sim/anomaly-thresholds.ts';
import type { World } from '#fleet-sim/world.ts';
import { euiBytes, euiText, WIRE_HEADER_BYTES, writeWireHeader } from '#schemas/wire.ts';
import { BatchBuilder } from '#services/platform/kafka/record-batch.ts';
import type { UserRecord } from '#services/platform/user-feed.ts';

const USER = avsc.Type.forSchema(JSON.parse(readFileSync(new URL('../../schemas/user.avsc', import.meta.url), 'utf8')));
const RECORD_BYTES_SPARE = 512;

/** A User as it is administered: what core knows of it, and where its responses go. Without a URL it collects them. */
export type AdministeredUser = User & { deliveryUrl?: string };

export type UserBatch = { partition: number; batch: Uint8Array; records: number };

/** The Users of a world, with the Anomaly Detection Thresholds of its scenario. */
export function fleetUsers(world: World): AdministeredUser[] {
  const thresholds = anomalyThresholds(world);
  const { periodSeconds } = world.scenario.anomaly;
  return world.userTable.users.map((user, index) => ({
    ...user,
    anomalyThresholds: world.matrix.services.map(({ srv }) => ({ srv, count: thresholds[index], periodSeconds })),
  }));
}

/** Users as batches of the topic users, each in the partition of its key. */
export function encodeUsers(
  users: readonly AdministeredUser[],
  schemaId: number,
  partitions: number,
  stampMs: number,
): UserBatch[] {
  const entries = users.map((user) => ({ key: keyOf(user.eui), value: USER.toBuffer(recordOf(user)) }));
  return [...Map.groupBy(entries, ({ key }) => partitionOfKey(key, partitions))].map(([partition, own]) => {
    const bytes = own.reduce((sum, { value }) => sum + value.length + RECORD_BYTES_SPARE, RECORD_BYTES_SPARE);
    const builder = new BatchBuilder(bytes);
    for (const { key, value } of own) {
      const at = builder.begin(stampMs, key, 0, key.length);
      writeWireHeader(builder.buffer, at, schemaId);
      builder.end(at + WIRE_HEADER_BYTES + value.copy(builder.buffer, at + WIRE_HEADER_BYTES));
    }
    return { partition, batch: builder.finish(), records: builder.count };
  });
}

/** The record that takes a User out, in its partition. */
export function encodeRemoval(eui: string, partitions: number, stampMs: number): UserBatch {
  const key = keyOf(eui);
  const builder = new BatchBuilder(RECORD_BYTES_SPARE);
  builder.tombstone(stampMs, key, 0, key.length);
  return { partition: partitionOfKey(key, partitions), batch: builder.finish(), records: 1 };
}

/** What a record of the topic says. */
export function userFrom(record: UserRecord): AdministeredUser {
  const { suspendedFrom, accededOn, equivalentSecurityOn, equivalentPrivacyOn, adtDeclaredOn, deliveryUrl } = record;
  return {
    name: record.name,
    eui: euiText(Buffer.from(record.eui), 0),
    category: record.category as PartyCategory,
    roles: Object.fromEntries(record.roles.map(({ role, mpids }) => [role as Role, mpids])),
    ...(suspendedFrom === null ? {} : { suspended: suspendedFrom }),
    gates: {
      ...(accededOn === null ? {} : { accededOn }),
      ueptOn: Object.fromEntries(record.ueptOn.map(({ role, day }) => [role as Role, day])),
      securityAssessments: record.securityAssessments,
      privacyAssessments: record.privacyAssessments,
      otherUserEquivalent: {
        ...(equivalentSecurityOn === null ? {} : { security: equivalentSecurityOn }),
        ...(equivalentPrivacyOn === null ? {} : { privacy: equivalentPrivacyOn }),
      },
      ...(adtDeclaredOn === null ? {} : { adtDeclaredOn }),
    },
    anomalyThresholds: record.anomalyThresholds as User['anomalyThresholds'],
    ...(deliveryUrl === null ? {} : { deliveryUrl }),
  };
}

function keyOf(eui: string): Buffer {
  return Buffer.from(euiBytes(eui).toString('hex').toUpperCase());
}

function recordOf(user: AdministeredUser): UserRecord {
  const { gates, suspended } = user;
  const orNull = (day: SettlementDay | undefined) => day ?? null;
  return {
    eui: euiBytes(user.eui),
    name: user.name,
    category: user.category,
    roles: Object.entries(user.roles).map(([role, mpids]) => ({ role, mpids })),
    suspendedFrom: typeof suspended === 'number' ? suspended : suspended === true ? -DAY_MAX : null,
    accededOn: orNull(gates.accededOn),
    ueptOn: Object.entries(gates.ueptOn).map(([role, day]) => ({ role, day })),
    securityAssessments: gates.securityAssessments,
    privacyAssessments: gates.privacyAssessments,
    equivalentSecurityOn: orNull(gates.otherUserEquivalent?.security),
    equivalentPrivacyOn: orNull(gates.otherUserEquivalent?.privacy),
    adtDeclaredOn: orNull(gates.adtDeclaredOn),
    anomalyThresholds: user.anomalyThresholds,
    deliveryUrl: user.deliveryUrl ?? null,
  };
}
