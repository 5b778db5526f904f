import { hasValidCheckDigit, type Mpan } from '#core/identifiers.ts';
import { mpidOf } from '#core/mpid-code.ts';
import { partitionOfMpan } from '#core/partition.ts';
import { formatDay, type SettlementDay } from '#core/settlement-day.ts';
import { MPAN_KEY_BYTES, writeMpanKey } from '#schemas/wire.ts';
import { type FinishedBatch, type Lane, StepOutput } from '#services/platform/step-output.ts';
import { APPOINTED, APPOINTMENTS_MAX, AppointmentList, NO_ETD } from './appointment-list.ts';
import { FIRST_DAY, LAST_DAY } from './appointment-table.ts';
import { changeBytesMax, writeChange } from './change-step.ts';
import { type CsvColumns, parseCsv } from './csv-changes.ts';
import { parseJson, parseNdjson } from './json-changes.ts';
import { isKnownMpid } from './known-mpids.ts';

/** What a row may be wrong in and be taken all the same. */
export const STRICTNESS = ['refuse', 'warn'] as const;
export type Strictness = (typeof STRICTNESS)[number];
export type FeedRules = { checkDigits: Strictness; unknownMpids: Strictness };

export type ParseTask = {
  /** Rows of one file or request, whole ones, those of one change together. */
  bytes: ArrayBuffer;
  /** `json`: an array of the objects that ndjson has one a line of. */
  format: 'csv' | 'ndjson' | 'json';
  columns?: CsvColumns;
  rules: FeedRules;
  mpids: SharedArrayBuffer;
  /** Of what is written, whole ms. */
  stampMs: number;
};

/** A row that cannot be used. Lines are counted from 1 within the task; of an array they are its elements. */
export type RowFault = { line: number; reason: string };
export type Warnings = { checkDigits: number; unknownMpids: number };
export type ParsedChanges = {
  /** As they came. */
  bytes: ArrayBuffer;
  lines: number;
  rows: number;
  changes: number;
  /** For registration-changes; `starts`: the line on which each of the batch's changes begins. */
  batches: { batch: FinishedBatch; starts: Uint32Array }[];
  faults: RowFault[];
  warnings: Warnings;
};

/**
 * Makes changes of rows. The reader of a format says `open`, once an appointment `appoint` or once `remove`, `fault`
 * for what is wrong, and `close`; a change with a fault is left out with all its rows.
 */
export class ChangeParser {
  rows = 0;
  changes = 0;
  faults: RowFault[] = [];
  warnings: Warnings = { checkDigits: 0, unknownMpids: 0 };
  readonly #schemaId: number;
  readonly #partitions: number;
  readonly #output = new StepOutput();
  readonly #starts: LineList[];
  readonly #key = Buffer.alloc(MPAN_KEY_BYTES);
  readonly #list = new AppointmentList();
  readonly #lines = new Uint32Array(APPOINTMENTS_MAX + 1);
  #rules: FeedRules = { checkDigits: 'refuse', unknownMpids: 'refuse' };
  #mpids: Uint8Array = new Uint8Array(0);
  #stampMs = 0;
  // The change that is open.
  mpan: Mpan = 0;
  sequence = 0;
  #lineCount = 0;
  #isRemoved = false;
  #faultsBefore = 0;

  constructor(schemaId: number, partitions: number) {
    this.#schemaId = schemaId;
    this.#partitions = partitions;
    this.#starts = Array.from({ length: partitions }, () => new LineList());
  }

  parse({ bytes, format, columns, rules, mpids, stampMs }: ParseTask): ParsedChanges {
    this.rows = 0;
    this.changes = 0;
    this.faults = [];
    this.warnings = { checkDigits: 0, unknownMpids: 0 };
    this.#rules = rules;
    this.#mpids = new Uint8Array(mpids);
    this.#stampMs = stampMs;
    for (const list of this.#starts) list.count = 0;
    const text = Buffer.from(bytes);
    const lines =
      format === 'csv'
        ? parseCsv(text, columns as CsvColumns, this)
        : format === 'ndjson'
          ? parseNdjson(text, this)
          : parseJson(text, this);
    return {
      bytes,
      lines,
      rows: this.rows,
      changes: this.changes,
      batches: this.#takeBatches(),
      faults: this.faults,
      warnings: this.warnings,
    };
  }

  /** Begins a change; its first row is on this line. */
  open(mpan: Mpan, sequence: number, line: number): void {
    this.mpan = mpan;
    this.sequence = sequence;
    this.#list.clear();
    this.#lineCount = 0;
    this.#isRemoved = false;
    this.#faultsBefore = this.faults.length;
    this.addLine(line);
    if (hasValidCheckDigit(mpan)) return;
    this.warnings.checkDigits++;
    if (this.#rules.checkDigits === 'refuse')
      this.fault(line, `mpan is ${mpan}, expected 13 digits of which the last checks the others`);
  }

  /** Another row of the change that is open. */
  addLine(line: number): void {
    if (this.#lineCount < this.#lines.length) this.#lines[this.#lineCount++] = line;
  }

  appoint(role: number, mpid: number, efd: SettlementDay, etd: SettlementDay, line: number) {
    if (!isKnownMpid(this.#mpids, mpid)) {
      this.warnings.unknownMpids++;
      if (this.#rules.unknownMpids === 'refuse')
        return this.fault(line, `mpid is ${mpidOf(mpid)}, expected that of a User who is known`);
    }
    if (efd < FIRST_DAY || efd > LAST_DAY) return this.fault(line, `efd is ${formatDay(efd)}, expected ${DAYS}`);
    if (etd !== NO_ETD && (etd < efd || etd > LAST_DAY))
      return this.fault(
        line,
        `etd is ${formatDay(etd)}, expected none or a day from the efd ${formatDay(efd)} on, ${DAYS}`,
      );
    if (this.#isRemoved) return this.fault(line, 'expected no appointment beside the removal');
    if (this.#list.find(role, efd) >= 0)
      return this.fault(line, `${APPOINTED[role]}: two appointments with the EFD ${formatDay(efd)}`);
    if (!this.#list.put(role, mpid, efd, etd)) this.fault(line, `expected at most ${APPOINTMENTS_MAX} appointments`);
  }

  remove(line: number) {
    if (this.#list.count > 0) return this.fault(line, 'expected no removal beside appointments');
    this.#isRemoved = true;
  }

  fault(line: number, reason: string): void {
    this.faults.push({ line, reason });
  }

  /** Writes the change that is open, or sets all its rows aside. */
  close() {
    if (this.faults.length > this.#faultsBefore) return this.#setAside();
    const partition = partitionOfMpan(this.mpan, this.#partitions);
    const lane = this.#lane(partition);
    writeMpanKey(this.#key, 0, this.mpan);
    const at = lane.begin(this.#stampMs, this.#key, 0, MPAN_KEY_BYTES, changeBytesMax(this.#list.count));
    lane.end(writeChange(lane.buffer, at, this.mpan, this.sequence, this.#list));
    this.#starts[partition].push(this.#lines[0]);
    this.changes++;
  }

  #lane(partition: number): Lane {
    return this.#output.lane('registration-changes', partition, this.#schemaId);
  }

  #setAside(): void {
    const first = this.faults[this.#faultsBefore].line;
    const own = new Set(this.faults.slice(this.#faultsBefore).map(({ line }) => line));
    for (let k = 0; k < this.#lineCount; k++) {
      if (!own.has(this.#lines[k])) this.fault(this.#lines[k], `its change cannot be used: see line ${first}`);
    }
  }

  #takeBatches(): ParsedChanges['batches'] {
    const taken = this.#starts.map(() => 0);
    return this.#output.take().map((batch) => {
      const from = taken[batch.partition];
      taken[batch.partition] += batch.records;
      return { batch, starts: this.#starts[batch.partition].slice(from, from + batch.records) };
    });
  }
}

const DAYS = `in the years ${formatDay(FIRST_DAY).slice(0, 4)} to ${Number(formatDay(LAST_DAY).slice(0, 4)) - 1}`;
const LINES_MIN = 1024;

/** Line numbers, as many as come. */
class LineList {
  count = 0;
  #lines = new Uint32Array(LINES_MIN);

  push(line: number): void {
    if (this.count === this.#lines.length) {
      const longer = new Uint32Array(2 * this.count);
      longer.set(this.#lines);
      this.#lines = longer;
    }
    this.#lines[this.count++] = line;
  }

  slice(from: number, until: number): Uint32Array {
    return this.#lines.slice(from, until);
  }
}
