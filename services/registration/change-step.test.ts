import avsc from 'avsc';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { partitionOfMpan } from '#core/partition.ts';
import { schemaText, TOPICS } from '#schemas/topics.ts';
import { BatchCursor } from '#services/platform/kafka/record-batch.ts';
import type { SchemaIds } from '#services/platform/kafka/registry.ts';
import type { FinishedBatch } from '#services/platform/step-output.ts';
import { batchOf, framed, type StreamRecord } from '#services/platform/test/record-streams.ts';
import { AppointmentTable, createAppointmentTable } from './appointment-table.ts';
import { ChangeStep } from './change-step.ts';
import { decodeOutcomes } from './outcomes.ts';
import {
  changeOf,
  MPANS,
  MPIDS,
  NaiveRegistrations,
  type PlainAppointment,
  type PlainChange,
  type PlainOutcome,
  sorted,
} from './test/any-changes.ts';

const PARTITIONS = 1;
const IDS = Object.fromEntries(Object.keys(TOPICS).map((topic, k) => [topic, 100 + k])) as SchemaIds;
const CHANGE = avsc.Type.forSchema(JSON.parse(schemaText('registration-changes')));
const REGISTRATION = avsc.Type.forSchema(JSON.parse(schemaText('registrations')));
const OUTCOMES: PlainOutcome[] = ['applied', 'stale', 'duplicate', 'set-aside'];
const MPAN = MPANS[0];

function recordOf({ mpan, sequence, appointments }: PlainChange): StreamRecord {
  const value = CHANGE.toBuffer({ mpan, sequence, removed: appointments.length === 0, appointments });
  return { key: Buffer.from(String(mpan)), value: framed(IDS['registration-changes'], value) };
}

/** What an owner has done: its table, what it wrote, and what it said of each change. */
class Owner {
  table = createAppointmentTable();
  late: number[] = [];
  readonly log: StreamRecord[] = [];
  readonly outcomes: { outcome: PlainOutcome; detail: string }[] = [];
  readonly step = new ChangeStep(IDS, PARTITIONS);

  decide(records: readonly StreamRecord[], offset = 0): this {
    if (records.length === 0) return this;
    const batches = [batchOf(records, offset)];
    const result = this.step.decide({ partition: 0, batches, fromOffset: offset, stampMs: 1, table: this.table });
    this.#note(result.registrations);
    const said = recordsIn(result.outcomes).map(({ value }) => decodeOutcomes(value as Buffer));
    expect(said.reduce((sum, { count }) => sum + count, 0)).toBe(records.length);
    expect(result.nextOffset).toBe(offset + records.length);
    const found = new Map(said.flatMap(({ notApplied }) => notApplied).map((one) => [one.offset - offset, one]));
    for (let k = 0; k < records.length; k++) {
      const { outcome, detail } = found.get(k) ?? { outcome: 0, detail: '' };
      this.outcomes.push({ outcome: OUTCOMES[outcome], detail });
    }
    expect(result.deadLetters).toHaveLength(
      this.outcomes.slice(-records.length).filter(({ outcome }) => outcome === 'set-aside').length,
    );
    return this;
  }

  follow(records: readonly StreamRecord[], isRestored = true, isWriting = true): this {
    const batches = records.length === 0 ? [] : [batchOf(records, 0)];
    const { table, late } = this;
    const result = this.step.follow({ partition: 0, batches, stampMs: 1, table, late, isRestored, isWriting });
    expect(result.deadLetters).toEqual([]);
    this.late = result.late;
    this.#note(result.registrations);
    return this;
  }

  #note(batches: readonly FinishedBatch[]): void {
    this.table = new AppointmentTable(this.table.handle);
    this.log.push(...recordsIn(batches));
  }
}

/** A process that has the partition, or thinks so: what it decides, has on its way, and has read of the topic. */
class Process {
  readonly #owner = new Owner();
  readonly #changes: readonly PlainChange[];
  readonly #log: { record: StreamRecord; writer: Process }[];
  #decided: number;
  #sent = 0;
  #said = 0;
  #read = 0;
  #isRestored = false;

  constructor(changes: readonly PlainChange[], log: { record: StreamRecord; writer: Process }[], from = 0) {
    this.#changes = changes;
    this.#log = log;
    this.#decided = from;
    // Everything that is there is read before the first decision, in parts.
    while (this.#read < log.length) this.act('read', 3);
    this.#isRestored = true;
    this.#owner.follow([]);
  }

  /** Behind the changes whose registrations are all in the topic. */
  get said(): number {
    if (this.#sent === this.#owner.log.length) this.#said = this.#decided;
    return this.#said;
  }

  act(action: string, count: number): void {
    if (action === 'decide') {
      const changes = this.#changes.slice(this.#decided, this.#decided + count);
      this.#owner.decide(changes.map(recordOf), this.#decided);
      this.#decided += changes.length;
    } else if (action === 'send') {
      for (const record of this.#owner.log.slice(this.#sent, this.#sent + count))
        this.#log.push({ record, writer: this });
      this.#sent = Math.min(this.#sent + count, this.#owner.log.length);
    } else {
      const read = this.#log.slice(this.#read, this.#read + count);
      this.#read += read.length;
      const others = read.filter(({ writer }) => writer !== this).map(({ record }) => record);
      if (others.length > 0) this.#owner.follow(others, this.#isRestored);
    }
  }
}

function recordsIn(batches: readonly FinishedBatch[]): StreamRecord[] {
  const cursor = new BatchCursor();
  const records: StreamRecord[] = [];
  for (const { batch } of batches) {
    cursor.open(Buffer.from(batch));
    while (cursor.next()) {
      const { buffer, keyAt, keyLength, valueAt, valueLength } = cursor;
      const slice = (at: number, length: number) => (length < 0 ? null : Buffer.from(buffer.subarray(at, at + length)));
      records.push({ key: slice(keyAt, keyLength), value: slice(valueAt, valueLength) });
    }
  }
  return records;
}

/** What a reader of the compacted topic knows: the last value of each key. */
function lastOf(log: readonly StreamRecord[]) {
  const last = new Map<number, { sequence: number; appointments: unknown[] }>();
  for (const { key, value } of log) {
    if (value === null) {
      last.delete(Number(key));
      continue;
    }
    const { mpan, sequence, appointments } = REGISTRATION.fromBuffer(value.subarray(5));
    expect(String(mpan)).toBe(String(key));
    last.set(mpan, { sequence, appointments: sorted(JSON.parse(JSON.stringify(appointments))) });
  }
  return last;
}

const day = 20_500;
const mdr = (mpid: string, efd: number, etd: number | null = null) => ({ role: 'MDR', mpid, efd, etd });
const change = (sequence: number, ...appointments: ReturnType<typeof mdr>[]): PlainChange => ({
  mpan: MPAN,
  sequence,
  appointments,
});

describe('a change of an MPAN', () => {
  test.each<[string, PlainChange[], PlainOutcome[], ReturnType<typeof mdr>[]]>([
    [
      'adds its appointments to those that are there',
      [change(1, mdr('AGNA', day)), change(2, mdr('AGNB', day + 9))],
      ['applied', 'applied'],
      [mdr('AGNA', day), mdr('AGNB', day + 9)],
    ],
    [
      'takes the place of the appointment of the same role and EFD',
      [change(1, mdr('AGNA', day)), change(2, mdr('AGNA', day, day + 8), mdr('AGNB', day + 9))],
      ['applied', 'applied'],
      [mdr('AGNA', day, day + 8), mdr('AGNB', day + 9)],
    ],
    [
      'is stale below the last sequence',
      [change(5, mdr('AGNA', day)), change(4, mdr('AGNB', day + 9))],
      ['applied', 'stale'],
      [mdr('AGNA', day)],
    ],
    [
      'is a duplicate where it says the same again',
      [change(5, mdr('AGNA', day)), change(5, mdr('AGNA', day))],
      ['applied', 'duplicate'],
      [mdr('AGNA', day)],
    ],
    [
      'is set aside where its sequence has said something else',
      [change(5, mdr('AGNA', day)), change(5, mdr('AGNB', day))],
      ['applied', 'set-aside'],
      [mdr('AGNA', day)],
    ],
    [
      'removes all of them, and an older one does not bring them back',
      [change(2, mdr('AGNA', day)), change(3), change(1, mdr('AGNB', day)), change(3)],
      ['applied', 'applied', 'stale', 'duplicate'],
      [],
    ],
    [
      'begins anew after a removal',
      [change(2, mdr('AGNA', day)), change(3), change(4, mdr('AGNB', day))],
      ['applied', 'applied', 'applied'],
      [mdr('AGNB', day)],
    ],
    [
      'is set aside where it overlaps in itself',
      [change(1, mdr('AGNA', day, day + 9), mdr('AGNB', day + 9))],
      ['set-aside'],
      [],
    ],
    [
      'ends what was there by its EFD, whatever the ETD was',
      [change(1, mdr('AGNA', day, day + 20)), change(2, mdr('AGNB', day + 9))],
      ['applied', 'applied'],
      [mdr('AGNA', day, day + 20), mdr('AGNB', day + 9)],
    ],
    [
      'is set aside where it leaves days without an MDRA',
      [change(1, mdr('AGNA', day, day + 2)), change(2, mdr('AGNB', day + 9))],
      ['applied', 'set-aside'],
      [mdr('AGNA', day, day + 2)],
    ],
  ])('%s', (_, changes, outcomes, appointments) => {
    const owner = new Owner().decide(changes.map(recordOf));
    expect(owner.outcomes.map(({ outcome }) => outcome)).toEqual(outcomes);
    expect(lastOf(owner.log).get(MPAN)?.appointments ?? []).toEqual(appointments);
  });

  test('that is refused says where, who and from when', () => {
    const { outcomes } = new Owner().decide([
      recordOf(change(1, mdr('AGNA', day, day + 2), mdr('AGNB', day + 9))),
      recordOf(change(1, mdr('AGNA', day, day + 9), mdr('AGNB', day + 9))),
    ]);
    expect(outcomes.map(({ detail }) => detail)).toEqual([
      'MDR: nobody from 2026-02-19 to 2026-02-24, between AGNA and AGNB',
      'MDR: the ETD 2026-02-25 of AGNA is expected before the EFD 2026-02-25 of AGNB',
    ]);
  });

  test('of a second one of the same kind is not lost where it repairs a gap from both sides', () => {
    const owner = new Owner().decide(
      [change(1, mdr('AGNA', day, day + 2)), change(2, mdr('AGNC', day + 3, day + 8), mdr('AGNB', day + 9))].map(
        recordOf,
      ),
    );
    expect(owner.outcomes.map(({ outcome }) => outcome)).toEqual(['applied', 'applied']);
  });
});

describe('a registration that a former owner writes', () => {
  const written = (...changes: PlainChange[]) => new Owner().decide(changes.map(recordOf)).log;

  test('twice, once as decided and once behind another, stands behind the older one that is on its way here', () => {
    const older = change(11, mdr('AGNA', day));
    const later = written(older, change(13, mdr('AGNB', day + 3))).slice(-1);
    const owner = new Owner().decide([recordOf(older)]).follow([...later, ...later]);
    expect(lastOf([...later, ...later, ...owner.log])).toEqual(lastOf(later));
  });

  test('with other appointments under the sequence that is known gives way to what the owner has said, wherever both stand', () => {
    const own = change(5, mdr('AGNA', day));
    const other = written(change(5, mdr('AGNB', day)));
    const owner = new Owner().decide([recordOf(own)]);
    const decided = [...owner.log];
    owner.follow(other);
    expect(lastOf([...decided, ...other, ...owner.log.slice(decided.length)])).toEqual(lastOf(decided));
    expect(owner.decide([recordOf(own)]).outcomes.at(-1)?.outcome).toBe('duplicate');
    // And is what there is for who has not decided anything yet.
    const next = new Owner().follow([...decided, ...other], false).follow([]);
    expect(next.decide([recordOf(change(5, mdr('AGNB', day)))]).outcomes[0].outcome).toBe('duplicate');
    expect(next.log).toEqual([]);
  });
});

describe('a registration that an operator removes', () => {
  const removal: StreamRecord = { key: Buffer.from(String(MPAN)), value: null };

  test('is gone behind what was on its way, with its sequence', () => {
    const owner = new Owner().decide([recordOf(change(5, mdr('AGNA', day)))]);
    const onItsWay = [...owner.log];
    owner.follow([removal]);
    expect(lastOf([removal, ...owner.log])).toEqual(new Map());
    expect(owner.log).toHaveLength(onItsWay.length + 1);
    owner.decide([recordOf(change(2, mdr('AGNB', day)))]);
    expect(owner.outcomes.at(-1)?.outcome).toBe('applied');
    expect(lastOf(owner.log).get(MPAN)?.sequence).toBe(2);
  });

  test('needs nothing more where nothing is on its way, or nothing was known', () => {
    const owner = new Owner().decide([recordOf(change(5, mdr('AGNA', day)))]);
    expect(owner.follow([removal], true, false).log).toHaveLength(1);
    expect(new Owner().follow([removal]).log).toEqual([]);
  });

  test('comes back with what a former owner writes behind it', () => {
    const late = new Owner().decide([recordOf(change(6, mdr('AGNA', day)))]).log;
    const owner = new Owner().decide([recordOf(change(5, mdr('AGNA', day)))]).follow([removal, ...late]);
    expect(lastOf(owner.log).get(MPAN)?.sequence).toBe(6);
    expect(owner.decide([recordOf(change(5, mdr('AGNB', day)))]).outcomes.at(-1)?.outcome).toBe('stale');
  });
});

describe('what is no change', () => {
  const valid = recordOf(change(1, mdr('AGNA', day)));
  const raw = (value: object) =>
    framed(
      IDS['registration-changes'],
      CHANGE.toBuffer({ mpan: MPAN, sequence: 1, removed: false, appointments: [mdr('AGNA', day)], ...value }),
    );
  test.each<[string, StreamRecord, string]>([
    ['a key of other digits', { ...valid, key: Buffer.from('123') }, '13 digits of an MPAN'],
    ['no key', { ...valid, key: null }, '13 digits of an MPAN'],
    ['no value', { ...valid, value: null }, 'no value'],
    ['another schema', { ...valid, value: framed(7, Buffer.alloc(4)) }, 'schema id 7'],
    ['bytes cut off', { ...valid, value: (valid.value as Buffer).subarray(0, 12) }, 'the bytes end'],
    ['bytes too many', { ...valid, value: Buffer.concat([valid.value as Buffer, Buffer.alloc(3)]) }, '3 bytes behind'],
    [
      'another MPAN than its key',
      { key: Buffer.from(String(MPANS[1])), value: valid.value },
      'expected that of the key',
    ],
    ['sequence 0', { ...valid, value: raw({ sequence: 0 }) }, 'sequence is 0'],
    ['no appointments and no removal', { ...valid, value: raw({ appointments: [] }) }, 'expected appointments'],
    ['a removal with appointments', { ...valid, value: raw({ removed: true }) }, 'without any'],
    [
      'an MPID of small letters',
      { ...valid, value: raw({ appointments: [mdr('agna', day)] }) },
      'four capital letters',
    ],
    [
      'two of one role and EFD',
      { ...valid, value: raw({ appointments: [mdr('AGNA', day), mdr('AGNB', day)] }) },
      'two appointments with the EFD 2026-02-16',
    ],
    ['an ETD before its EFD', { ...valid, value: raw({ appointments: [mdr('AGNA', day, day - 1)] }) }, 'in order'],
    ['an EFD of 1989', { ...valid, value: raw({ appointments: [mdr('AGNA', 7300)] }) }, 'in the years 1990'],
  ])('%s is set aside, and the stream goes on', (_, record, detail) => {
    const owner = new Owner().decide([record, recordOf(change(2, mdr('AGNB', day)))]);
    expect(owner.outcomes.map(({ outcome }) => outcome)).toEqual(['set-aside', 'applied']);
    expect(owner.outcomes[0].detail).toContain(detail);
  });

  test('an MPAN of another partition is set aside', () => {
    const step = new ChangeStep(IDS, 4);
    const other = (partitionOfMpan(MPAN, 4) + 1) % 4;
    const task = {
      partition: other,
      batches: [batchOf([valid], 0)],
      fromOffset: 0,
      stampMs: 1,
      table: createAppointmentTable(),
    };
    expect(step.decide(task).deadLetters[0]).toMatchObject({ reason: 'WRONG_PARTITION' });
  });

  test('a batch that is corrupt is set aside as a whole, each of its changes', () => {
    const corrupt = batchOf([valid, valid], 0);
    corrupt[corrupt.length - 3] ^= 1;
    const good = batchOf([valid], 2);
    const task = {
      partition: 0,
      batches: [Buffer.concat([corrupt, good])],
      fromOffset: 0,
      stampMs: 1,
      table: createAppointmentTable(),
    };
    const result = new ChangeStep(IDS, 1).decide(task);
    const [outcomes] = recordsIn(result.outcomes).map(({ value }) => decodeOutcomes(value as Buffer));
    expect(outcomes).toMatchObject({
      offset: 0,
      count: 3,
      notApplied: [
        { offset: 0, outcome: 3 },
        { offset: 1, outcome: 3 },
      ],
    });
    expect(result.counts.applied).toBe(1);
  });
});

describe('any stream of changes', () => {
  test('comes to what the naive rules say, change by change, in whatever batches', () => {
    fc.assert(
      fc.property(
        fc.array(changeOf, { maxLength: 40 }),
        fc.array(fc.nat({ max: 40 }), { maxLength: 4 }),
        (changes, cuts) => {
          const naive = new NaiveRegistrations();
          const expected = changes.map((one) => naive.apply(one));
          const owner = new Owner();
          const ends = [...new Set([...cuts.filter((cut) => cut < changes.length), changes.length])].sort(
            (a, b) => a - b,
          );
          ends.forEach((end, k) => {
            const from = k === 0 ? 0 : ends[k - 1];
            owner.decide(changes.slice(from, end).map(recordOf), from);
          });
          expect(owner.outcomes.map(({ outcome }) => outcome)).toEqual(expected);
          expect(lastOf(owner.log)).toEqual(naive.states);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('goes on where another owner takes over, who decides again what was not said yet', () => {
    fc.assert(
      fc.property(
        fc.array(changeOf, { maxLength: 40 }),
        fc.nat({ max: 40 }),
        fc.nat({ max: 10 }),
        (changes, cut, again) => {
          const from = Math.max(0, Math.min(cut, changes.length) - again);
          const naive = new NaiveRegistrations();
          for (const one of [...changes.slice(0, cut), ...changes.slice(from)]) naive.apply(one);
          const first = new Owner().decide(changes.slice(0, cut).map(recordOf));
          const second = new Owner()
            .follow(first.log, false)
            .follow([])
            .decide(changes.slice(from).map(recordOf), from);
          expect(lastOf([...first.log, ...second.log])).toEqual(naive.states);
        },
      ),
      { numRuns: 300 },
    );
  });

  test('has its latest state as the last record of each MPAN, whatever owners of before still read and write', () => {
    // Two MPANs that change all the time, and none of it can be refused: deciding twice comes to the same.
    const changes = Array.from({ length: 14 }, (_, k): PlainChange => {
      const appointments = k % 9 === 8 ? [] : [{ role: 'MDR', mpid: MPIDS[k % 4], efd: day + (k % 5), etd: null }];
      return { mpan: MPANS[k % 2], sequence: k + 1, appointments };
    });
    const naive = new NaiveRegistrations();
    for (const one of changes) naive.apply(one);
    const action = fc.oneof(
      { weight: 12, arbitrary: fc.constantFrom('decide', 'read', 'send') },
      { weight: 1, arbitrary: fc.constant('take over') },
    );
    const steps = fc.array(fc.tuple(action, fc.nat({ max: 3 }), fc.integer({ min: 1, max: 5 })), {
      minLength: 40,
      maxLength: 120,
    });
    fc.assert(
      fc.property(steps, (taken) => {
        const log: { record: StreamRecord; writer: Process }[] = [];
        const processes = [new Process(changes, log)];
        for (const [name, which, count] of taken) {
          const said = Math.max(...processes.map((one) => one.said));
          if (name === 'take over') processes.push(new Process(changes, log, said));
          // The last one is the owner; those before have not noticed.
          else processes[Math.max(0, processes.length - 1 - which)].act(name, count);
        }
        // They notice at last: what is on their way arrives.
        const owner = processes.pop() as Process;
        for (const former of processes) former.act('send', 1000);
        for (let round = 0; round < 4; round++) for (const name of ['decide', 'send', 'read']) owner.act(name, 1000);
        expect(lastOf(log.map(({ record }) => record))).toEqual(naive.states);
      }),
      // Shrinking such a history takes longer than reading it.
      { numRuns: 500, endOnFailure: true },
    );
  });

  test('has an end that does not hang on its order where each change says all that there is', () => {
    const cumulative = fc
      .uniqueArray(changeOf, { maxLength: 12, selector: ({ mpan, sequence }) => `${mpan} ${sequence}` })
      .map((changes) => {
        const known = new Map<number, PlainChange>();
        return changes
          .toSorted((a, b) => a.sequence - b.sequence)
          .flatMap((one) => {
            const { mpan, sequence, appointments } = one;
            const isGiven = ({ role, efd }: PlainAppointment) =>
              appointments.some((own) => own.role === role && own.efd === efd);
            const kept = (known.get(mpan)?.appointments ?? []).filter((before) => !isGiven(before));
            const all = { mpan, sequence, appointments: sorted([...kept, ...appointments]) };
            if (appointments.length === 0 || new NaiveRegistrations().apply(all) !== 'applied') return [];
            known.set(mpan, all);
            return [all];
          });
      });
    fc.assert(
      fc.property(
        cumulative.chain((changes) =>
          fc.tuple(
            fc.constant(changes),
            fc.shuffledSubarray([...changes, ...changes], { minLength: 2 * changes.length }),
          ),
        ),
        ([changes, shuffled]) => {
          const highest = new Map<number, PlainChange>();
          for (const one of changes)
            if (one.sequence >= (highest.get(one.mpan)?.sequence ?? 0)) highest.set(one.mpan, one);
          const owner = new Owner().decide(shuffled.map(recordOf));
          const expected = new Map(
            [...highest].map(([mpan, { sequence, appointments }]) => [mpan, { sequence, appointments }]),
          );
          expect(lastOf(owner.log)).toEqual(expected);
        },
      ),
      { numRuns: 300 },
    );
  });
});
