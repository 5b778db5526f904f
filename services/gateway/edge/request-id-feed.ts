import { DCC_ACCESS_CONTROL_BROKER } from '#core/identifiers.ts';
import { type Matrix, SRVS } from '#core/matrix.ts';
import { AvroReader, MalformedBinary } from '#schemas/avro-binary.ts';
import { bigCounterOf } from '#schemas/counter.ts';
import { newServiceRequest, REQUEST_KIND, readServiceRequest, SOURCE } from '#schemas/service-request.ts';
import { euiBytes, WIRE_HEADER_BYTES, wireSchemaId } from '#schemas/wire.ts';
import type { BatchWalk } from '#services/platform/batch-walk.ts';
import { nowMs } from '#services/platform/clock.ts';
import type { Reading } from '#services/platform/kafka/partition-reader.ts';
import type { ServiceContext } from '#services/platform/service.ts';
import { REQUEST_ID_BYTES, type RequestIds } from './request-ids.ts';
import { LANE } from './request-lane.ts';
import { followTopic } from './topic-feed.ts';

const FETCH_WAIT_MS_MAX = 100;

/**
 * Follows what all processes of the gateway have accepted, from `rememberMs` ago on: a RequestID accepted by another one
 * is known here as soon as the broker has it. Resolves when what was there is known; `stop` ends it.
 */
export async function followRequestIds(
  context: ServiceContext,
  ids: RequestIds,
  matrix: Matrix,
  rememberMs: number,
): Promise<Reading['stop']> {
  const { admin, settings, schemaIds } = context;
  const since = await admin.fetchTopicOffsetsByTimestamp(settings.prefix + LANE, Math.floor(nowMs() - rememberMs));
  const from = new Map(since.map(({ partition, offset }) => [partition, Number(offset)]));
  return await followTopic(context, LANE, takerOf(ids, matrix, schemaIds[LANE]), {
    from,
    maxWaitMs: FETCH_WAIT_MS_MAX,
  });
}

// What cannot be used is set aside by access control.
function takerOf(ids: RequestIds, matrix: Matrix, schemaId: number): (walk: BatchWalk) => void {
  const reader = new AvroReader();
  const request = newServiceRequest();
  const id = Buffer.alloc(REQUEST_ID_BYTES);
  const broker = euiBytes(DCC_ACCESS_CONTROL_BROKER);
  const isForDcc = SRVS.map((_, symbol) => matrix.services[matrix.srv.indexOf(symbol)]?.target === 'dcc');
  return ({ cursor: { buffer, valueAt, valueLength } }) => {
    if (wireSchemaId(buffer, valueAt, valueLength) !== schemaId) return;
    try {
      readServiceRequest(reader.open(buffer, valueAt + WIRE_HEADER_BYTES, valueAt + valueLength), request);
    } catch (error) {
      if (!(error instanceof MalformedBinary)) throw error;
      return;
    }
    if (request.source < SOURCE.gateway || request.kind !== REQUEST_KIND.request) return;
    buffer.copy(id, 0, request.originatorAt, request.originatorAt + 8);
    if (isForDcc[request.srv]) broker.copy(id, 8);
    else buffer.copy(id, 8, request.deviceAt, request.deviceAt + 8);
    id.writeBigUInt64BE(bigCounterOf(request), 16);
    ids.add(id, 0, nowMs());
  };
}
