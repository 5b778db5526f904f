import { crc32c } from '@node-rs/crc32';
import { AvroReader, bytesOfLength, MalformedBinary, writeFixed, writeLong } from '#schemas/avro-binary.ts';
import { KafkaError } from './errors.ts';
/**
 * Kafka's RecordBatch, format 2, built and walked in place: nothing is allocated per record.
 *
 *    0 baseOffset int64          23 lastOffsetDelta int32       61 records, one after another:
 *    8 batchLength int32, of     27 baseTimestamp int64            length varint, of the rest
 *      what follows              35 maxTimestamp int64             attributes int8
 *   12 leaderEpoch int32         43 producerId int64               timestampDelta varlong, offsetDelta varint
 *   16 magic int8                51 producerEpoch int16            keyLength varint (-1: none), key
 *   17 crc uint32, of 21 to end  53 baseSequence int32             valueLength varint (-1: tombstone), value
 *   21 attributes int16          57 count int32                    headers: count varint, (key, value) each
 */
export const BATCH_HEADER_BYTES = 61;
/** Most bytes that a record takes besides its key and value: lengths 3 x 5, attributes, timestamp, offset, headers. */
export const RECORD_OVERHEAD_BYTES_MAX = 3 * 5 + 1 + 8 + 5 + 1;

const LENGTH_AT = 8;
/** Bytes before what batchLength counts. */
const LENGTH_END = 12;
const EPOCH_AT = 12;
export const MAGIC_AT = 16;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const LAST_OFFSET_DELTA_AT = 23;
const BASE_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
const PRODUCER_ID_AT = 43;
const PRODUCER_EPOCH_AT = 51;
const BASE_SEQUENCE_AT = 53;
const COUNT_AT = 57;

export const COMPRESSION_BITS = 0x07;
const LOG_APPEND_TIME_BIT = 0x08;
const TRANSACTIONAL_BIT = 0x10;
const CONTROL_BIT = 0x20;

const ABORT_MARKER_TYPE = 0;
export const MAGIC = 2;
const TWO_32 = 2 ** 32;

/**
 * One batch at a time, in one buffer: `begin`, write the value into `buffer` at the position returned, `end`; over and
 * again while `fits`; then `finish` or `take`, and `reset`. A record begun and not ended is as if never begun.
 * The lengths stand before what they measure, so room is left for as many digits as the last record's took; only where
 * that guess fails is the record moved by a byte or two.
 */
export class BatchBuilder {
  readonly buffer: Buffer;
  count = 0;
  /** Length of the batch as it is. */
  bytes = BATCH_HEADER_BYTES;
  #baseTimestampMs = 0;
  #maxTimestampMs = 0;
  // The record begun.
  #timestampMs = 0;
  #valueAt = 0;
  #recordLengthBytes = 2;
  #valueLengthBytes = 2;

  /** `bytesMax`: the largest batch, header included. Below the topic's `max.message.bytes`. */
  constructor(bytesMax: number) {
    this.buffer = Buffer.allocUnsafeSlow(bytesMax);
  }

  reset(): void {
    this.count = 0;
    this.bytes = BATCH_HEADER_BYTES;
  }

  /** True if another record fits whose key and value have no more than so many bytes together. */
  fits(bytes: number): boolean {
    return this.bytes + RECORD_OVERHEAD_BYTES_MAX + bytes <= this.buffer.length;
  }

  /** Begins a record without key. The caller writes the value at the position returned. */
  beginWithoutKey(timestampMs: number): number {
    if (!this.fits(0)) throw new Error('no record fits: ask fits() before');
    const at = this.#beginRecord(timestampMs);
    this.buffer[at] = 1;
    this.#valueAt = at + 1 + this.#valueLengthBytes;
    return this.#valueAt;
  }

  /** Begins a record whose key is copied from a slice. The caller writes the value at the position returned. */
  begin(timestampMs: number, key: Uint8Array, keyAt: number, keyLength: number): number {
    this.#valueAt = this.#beginKeyed(timestampMs, key, keyAt, keyLength) + this.#valueLengthBytes;
    return this.#valueAt;
  }

  /** Ends the record begun: `valueEnd` is the position behind its value. */
  end(valueEnd: number): void {
    const buffer = this.buffer;
    const valueLength = valueEnd - this.#valueAt;
    const valueLengthBytes = bytesOfLength(valueLength);
    const headBytes = this.#valueAt - this.#valueLengthBytes - this.bytes - this.#recordLengthBytes;
    const recordLength = headBytes + valueLengthBytes + valueLength + 1;
    const recordLengthBytes = bytesOfLength(recordLength);
    const recordEnd = this.bytes + recordLengthBytes + recordLength;
    if (valueLength < 0 || Math.max(recordEnd, valueEnd) > buffer.length)
      throw new Error(`a value of ${valueLength} bytes was written where it does not fit: ask fits() before`);
    if (recordLengthBytes !== this.#recordLengthBytes || valueLengthBytes !== this.#valueLengthBytes)
      this.#move(headBytes, recordLengthBytes, valueLengthBytes, valueLength);
    writeLong(buffer, this.bytes, recordLength);
    writeLong(buffer, this.#valueAt - valueLengthBytes, valueLength);
    this.#endRecord(recordEnd);
  }

  /** A record without value: on a compacted topic it deletes its key. */
  tombstone(timestampMs: number, key: Uint8Array, keyAt: number, keyLength: number): void {
    const keyEnd = this.#beginKeyed(timestampMs, key, keyAt, keyLength);
    const headBytes = keyEnd - this.bytes - this.#recordLengthBytes;
    const recordLength = headBytes + 2;
    const recordLengthBytes = bytesOfLength(recordLength);
    this.#valueAt = keyEnd + this.#valueLengthBytes;
    if (recordLengthBytes !== this.#recordLengthBytes)
      this.#move(headBytes, recordLengthBytes, this.#valueLengthBytes, 0);
    const headEnd = this.bytes + recordLengthBytes + headBytes;
    writeLong(this.buffer, this.bytes, recordLength);
    this.buffer[headEnd] = 1;
    this.#endRecord(headEnd + 2);
  }

  /** The finished batch, in the builder's own memory: good until the next `begin` or `reset`. */
  finish(): Uint8Array {
    if (this.count === 0) throw new Error('a batch without records: no broker takes it');
    const buffer = this.buffer;
    writeInt64(buffer, 0, 0);
    buffer.writeInt32BE(this.bytes - LENGTH_END, LENGTH_AT);
    buffer.writeInt32BE(0, EPOCH_AT);
    buffer[MAGIC_AT] = MAGIC;
    buffer.writeInt16BE(0, ATTRIBUTES_AT);
    buffer.writeInt32BE(this.count - 1, LAST_OFFSET_DELTA_AT);
    writeInt64(buffer, BASE_TIMESTAMP_AT, this.#baseTimestampMs);
    writeInt64(buffer, MAX_TIMESTAMP_AT, this.#maxTimestampMs);
    writeInt64(buffer, PRODUCER_ID_AT, -1);
    buffer.writeInt16BE(-1, PRODUCER_EPOCH_AT);
    buffer.writeInt32BE(-1, BASE_SEQUENCE_AT);
    buffer.writeInt32BE(this.count, COUNT_AT);
    const batch = buffer.subarray(0, this.bytes);
    sealBatch(batch);
    return batch;
  }

  /** The finished batch in memory of its own, to be moved to another thread. Checksum and copy: 55 us for 100 kB. */
  take(): ArrayBuffer {
    return joinBatches([this.finish()]);
  }

  /** Writes what stands before the key, room for the length included, and returns the key's position. */
  #beginRecord(timestampMs: number): number {
    if (this.count === 0) this.#baseTimestampMs = this.#maxTimestampMs = timestampMs;
    this.#timestampMs = timestampMs;
    const buffer = this.buffer;
    let at = this.bytes + this.#recordLengthBytes;
    buffer[at++] = 0;
    at = writeLong(buffer, at, timestampMs - this.#baseTimestampMs);
    return writeLong(buffer, at, this.count);
  }

  /** Writes a record up to its key and returns the position behind it. */
  #beginKeyed(timestampMs: number, key: Uint8Array, keyAt: number, keyLength: number): number {
    if (!this.fits(keyLength)) throw new Error(`a key of ${keyLength} bytes does not fit: ask fits() before`);
    const at = writeLong(this.buffer, this.#beginRecord(timestampMs), keyLength);
    return writeFixed(this.buffer, at, key, keyAt, keyLength);
  }

  /** The record's last byte is its count of headers: none. */
  #endRecord(recordEnd: number): void {
    this.buffer[recordEnd - 1] = 0;
    this.bytes = recordEnd;
    this.count++;
    if (this.#timestampMs > this.#maxTimestampMs) this.#maxTimestampMs = this.#timestampMs;
  }

  /** Makes room for lengths of other digits. What would be overwritten by the other's move goes first. */
  #move(headBytes: number, recordLengthBytes: number, valueLengthBytes: number, valueLength: number): void {
    const buffer = this.buffer;
    const headAt = this.bytes + this.#recordLengthBytes;
    const headTo = this.bytes + recordLengthBytes;
    const valueAt = this.#valueAt;
    const valueTo = headTo + headBytes + valueLengthBytes;
    if (valueTo <= valueAt) buffer.copyWithin(headTo, headAt, headAt + headBytes);
    buffer.copyWithin(valueTo, valueAt, valueAt + valueLength);
    if (valueTo > valueAt) buffer.copyWithin(headTo, headAt, headAt + headBytes);
    this.#valueAt = valueTo;
    this.#recordLengthBytes = recordLengthBytes;
    this.#valueLengthBytes = valueLengthBytes;
  }
}

/**
 * Walks the records of one plain batch: `open`, then `next` until it returns false. Every field is bounds-checked, so
 * bytes that are no batch end in a KafkaError, never in a read outside or a loop without end.
 */
export class BatchCursor {
  buffer: Buffer = Buffer.alloc(0);
  baseOffset = 0;
  /** Last offset that the batch covers. Compaction may have removed its record. */
  lastOffset = 0;
  /** Records in the batch, those before the offset asked for included. 0 where compaction removed them all. */
  count = 0;
  offset = 0;
  timestampMs = 0;
  keyAt = 0;
  /** -1: no key. */
  keyLength = -1;
  valueAt = 0;
  /** -1: tombstone. */
  valueLength = -1;
  readonly #reader = new AvroReader();
  #left = 0;
  #fromOffset = 0;
  #untilOffset = Number.POSITIVE_INFINITY;
  #baseTimestampMs = 0;
  #lastOffsetDelta = 0;
  /** Of the broker's append, for all records; -1 where each has its own. */
  #appendTimestampMs = -1;

  /** Opens the batch at the start of the buffer. Only records from `fromOffset` to before `untilOffset` are shown. */
  open(buffer: Buffer, fromOffset = 0, untilOffset = Number.POSITIVE_INFINITY): this {
    const bytes = batchBytesAt(buffer, 0);
    if (bytes === 0) throw malformed(`a batch cut off after ${buffer.length} bytes`);
    const kind = batchKindAt(buffer, 0);
    if (kind !== 'plain') throw new KafkaError('BATCH_UNSUPPORTED', `a ${kind} batch does not open as it is`);
    const attributes = buffer.readInt16BE(ATTRIBUTES_AT);
    this.buffer = buffer;
    this.baseOffset = readInt64(buffer, 0);
    verifyCrc(buffer.subarray(0, bytes));
    this.#lastOffsetDelta = buffer.readInt32BE(LAST_OFFSET_DELTA_AT);
    this.lastOffset = this.baseOffset + this.#lastOffsetDelta;
    this.count = buffer.readInt32BE(COUNT_AT);
    if (this.#lastOffsetDelta < 0 || this.count < 0) throw malformed(`${this.count} records`);
    this.#left = this.count;
    this.#fromOffset = fromOffset;
    this.#untilOffset = untilOffset;
    this.#baseTimestampMs = readInt64(buffer, BASE_TIMESTAMP_AT);
    this.#appendTimestampMs = (attributes & LOG_APPEND_TIME_BIT) === 0 ? -1 : readInt64(buffer, MAX_TIMESTAMP_AT);
    this.#reader.open(buffer, BATCH_HEADER_BYTES, bytes);
    return this;
  }

  next(): boolean {
    try {
      while (this.#left > 0) {
        this.#left--;
        this.#read();
        if (this.offset >= this.#untilOffset) return false;
        if (this.offset >= this.#fromOffset) return true;
      }
    } catch (error) {
      this.#left = 0;
      throw error instanceof MalformedBinary ? malformed(error.message, error) : error;
    }
    return false;
  }

  #read(): void {
    const reader = this.#reader;
    const recordEnd = reader.length() + reader.at;
    reader.skip(1);
    const timestampDeltaMs = reader.long();
    this.timestampMs =
      this.#appendTimestampMs === -1 ? this.#baseTimestampMs + timestampDeltaMs : this.#appendTimestampMs;
    const offsetDelta = reader.int();
    if (offsetDelta < 0 || offsetDelta > this.#lastOffsetDelta) throw malformed(`a record at offset +${offsetDelta}`);
    this.offset = this.baseOffset + offsetDelta;
    this.keyLength = this.#lengthOrNone();
    this.keyAt = reader.at;
    if (this.keyLength > 0) reader.skip(this.keyLength);
    this.valueLength = this.#lengthOrNone();
    this.valueAt = reader.at;
    if (this.valueLength > 0) reader.skip(this.valueLength);
    if (reader.at + 1 !== recordEnd || this.buffer[reader.at] !== 0) this.#skipHeaders();
    else reader.at = recordEnd;
    if (reader.at !== recordEnd) throw malformed(`a record of another length than it says, at offset ${this.offset}`);
    if (this.#left === 0 && recordEnd !== reader.end) throw malformed('bytes behind the last record');
  }

  /** Each header takes two bytes or more, so the loop ends with the bytes, whatever count they claim. */
  #skipHeaders(): void {
    const reader = this.#reader;
    for (let headers = reader.length(); headers > 0; headers--) {
      reader.skipBytes();
      const valueLength = this.#lengthOrNone();
      if (valueLength > 0) reader.skip(valueLength);
    }
  }

  #lengthOrNone(): number {
    const length = this.#reader.int();
    if (length < -1) throw malformed(`a length of ${length}`);
    return length;
  }
}

export type BatchKind = 'plain' | 'compressed' | 'transactional' | 'control' | 'old-format';

/** What a batch is, from its header. A batch that is several of these is the last of them in the type's order. */
export function batchKindAt(buffer: Buffer, at: number): BatchKind {
  if (buffer[at + MAGIC_AT] !== MAGIC) return 'old-format';
  const attributes = buffer.readInt16BE(at + ATTRIBUTES_AT);
  if ((attributes & CONTROL_BIT) !== 0) return 'control';
  if ((attributes & TRANSACTIONAL_BIT) !== 0) return 'transactional';
  return (attributes & COMPRESSION_BITS) !== 0 ? 'compressed' : 'plain';
}

/** Length of the batch at a position; 0 if the buffer ends before the batch does. */
export function batchBytesAt(buffer: Buffer, at: number): number {
  if (buffer.length - at < BATCH_HEADER_BYTES) return 0;
  const bytes = buffer.readInt32BE(at + LENGTH_AT) + LENGTH_END;
  if (bytes < BATCH_HEADER_BYTES) throw malformed(`a batch of ${bytes} bytes`);
  return bytes <= buffer.length - at ? bytes : 0;
}

/** Last offset that a batch covers: the next fetch goes on behind it. */
export function lastOffsetOf(batch: Buffer): number {
  return readInt64(batch, 0) + batch.readInt32BE(LAST_OFFSET_DELTA_AT);
}

/** Records in a batch. */
export function countOf(batch: Buffer): number {
  return batch.readInt32BE(COUNT_AT);
}

/** Checksum of everything that a broker leaves as it is. */
export function crcOf(batch: Uint8Array): number {
  return ((batch[CRC_AT] << 24) | (batch[CRC_AT + 1] << 16) | (batch[CRC_AT + 2] << 8) | batch[CRC_AT + 3]) >>> 0;
}

export function producerIdOf(batch: Buffer): number {
  return readInt64(batch, PRODUCER_ID_AT);
}

export function attributesOf(batch: Buffer): number {
  return batch.readInt16BE(ATTRIBUTES_AT);
}

/** Whether a control batch says that its producer's transaction was aborted. */
export function isAbortMarker(batch: Buffer): boolean {
  const reader = new AvroReader().open(batch, BATCH_HEADER_BYTES);
  reader.length();
  reader.skip(1);
  reader.skipLong();
  reader.skipLong();
  const keyLength = reader.length();
  const keyAt = reader.skip(keyLength);
  return keyLength >= 4 && batch.readInt16BE(keyAt + 2) === ABORT_MARKER_TYPE;
}

/** The whole batches that stand one after another in a buffer, as slices of it. */
export function splitBatches(buffer: Buffer): Buffer[] {
  const batches = [];
  for (let at = 0; at < buffer.length; ) {
    const bytes = batchBytesAt(buffer, at);
    if (bytes === 0) throw malformed(`a batch cut off after ${buffer.length - at} bytes`);
    batches.push(buffer.subarray(at, at + bytes));
    at += bytes;
  }
  return batches;
}

/** Batches one after another in memory of their own, to be moved to another thread. */
export function joinBatches(batches: readonly Uint8Array[]): ArrayBuffer {
  let bytes = 0;
  for (const batch of batches) bytes += batch.length;
  const joined = new Uint8Array(bytes);
  let at = 0;
  for (const batch of batches) {
    joined.set(batch, at);
    at += batch.length;
  }
  return joined.buffer;
}

/** Throws BATCH_CORRUPT where the checksum is not that of the bytes. */
export function verifyCrc(batch: Buffer): void {
  if (crc32c(batch.subarray(ATTRIBUTES_AT)) !== batch.readUInt32BE(CRC_AT))
    throw new KafkaError('BATCH_CORRUPT', `the batch at offset ${readInt64(batch, 0)} does not match its checksum`);
}

/** Rewrites the header of a batch whose records are plain now: not compressed, and of no transaction. */
export function markPlain(batch: Buffer): void {
  batch.writeInt32BE(batch.length - LENGTH_END, LENGTH_AT);
  batch.writeInt16BE(attributesOf(batch) & ~(COMPRESSION_BITS | TRANSACTIONAL_BIT), ATTRIBUTES_AT);
  sealBatch(batch);
}

function sealBatch(batch: Buffer): void {
  batch.writeUInt32BE(crc32c(batch.subarray(ATTRIBUTES_AT)), CRC_AT);
}

function malformed(what: string, cause?: Error): KafkaError {
  return new KafkaError('BATCH_MALFORMED', `no record batch: ${what}`, { cause });
}

/** An int64 that is a safe integer; others do not occur as offsets, timestamps or producer ids. */
function readInt64(buffer: Buffer, at: number): number {
  const value = buffer.readInt32BE(at) * TWO_32 + buffer.readUInt32BE(at + 4);
  if (!Number.isSafeInteger(value)) throw malformed(`${value} where an offset or a time belongs`);
  return value;
}

function writeInt64(buffer: Buffer, at: number, value: number): void {
  buffer.writeInt32BE(Math.floor(value / TWO_32), at);
  buffer.writeUInt32BE(value >>> 0, at + 4);
}
