import { readFileSync } from 'node:fs';
import avsc from 'avsc';
import type { User } from '#core/access-control.ts';
import { DAY_MAX, type SettlementDay } from '#core/settlement-day.ts';
import { anomalyThresholds } from '#fleet-sim/anomaly-thresholds.ts';
import type { World } from '#fleet-sim/world.ts';
import { euiBytes, WIRE_HEADER_BYTES, writeWireHeader } from '#schemas/wire.ts';
import { BatchBuilder } from '#services/platform/kafka/record-batch.ts';

const USER = avsc.Type.forSchema(JSON.parse(readFileSync(new URL('../../schemas/user.avsc', import.meta.url), 'utf8')));
const BATCH_BYTES = 768 * 1024;

/** The Users of a world as one batch of the topic users, with the Anomaly Detection Thresholds of its scenario. */
export function encodeUsers(world: World, schemaId: number, stampMs: number): { batch: Uint8Array; records: number } {
  const thresholds = anomalyThresholds(world);
  const { periodSeconds } = world.scenario.anomaly;
  const builder = new BatchBuilder(BATCH_BYTES);
  world.userTable.users.forEach((user, index) => {
    const eui = euiBytes(user.eui);
    const value = USER.toBuffer({
      ...recordOf(user),
      anomalyThresholds: world.matrix.services.map(({ srv }) => ({ srv, count: thresholds[index], periodSeconds })),
    });
    const key = Buffer.from(eui.toString('hex').toUpperCase());
    const at = builder.begin(stampMs, key, 0, key.length);
    writeWireHeader(builder.buffer, at, schemaId);
    builder.end(at + WIRE_HEADER_BYTES + value.copy(builder.buffer, at + WIRE_HEADER_BYTES));
  });
  return { batch: builder.finish(), records: builder.count };
}

/** A User as user.avsc has it, without thresholds. */
function recordOf(user: User): Record<string, unknown> {
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
  };
}
