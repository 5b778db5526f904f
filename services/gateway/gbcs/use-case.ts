import type { ReadVariant } from '../answer.ts';

/**
 * The GBCS use cases of the seven electricity reads: what is asked of which object, and how the answer is laid out.
 * [RTDS 4.5.0, checked against its messages]
 */
export type UseCase = {
  name: string;
  srv: ReadVariant;
  /** Use-case code of the message. */
  code: number;
  /** The object that is read: COSEM class, OBIS code, attribute. */
  object: CosemObject;
  /** The data protection object through which it is read, where the answer is encrypted. */
  protection?: Uint8Array;
  /** `registers`: as they stand at the message's time. `half-hours`, `days`: rows of a log with a time each. */
  kind: 'registers' | 'half-hours' | 'days';
  row: RowLayout;
  /** Of a twin element meter, where it has one of its own. */
  twinRow?: RowLayout;
};
export type CosemObject = { classId: number; obis: Uint8Array; attribute: number };

/** How one row stands in the message: its columns in order, each some 32-bit words. */
export type RowLayout = {
  columns: readonly Column[];
  words: number;
  /** The compact array's description of a row: a structure of u32 and arrays of u32. */
  typeDescription: Uint8Array;
};

/** Time: seconds since {@link GBCS_EPOCH_MS}. Energies in Wh and varh. `tou` and `blocks`: of the tariff's registers. */
export type Column = keyof typeof COLUMN_ARRAYS;
/** Arrays of a column and the elements of each; 1 and 0: a bare number. */
const COLUMN_ARRAYS = {
  time: { arrays: 1, elements: 0 },
  active: { arrays: 1, elements: 0 },
  reactive: { arrays: 1, elements: 0 },
  /** Active import of the second element of a twin element meter. */
  secondary: { arrays: 1, elements: 0 },
  tou: { arrays: 1, elements: 48 },
  secondaryTou: { arrays: 1, elements: 4 },
  /** Four blocks of eight registers. */
  blocks: { arrays: 4, elements: 8 },
} as const;

export const GBCS_EPOCH_MS = 946_684_800_000;

/** The 32-bit words of a column in one row. */
export function wordsOf(column: Column): number {
  const { arrays, elements } = COLUMN_ARRAYS[column];
  return arrays * Math.max(1, elements);
}

const TIME_AND_ACTIVE = rowOf('time', 'active');

export const USE_CASES: Readonly<Record<ReadVariant, UseCase>> = {
  '4.1.1': {
    name: 'ECS17b',
    srv: '4.1.1',
    code: 0x0027,
    object: { classId: 1, obis: obis(0, 0, 94, 44, 34, 10), attribute: 2 },
    protection: obis(0, 0, 43, 2, 8, 255),
    kind: 'registers',
    row: rowOf('active', 'reactive'),
    twinRow: rowOf('active', 'reactive', 'secondary'),
  },
  '4.2': {
    name: 'ECS17a',
    srv: '4.2',
    code: 0x0026,
    object: { classId: 3, obis: obis(1, 0, 2, 8, 0, 255), attribute: 2 },
    kind: 'registers',
    row: rowOf('active', 'reactive'),
  },
  '4.6.1': {
    name: 'ECS21a',
    srv: '4.6.1',
    code: 0x0033,
    object: { classId: 7, obis: obis(0, 0, 98, 1, 9, 255), attribute: 2 },
    protection: obis(0, 0, 43, 2, 5, 255),
    kind: 'days',
    row: rowOf('time', 'active', 'tou', 'blocks'),
    twinRow: rowOf('time', 'active', 'secondary', 'tou', 'secondaryTou', 'blocks'),
  },
  '4.6.2': {
    name: 'ECS21c',
    srv: '4.6.2',
    code: 0x0035,
    object: { classId: 7, obis: obis(0, 0, 98, 1, 10, 255), attribute: 2 },
    kind: 'days',
    row: TIME_AND_ACTIVE,
  },
  '4.8.1': {
    name: 'ECS22b',
    srv: '4.8.1',
    code: 0x0037,
    object: { classId: 7, obis: obis(0, 0, 99, 1, 0, 255), attribute: 2 },
    protection: obis(0, 0, 43, 2, 7, 255),
    kind: 'half-hours',
    row: TIME_AND_ACTIVE,
    twinRow: rowOf('time', 'active', 'secondary'),
  },
  '4.8.3': {
    name: 'ECS22a',
    srv: '4.8.3',
    code: 0x0036,
    object: { classId: 7, obis: obis(0, 0, 99, 1, 1, 255), attribute: 2 },
    kind: 'half-hours',
    row: rowOf('time', 'active', 'reactive'),
  },
  '4.17': {
    name: 'ECS66',
    srv: '4.17',
    code: 0x0060,
    object: { classId: 7, obis: obis(0, 0, 99, 1, 3, 255), attribute: 2 },
    protection: obis(0, 0, 43, 2, 4, 255),
    kind: 'days',
    row: TIME_AND_ACTIVE,
  },
};

/** Attributes of ECS17a in the order of its answer: value and scaler with unit of active export, then of reactive. */
export const EXPORT_REGISTERS: readonly CosemObject[] = [
  USE_CASES['4.2'].object,
  { ...USE_CASES['4.2'].object, attribute: 3 },
  { classId: 3, obis: obis(1, 0, 4, 8, 0, 255), attribute: 2 },
  { classId: 3, obis: obis(1, 0, 4, 8, 0, 255), attribute: 3 },
];

export function useCaseOfCode(code: number): UseCase | undefined {
  return Object.values(USE_CASES).find((useCase) => useCase.code === code);
}

function obis(...groups: [number, number, number, number, number, number]): Uint8Array {
  return Uint8Array.from(groups);
}

function rowOf(...columns: readonly Column[]): RowLayout {
  const types = columns.map((column) => COLUMN_ARRAYS[column]);
  const fields = types.reduce((sum, { arrays }) => sum + arrays, 0);
  const descriptions = types.flatMap(({ arrays, elements }) => {
    const one = elements === 0 ? [0x06] : [0x01, 0, elements, 0x06];
    return Array.from({ length: arrays }, () => one).flat();
  });
  return {
    columns,
    words: columns.reduce((sum, column) => sum + wordsOf(column), 0),
    typeDescription: Uint8Array.from([0x02, fields, ...descriptions]),
  };
}
