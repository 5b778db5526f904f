import { ON_DEMAND } from '#core/trt-row.ts';
import { AvroReader } from '#schemas/avro-binary.ts';
import { newDeviceRequest, readDeviceRequest } from '#schemas/device-request.ts';
import { REQUEST_KIND } from '#schemas/service-request.ts';
import { newServiceResponse, RESPONSE_KIND, readResponseHead } from '#schemas/service-response.ts';
import type { TopicName } from '#schemas/topics.ts';
import { WIRE_HEADER_BYTES } from '#schemas/wire.ts';
import type { Kafka } from '#services/platform/kafka/client.ts';
import { endOffsets, readPartitions } from '#services/platform/kafka/partition-reader.ts';
import { BatchCursor } from '#services/platform/kafka/record-batch.ts';

/** Wall instants at which one on-demand request was taken up by each service, ms; NaN where it was not. */
type Times = { dueMs: number; accessMs: number; anomalyMs: number; answeredMs: number };

/**
 * Where the time of on-demand requests goes: from when each was due until access control, the anomaly check and the
 * fleet wrote what they had to say about it, read off the records' own timestamps after the run. The fleet's part holds
 * the network's time.
 */
export async function onDemandStages(
  kafka: Kafka,
  prefix: string,
): Promise<{ stage: string; p50Ms: number; p99Ms: number; msMax: number }[]> {
  const byRequest = new Map<string, Times>();
  await eachRecord(kafka, prefix, 'anomaly-checks', (cursor, reader) => {
    const fields = newDeviceRequest();
    readDeviceRequest(reader, fields);
    if (fields.request.kind !== REQUEST_KIND.request) return;
    byRequest.set(`${fields.request.mpan} ${fields.requestOffset}`, {
      dueMs: fields.request.dueWallMs,
      accessMs: cursor.timestampMs,
      anomalyMs: Number.NaN,
      answeredMs: Number.NaN,
    });
  });
  await eachRecord(kafka, prefix, 'device-requests.on-demand', (cursor, reader) => {
    const fields = newDeviceRequest();
    readDeviceRequest(reader, fields);
    const times = byRequest.get(`${fields.request.mpan} ${fields.requestOffset}`);
    if (times !== undefined) times.anomalyMs = cursor.timestampMs;
  });
  await eachRecord(kafka, prefix, 'service-responses', (_, reader) => {
    const response = newServiceResponse();
    readResponseHead(reader, response);
    if (response.kind === RESPONSE_KIND.marker || response.mode !== ON_DEMAND) return;
    const times = byRequest.get(`${response.mpan} ${response.requestOffset}`);
    if (times !== undefined) times.answeredMs = response.sentWallMs;
  });
  const all = [...byRequest.values()];
  return (
    [
      ['until access control', ({ dueMs, accessMs }) => accessMs - dueMs],
      ['until the anomaly check', ({ accessMs, anomalyMs }) => anomalyMs - accessMs],
      ['until the answer', ({ anomalyMs, answeredMs }) => answeredMs - anomalyMs],
    ] as [string, (times: Times) => number][]
  ).map(([stage, of]) => {
    const values = all
      .map(of)
      .filter((ms) => !Number.isNaN(ms))
      .sort((a, b) => a - b);
    const at = (share: number) => Math.round(values[Math.min(values.length - 1, Math.floor(share * values.length))]);
    return { stage, p50Ms: at(0.5), p99Ms: at(0.99), msMax: at(1) };
  });
}

async function eachRecord(
  kafka: Kafka,
  prefix: string,
  topic: TopicName,
  take: (cursor: BatchCursor, reader: AvroReader) => void,
): Promise<void> {
  const ends = await endOffsets(kafka, prefix + topic);
  const cursor = new BatchCursor();
  const reader = new AvroReader();
  const reading = readPartitions(kafka, {
    partitions: ends.map((untilOffset, partition) => ({
      topic: prefix + topic,
      partition,
      fromOffset: 0,
      untilOffset,
    })),
    onBatch(batch) {
      cursor.open(batch);
      while (cursor.next()) {
        reader.open(cursor.buffer, cursor.valueAt + WIRE_HEADER_BYTES, cursor.valueAt + cursor.valueLength);
        take(cursor, reader);
      }
    },
  });
  await reading.done;
}
