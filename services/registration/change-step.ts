import { partitionOfMpan } from '#core/partition.ts';
import { AvroReader, MalformedBinary, writeBoolean, writeLong } from '#schemas/avro-binary.ts';
import { MPAN_KEY_BYTES, WIRE_HEADER_BYTES, writeMpanKey } from '#schemas/wire.ts';
import { BatchWalk } from '#services/platform/batch-walk.ts';
import type { DeadLetter, DeadLetterReason } from '#services/platform/kafka/dead-letter.ts';
import type { SchemaIds } from '#services/platform/kafka/registry.ts';
import { type FinishedBatch, type Lane, StepOutput } from '#services/platform/step-output.ts';
import {
  AppointmentList,
  appointmentsBytesMax,
  gapIn,
  NO_ETD,
  overlapIn,
  readAppointments,
  writeAppointments,
} from './appointment-list.ts';
import { type AppointmentTable, FIRST_DAY, LAST_DAY } from './appointment-table.ts';
import { OUTCOME, OutcomeWriter } from './outcomes.ts';

export type ChangeCounts = { applied: number; stale: number; duplicate: number; setAside: number };
export type ChangeTask = {
  partition: number;
  batches: readonly Uint8Array[];
  fromOffset: number;
  /** Of what is written, whole ms. */
  stampMs: number;
  table: AppointmentTable;
};
export type FollowTask = Omit<ChangeTask, 'fromOffset'> & {
  late: readonly number[];
  isRestored: boolean;
  /** Whether something of this owner's writing may stand behind these batches. */
  isWriting: boolean;
};
export type FollowResult = { registrations: FinishedBatch[]; late: number[]; deadLetters: DeadLetter[] };
export type ChangeResult = {
  nextOffset: number;
  counts: ChangeCounts;
  /** To be acknowledged before the outcomes are sent. */
  registrations: FinishedBatch[];
  outcomes: FinishedBatch[];
  deadLetters: DeadLetter[];
};

const VALUE_BYTES_MAX = 64 * 1024;
/** MPAN and sequence with their lengths, whether removed. */
const HEAD_BYTES_MAX = 8 + 8 + 1;

/**
 * Applies changes to one partition's registrations. Of two changes of an MPAN the one of the higher sequence is later:
 * its appointments join those that are there, one of the same role and EFD takes the earlier one's place. A change that
 * is not above the last sequence changes nothing.
 */
export class ChangeStep {
  readonly #walk = new BatchWalk('registration');
  readonly #reader = new AvroReader();
  readonly #output = new StepOutput();
  readonly #outcomes: OutcomeWriter;
  readonly #change = new AppointmentList();
  readonly #before = new AppointmentList();
  readonly #after = new AppointmentList();
  readonly #key = Buffer.alloc(MPAN_KEY_BYTES);
  readonly #schemaIds: SchemaIds;
  readonly #partitions: number;
  readonly #counts: ChangeCounts = { applied: 0, stale: 0, duplicate: 0, setAside: 0 };
  // Of the change under the cursor.
  #mpan = 0;
  #sequence = 0;
  #isRemoved = false;
  #lane: Lane | undefined;
  #stampMs = 0;

  constructor(schemaIds: SchemaIds, partitions: number) {
    this.#schemaIds = schemaIds;
    this.#partitions = partitions;
    this.#outcomes = new OutcomeWriter(schemaIds['registration-outcomes']);
  }

  /** Decides changes, and says what becomes of each. */
  decide({ partition, batches, fromOffset, stampMs, table }: ChangeTask): ChangeResult {
    const walk = this.#walk;
    walk.begin({ topic: 'registration-changes', partition, batches, fromOffset });
    this.#begin(partition, stampMs);
    Object.assign(this.#counts, { applied: 0, stale: 0, duplicate: 0, setAside: 0 });
    this.#outcomes.begin(partition, stampMs, fromOffset);
    while (walk.next()) {
      const { offset } = walk.cursor;
      const letters = walk.deadLetters.length;
      const outcome = this.#decideOne(partition, table);
      if (outcome === OUTCOME.applied) this.#counts.applied++;
      else if (outcome === OUTCOME.stale) this.#counts.stale++;
      else if (outcome === OUTCOME.duplicate) this.#counts.duplicate++;
      else this.#counts.setAside++;
      this.#outcomes.add(offset, outcome, walk.deadLetters[letters]?.detail ?? '');
    }
    return {
      nextOffset: walk.nextOffset,
      counts: { ...this.#counts },
      registrations: this.#output.take(),
      outcomes: this.#outcomes.take(walk.nextOffset),
      deadLetters: walk.deadLetters,
    };
  }

  /**
   * Takes in registrations that are in the topic and not of this owner's writing: those from before it had the
   * partition, and what another writes that has not noticed that it lost it. The higher sequence is the later one,
   * wherever it stands.
   *
   * What is compacted away must never be the later one, so an MPAN's last record has to be it. `late` are the MPANs
   * whose last record seen is not. While the topic is being read for the first time they are noted: the right record
   * may stand further on. Afterwards each MPAN of which another writes anything else than is known is written anew:
   * behind what the other wrote, and behind what is still on its way from here. Where another says something else under
   * the sequence that is known, what is known stands: the owner has said so.
   *
   * A record without a value is an operator's: its MPAN is forgotten, with its sequence. What is on its way from here
   * was decided before, and would stand behind it: so another one is written behind that.
   */
  follow({ partition, batches, stampMs, table, late, isRestored, isWriting }: FollowTask): FollowResult {
    const walk = this.#walk;
    const behind = new Set(late);
    walk.begin({ topic: 'registrations', partition, batches, fromOffset: 0 });
    this.#begin(partition, stampMs);
    while (walk.next()) {
      if (!this.#readKey(partition)) continue;
      if (walk.cursor.valueLength < 0) {
        this.#after.clear();
        behind.delete(this.#mpan);
        if (table.find(this.#mpan) < 0) continue;
        table.store(this.#mpan, 0, this.#after);
        if (isRestored && isWriting) behind.add(this.#mpan);
      } else if (walk.hasValue(this.#schemaIds.registrations, VALUE_BYTES_MAX) && this.#read(false)) {
        const at = table.find(this.#mpan);
        const known = at < 0 || this.#isForgotten(table, at) ? -1 : table.sequence(at);
        const isSame = this.#sequence === known && (!isRestored || this.#isKnown(table, at));
        if (this.#sequence > known || isSame) table.store(this.#mpan, this.#sequence, this.#change);
        if (isRestored ? !isSame : this.#sequence < known) behind.add(this.#mpan);
        // Once restored, the last record seen is not the last there will be: an older one may be on its way from here.
        else if (!isRestored && behind.size > 0) behind.delete(this.#mpan);
      }
    }
    if (!isRestored) return { registrations: [], late: [...behind], deadLetters: walk.deadLetters };
    for (const mpan of behind) this.#rewrite(mpan, table);
    return { registrations: this.#output.take(), late: [], deadLetters: walk.deadLetters };
  }

  #begin(partition: number, stampMs: number): void {
    this.#lane = this.#output.lane('registrations', partition, this.#schemaIds.registrations);
    this.#stampMs = stampMs;
  }

  #decideOne(partition: number, table: AppointmentTable): number {
    const walk = this.#walk;
    if (!this.#readKey(partition)) return OUTCOME.setAside;
    if (!walk.hasValue(this.#schemaIds['registration-changes'], VALUE_BYTES_MAX)) return OUTCOME.setAside;
    if (!this.#read(true)) return OUTCOME.setAside;
    const at = table.find(this.#mpan);
    const last = at < 0 ? 0 : table.sequence(at);
    if (this.#sequence < last) return OUTCOME.stale;
    if (at < 0) this.#before.clear();
    else table.load(at, this.#before);
    if (!this.#merge()) return OUTCOME.setAside;
    if (this.#sequence === last) {
      if (this.#after.equals(this.#before)) return OUTCOME.duplicate;
      this.#refuse('IMPOSSIBLE_VALUE', `sequence ${last} of ${this.#mpan} has said something else before`);
      return OUTCOME.setAside;
    }
    const wrong = overlapIn(this.#change) ?? gapIn(this.#after, this.#change);
    if (wrong !== undefined) {
      this.#refuse('IMPOSSIBLE_VALUE', wrong);
      return OUTCOME.setAside;
    }
    table.store(this.#mpan, this.#sequence, this.#after);
    this.#write();
    return OUTCOME.applied;
  }

  /** Makes what the MPAN has after the change. */
  #merge(): boolean {
    const { roles, mpids, efds, etds, count } = this.#change;
    this.#after.copyFrom(this.#before);
    if (this.#isRemoved) this.#after.clear();
    for (let k = 0; k < count; k++) {
      if (!this.#after.put(roles[k], mpids[k], efds[k], etds[k]))
        return this.#refuse('OVERSIZED', `more than ${this.#after.count} appointments of ${this.#mpan}`);
    }
    return true;
  }

  #readKey(partition: number): boolean {
    const { buffer, keyAt, keyLength } = this.#walk.cursor;
    const mpan = keyLength === MPAN_KEY_BYTES ? digitsAt(buffer, keyAt, MPAN_KEY_BYTES) : -1;
    if (mpan < 1e12) return this.#refuse('IMPOSSIBLE_VALUE', 'the key is expected to be the 13 digits of an MPAN');
    const own = partitionOfMpan(mpan, this.#partitions);
    if (own !== partition) return this.#refuse('WRONG_PARTITION', `${mpan} belongs to partition ${own}`);
    this.#mpan = mpan;
    return true;
  }

  #read(isChange: boolean): boolean {
    const { buffer, valueAt, valueLength } = this.#walk.cursor;
    const reader = this.#reader.open(buffer, valueAt + WIRE_HEADER_BYTES, valueAt + valueLength);
    this.#change.clear();
    try {
      const mpan = reader.long();
      if (mpan !== this.#mpan) return this.#refuse('IMPOSSIBLE_VALUE', `mpan is ${mpan}, expected that of the key`);
      this.#sequence = reader.long();
      this.#isRemoved = isChange && reader.boolean();
      const wrong = readAppointments(reader, this.#change, isChange);
      if (wrong !== undefined) return this.#refuse('IMPOSSIBLE_VALUE', wrong);
      if (reader.at !== reader.end)
        return this.#refuse('UNDECODABLE', `${reader.end - reader.at} bytes behind the last field`);
    } catch (error) {
      if (!(error instanceof MalformedBinary)) throw error;
      return this.#refuse('UNDECODABLE', error.message);
    }
    return !isChange || this.#isPossible();
  }

  /** What the doors of the feed see to, and others who write changes may not. */
  #isPossible(): boolean {
    const { count, efds, etds } = this.#change;
    if (this.#sequence < 1)
      return this.#refuse('IMPOSSIBLE_VALUE', `sequence is ${this.#sequence}, expected 1 or more`);
    if ((count === 0) !== this.#isRemoved)
      return this.#refuse('IMPOSSIBLE_VALUE', 'expected appointments, or a removal without any');
    for (let k = 0; k < count; k++) {
      const last = etds[k] === NO_ETD ? efds[k] : etds[k];
      if (efds[k] < FIRST_DAY || last < efds[k] || last > LAST_DAY)
        return this.#refuse('IMPOSSIBLE_VALUE', `an EFD and ETD are expected in order, in the years 1990 to 2168`);
    }
    return true;
  }

  #refuse(reason: DeadLetterReason, detail: string): false {
    return this.#walk.setAside(reason, detail);
  }

  /** An operator's removal leaves nothing, not even a sequence. */
  #isForgotten(table: AppointmentTable, at: number): boolean {
    table.load(at, this.#after);
    return table.sequence(at) === 0 && this.#after.count === 0;
  }

  #isKnown(table: AppointmentTable, at: number): boolean {
    table.load(at, this.#before);
    return this.#before.equals(this.#change);
  }

  /** What is known of an MPAN by now. */
  #rewrite(mpan: number, table: AppointmentTable): void {
    const at = table.find(mpan);
    this.#mpan = mpan;
    if (this.#isForgotten(table, at)) {
      writeMpanKey(this.#key, 0, mpan);
      (this.#lane as Lane).tombstone(this.#stampMs, this.#key, 0, MPAN_KEY_BYTES);
      return;
    }
    this.#sequence = table.sequence(at);
    table.load(at, this.#after);
    this.#write();
  }

  /** The registration as it is after the change. */
  #write(): void {
    const lane = this.#lane as Lane;
    const list = this.#after;
    writeMpanKey(this.#key, 0, this.#mpan);
    const bytesMax = HEAD_BYTES_MAX + appointmentsBytesMax(list.count);
    const at = lane.begin(this.#stampMs, this.#key, 0, MPAN_KEY_BYTES, bytesMax);
    const { buffer } = lane;
    lane.end(writeAppointments(buffer, writeLong(buffer, writeLong(buffer, at, this.#mpan), this.#sequence), list));
  }
}

/** Most bytes of a registration-change value with so many appointments. */
export function changeBytesMax(appointments: number): number {
  return HEAD_BYTES_MAX + appointmentsBytesMax(appointments);
}

/** Writes a registration-change value and returns the position behind it. */
export function writeChange(buffer: Buffer, at: number, mpan: number, sequence: number, list: AppointmentList): number {
  const to = writeLong(buffer, writeLong(buffer, at, mpan), sequence);
  return writeAppointments(buffer, writeBoolean(buffer, to, list.count === 0), list);
}

const DIGIT_ZERO = 48;

/** The number that the ASCII digits make, -1 where they are none. */
export function digitsAt(bytes: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let k = at; k < at + length; k++) {
    const digit = bytes[k] - DIGIT_ZERO;
    if (!(digit >= 0 && digit <= 9)) return -1;
    value = value * 10 + digit;
  }
  return length === 0 ? -1 : value;
}
