import { SMI_STATUSES, type SmiStatus } from '#core/access-control.ts';
import { type Generation, ROLES } from '#core/matrix.ts';
import { euiText } from '#schemas/wire.ts';
import type { ReadVariant } from '../answer.ts';
import type { AssumedCode } from '../assumed-codes.ts';
import type { ServiceReferenceVariant } from '../duis-request.ts';
import {
  type ResponseContent as Content,
  type ResponseSigners,
  renderAlert,
  renderResponse,
} from '../duis-response.ts';
import { type DeliveryRecord, type InventoryRecord, scheduleOf } from '../gateway-records.ts';
import { payloadOf } from '../gbcs/answer-payload.ts';
import type { SharedSecrets } from '../gbcs/shared-secrets.ts';
import type { WorldDevice } from '../world.ts';
import { FOR_DCC, type ResponseContent, readResponseContent } from './response-content.ts';

export type RenderingOptions = {
  signers: ResponseSigners;
  secrets: SharedSecrets;
  codes: Record<AssumedCode, string>;
};

/** A partition has at most so many: what numbers of one are multiplied by to be told apart. */
const PARTITIONS_MAX = 16;

/** The signed DUIS document of a delivery: the same each time but for the signature, whose nonce is new. */
export function renderDelivery(record: DeliveryRecord, options: RenderingOptions): string {
  const { signers, codes } = options;
  const { atMs, device, partition, requestOffset } = record;
  const requestId = {
    originator: euiText(record.user, 0),
    target: euiText(record.target, 0),
    counter: record.counter,
  };
  switch (record.kind) {
    case 'QUARANTINED_REQUEST': {
      const eventRef = BigInt(requestOffset) * BigInt(PARTITIONS_MAX) + BigInt(partition);
      const alert = { kind: 'quarantined-request', requestId, eventRef } as const;
      return renderAlert({ atMs, alertCode: codes.quarantineAlert, alert }, signers);
    }
    case 'SCHEDULE_REMOVAL': {
      const alert = {
        kind: 'schedule-removal',
        deviceId: euiText(device, 0),
        scheduleId: record.scheduleId ?? 0,
      } as const;
      return renderAlert({ atMs, alertCode: codes.scheduleRemovalAlert, alert }, signers);
    }
    case 'RESPONSE': {
      const answer = readResponseContent(record.response ?? Buffer.alloc(0));
      const facts = {
        requestId,
        srv: answer.srv as ServiceReferenceVariant,
        code: record.code ?? answer.code,
        atMs,
        ...(record.mode === 'SCHEDULED' ? { scheduleId: record.scheduleId ?? 0 } : {}),
        content: contentOf(record, answer, requestId, options),
      };
      return renderResponse(facts, signers);
    }
  }
}

function contentOf(
  record: DeliveryRecord,
  answer: ResponseContent,
  requestId: { originator: string; target: string; counter: bigint },
  { secrets }: RenderingOptions,
): Content {
  if ((record.code ?? answer.code) !== 'I0') return { kind: 'none' };
  if (FOR_DCC.has(answer.srv)) return dccContent(record, answer.srv);
  const { generation, rows } = answer;
  if (generation === undefined) return { kind: 'none' };
  const readings = { srv: answer.srv as ReadVariant, generation, success: true, rows };
  if (generation === 'SMETS1') return { kind: 'smets1', readings };
  const head = { device: euiText(record.device, 0), role: ROLES[answer.head.role] ?? 'MDR', atMs: record.atMs };
  // Of the answer's place in its partition, where all of a device's stand: they rise, and none is used twice.
  const counter = BigInt(record.responseOffset) * BigInt(PARTITIONS_MAX) + BigInt(record.partition);
  const payload = payloadOf(requestId, head, readings, secrets, () => ({
    brokerCounter: counter,
    deviceCounter: counter,
  }));
  return { kind: 'gbcs', payload };
}

function dccContent({ scheduleId, schedules, inventory }: DeliveryRecord, srv: string): Content {
  if (srv === '5.1' && scheduleId !== null) return { kind: 'schedule-created', id: scheduleId };
  if (srv === '5.2') return { kind: 'schedules', schedules: schedules.map(scheduleOf) };
  if (srv === '8.2' && inventory !== null) return { kind: 'inventory', devices: [deviceOf(inventory)] };
  return { kind: 'none' };
}

/** The stream's inventory knows neither maker nor model: they stand empty, as the schema allows. */
function deviceOf({ device, kind, generation, status, importMpan, exportMpan }: InventoryRecord): WorldDevice {
  return {
    id: euiText(device, 0),
    type: 'ESME',
    esme: kind === 'ESME',
    generation: generation as Generation,
    status: SMI_STATUSES.find((one) => one === status) as SmiStatus,
    installedDay: 0,
    manufacturer: '',
    model: '',
    ...(importMpan === null ? {} : { importMpan }),
    ...(exportMpan === null ? {} : { exportMpan }),
  };
}
