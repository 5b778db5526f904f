import { kafkajsModule } from './kafkajs-insides.ts';
import {
  attributesOf,
  BATCH_HEADER_BYTES,
  batchBytesAt,
  batchKindAt,
  COMPRESSION_BITS,
  isAbortMarker,
  lastOffsetOf,
  MAGIC,
  MAGIC_AT,
  markPlain,
  producerIdOf,
  verifyCrc,
} from './record-batch.ts';

/** A record batch in the shape of one of kafkajs's messages, or the place of one that is not to be seen. */
export type RawMessage = {
  /** The last offset that the batch covers. */
  offset: string;
  key: null;
  /** The plain batch; none where there is nothing to see. */
  value: Buffer | null;
  headers: Record<string, never>;
  /** kafkajs hides control records and moves on past them: so it does with aborted batches. */
  isControlRecord: boolean;
  batchContext: Record<string, never>;
};
export type FetchedPartition = {
  partition: number;
  errorCode: number;
  highWatermark: string;
  lastStableOffset: string;
  lastStartOffset: string;
  abortedTransactions: [];
  preferredReadReplica: number;
  messages: RawMessage[];
};
export type FetchedTopics = { responses: { topicName: string; partitions: FetchedPartition[] }[] };
type AbortedTransaction = { producerId: number; firstOffset: number };

/** Fetch responses of version 11, with record batches left whole. */
export async function decodeRawFetch(payload: Buffer): Promise<unknown> {
  const decoder = new Decoder(payload);
  const clientSideThrottleTime = decoder.readInt32();
  const errorCode = decoder.readInt16();
  const sessionId = decoder.readInt32();
  const responses = await decoder.readArrayAsync(async () => ({
    topicName: decoder.readString(),
    partitions: await decoder.readArrayAsync(decodePartition),
  }));
  return { throttleTime: 0, clientSideThrottleTime, errorCode, sessionId, responses };
}

/** Batches that stand one after another as raw messages; the last may be cut off by the fetch's limit. */
export async function toRawMessages(records: Buffer, aborted: readonly AbortedTransaction[]): Promise<RawMessage[]> {
  if (records.length > MAGIC_AT && records[MAGIC_AT] !== MAGIC) return await fromOldFormat(records);
  const messages: RawMessage[] = [];
  const abortedProducers = new Set<number>();
  let abortedSeen = 0;
  for (let at = 0; ; ) {
    const bytes = batchBytesAt(records, at);
    if (bytes === 0) return messages;
    const batch = records.subarray(at, at + bytes);
    at += bytes;
    const lastOffset = lastOffsetOf(batch);
    while (abortedSeen < aborted.length && aborted[abortedSeen].firstOffset <= lastOffset)
      abortedProducers.add(aborted[abortedSeen++].producerId);
    const kind = batchKindAt(batch, 0);
    if (kind === 'plain') messages.push(message(lastOffset, batch));
    else if (kind === 'control') {
      if (isAbortMarker(batch)) abortedProducers.delete(producerIdOf(batch));
      messages.push(message(lastOffset, null));
    } else if (kind === 'transactional' && abortedProducers.has(producerIdOf(batch)))
      messages.push(message(lastOffset, null));
    else messages.push(message(lastOffset, await toPlain(batch)));
  }
}

type KafkajsDecoder = {
  offset: number;
  buffer: Buffer;
  readInt16(): number;
  readInt32(): number;
  readInt64(): bigint;
  readString(): string;
  readArray<T>(read: () => T): T[];
  readArrayAsync<T>(read: (decoder: KafkajsDecoder) => Promise<T>): Promise<T[]>;
};
const Decoder = kafkajsModule<new (buffer: Buffer) => KafkajsDecoder>('protocol/decoder.js');
const { lookupCodecByAttributes } = kafkajsModule<{
  lookupCodecByAttributes(attributes: number): { decompress(bytes: Buffer): Promise<Buffer> };
}>('protocol/message/compression/index.js');

async function decodePartition(decoder: KafkajsDecoder): Promise<FetchedPartition> {
  const partition = decoder.readInt32();
  const errorCode = decoder.readInt16();
  const highWatermark = decoder.readInt64().toString();
  const lastStableOffset = decoder.readInt64().toString();
  const lastStartOffset = decoder.readInt64().toString();
  const aborted = decoder.readArray(() => ({
    producerId: Number(decoder.readInt64()),
    firstOffset: Number(decoder.readInt64()),
  }));
  const preferredReadReplica = decoder.readInt32();
  const bytes = Math.max(0, decoder.readInt32());
  const records = decoder.buffer.subarray(decoder.offset, decoder.offset + bytes);
  decoder.offset += bytes;
  const messages = await toRawMessages(
    records,
    aborted.toSorted((one, other) => one.firstOffset - other.firstOffset),
  );
  // What was aborted is left out already: kafkajs, given no list, looks for nothing.
  const abortedTransactions: [] = [];
  const offsets = { highWatermark, lastStableOffset, lastStartOffset };
  return { partition, errorCode, ...offsets, abortedTransactions, preferredReadReplica, messages };
}

/**
 * The same records as a plain batch. The format of a record is the same in all batches, so no record is touched: a
 * compressed batch is unpacked, and the header says what it is now. What cannot be unpacked, for want of a codec or
 * because it is damaged, is returned as it came: the cursor refuses it with its reason, and the stream goes on.
 */
async function toPlain(batch: Buffer): Promise<Buffer> {
  try {
    verifyCrc(batch);
    const plain = (attributesOf(batch) & COMPRESSION_BITS) === 0 ? batch : await unpack(batch);
    markPlain(plain);
    return plain;
  } catch {
    return batch;
  }
}

async function unpack(batch: Buffer): Promise<Buffer> {
  const records = await lookupCodecByAttributes(attributesOf(batch)).decompress(batch.subarray(BATCH_HEADER_BYTES));
  return Buffer.concat([batch.subarray(0, BATCH_HEADER_BYTES), records]);
}

type OldMessage = { offset: string; timestamp?: string; key: Buffer | null; value: Buffer | null };

/** Messages of before Kafka 0.11 have another format each; kafkajs reads them and writes them anew. */
async function fromOldFormat(records: Buffer): Promise<RawMessage[]> {
  const decode = kafkajsModule<(decoder: KafkajsDecoder, bytes: number) => Promise<OldMessage[]>>(
    'protocol/messageSet/decoder.js',
  );
  const encodeRecord = kafkajsModule<(record: object) => unknown>('protocol/recordBatch/record/v0/index.js');
  const { RecordBatch } = kafkajsModule<{ RecordBatch(batch: object): Promise<{ buffer: Buffer }> }>(
    'protocol/recordBatch/v0/index.js',
  );
  const old = await decode(new Decoder(records), records.length);
  if (old.length === 0) return [];
  const firstOffset = Number(old[0].offset);
  const lastOffset = Number(old[old.length - 1].offset);
  const timestamps = old.map(({ timestamp }) => Number(timestamp ?? -1));
  const { buffer } = await RecordBatch({
    firstOffset,
    firstTimestamp: timestamps[0],
    maxTimestamp: Math.max(...timestamps),
    lastOffsetDelta: lastOffset - firstOffset,
    records: old.map(({ offset, key, value }, k) =>
      encodeRecord({
        offsetDelta: Number(offset) - firstOffset,
        timestampDelta: timestamps[k] - timestamps[0],
        key,
        value,
      }),
    ),
  });
  return [message(lastOffset, buffer)];
}

function message(lastOffset: number, value: Buffer | null): RawMessage {
  return {
    offset: String(lastOffset),
    key: null,
    value,
    headers: {},
    isControlRecord: value === null,
    batchContext: {},
  };
}
