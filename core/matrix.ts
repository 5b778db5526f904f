import type { Fault } from './errors.ts';
import mp162 from './matrices/mp162-v0.4.json' with { type: 'json' };

/** Index constants everywhere are positions in these arrays. */
export const GENERATIONS = ['SMETS1', 'SMETS2'] as const;
export const MODES = ['scheduled', 'on-demand'] as const;
export const SERVICES = ['existing', 'mhhs'] as const;
export const ROLES = ['IS', 'ES', 'MDR', 'GS', 'GT', 'ED', 'OU', 'RSA'] as const;
export const REGISTERS = ['import', 'export'] as const;
export const DATA_KINDS = ['half-hours', 'daily-log', 'registers'] as const;
export const GRANULARITIES = ['half-hourly', 'daily', 'monthly'] as const;
/** The Service Requests that a matrix may speak of. [MP162 2.4] */
export const SRVS = ['4.1.1', '4.2', '4.6.1', '4.6.2', '4.8.1', '4.8.3', '4.17', '5.1', '5.2', '5.3', '8.2'] as const;

export type Generation = (typeof GENERATIONS)[number];
export type Mode = (typeof MODES)[number];
export type Service = (typeof SERVICES)[number];
export type Role = (typeof ROLES)[number];
export type Register = (typeof REGISTERS)[number];
export type DataKind = (typeof DATA_KINDS)[number];
export type Granularity = (typeof GRANULARITIES)[number];

/** Seconds, null where the combination is not available. */
export type TrtCell = { scheduled: number | null; onDemand: number | null };
export type TrtService = { roles: Role[] } & Record<Generation, TrtCell>;

/** One Service Request as the data file writes it. */
export type MatrixService = {
  srv: string;
  name: string;
  target: 'device' | 'dcc';
  commandVariant: 1 | 8;
  register: Register | null;
  data: DataKind | null;
  modes: { scheduled: boolean; onDemand: boolean };
  granularities: Granularity[];
  /** Days that the meter keeps; null as a whole for what is no log, per generation where it is not available. */
  keptDays: Record<Generation, number | null> | null;
  /** Cap of the DUIS schema on the entries of one answer. */
  entriesMax: number | null;
  trtSeconds: Record<Service, TrtService>;
};

/** The SR/TRT matrix: the one place that knows a TRT or an eligibility. `srv` arguments are indexes in `services`. */
export type Matrix = {
  name: string;
  source: string;
  services: readonly MatrixService[];
  /** Seconds at [srv][generation][mode][service][role], -1 where not eligible: 64 numbers an SRV. */
  trtSeconds: Int32Array;
  /** Per srv: position in SRVS. */
  srv: Uint8Array;
  /** Per srv: position in REGISTERS, NO_REGISTER where none is read. */
  register: Uint8Array;
  /** Per srv: position in DATA_KINDS, NO_DATA where the meter's data is not read. */
  data: Uint8Array;
  /** At [srv * 2 + generation]; -1 where no log is kept. */
  keptDays: Int32Array;
};

export const NO_REGISTER = REGISTERS.length;
export const NO_DATA = DATA_KINDS.length;

export type MatrixRow = {
  srv: string;
  name: string;
  generation: Generation;
  mode: Mode;
  service: Service;
  /** Empty where trtSeconds is null. */
  roles: Role[];
  trtSeconds: number | null;
};

/** The table of MP162 2.5, with 8.2 as footnote 3 amends it. */
export const DEFAULT_MATRIX: Matrix = compileMatrix(mp162 as MatrixFile);

/** Position of an SRV in `matrix.services`, -1 if the matrix does not have it. */
export function srvIndex(matrix: Matrix, srv: string): number {
  return matrix.services.findIndex((service) => service.srv === srv);
}

/** The Target Response Time in seconds, -1 where the combination is not eligible; one read, no branch. */
export function trtSecondsOf(
  matrix: Matrix,
  srv: number,
  generation: number,
  mode: number,
  service: number,
  role: number,
): number {
  return matrix.trtSeconds[(srv << 6) | (generation << 5) | (mode << 4) | (service << 3) | role];
}

/** Every SRV x generation x mode x service, eligible or not. */
export function matrixRows(matrix: Matrix): MatrixRow[] {
  return matrix.services.flatMap((row) =>
    GENERATIONS.flatMap((generation) =>
      MODES.flatMap((mode) =>
        SERVICES.map((service): MatrixRow => {
          const trtSeconds = cellOf(row, generation, mode, service);
          const roles = trtSeconds === null ? [] : [...row.trtSeconds[service].roles];
          return { srv: row.srv, name: row.name, generation, mode, service, roles, trtSeconds };
        }),
      ),
    ),
  );
}

/** Takes the JSON of a matrix file; names every fault at once, each with its path in the document. */
export function validateMatrix(json: unknown): { matrix: Matrix } | { faults: Fault[] } {
  const faults: Fault[] = [];
  const document = record(json, '', ['name', 'source', 'services'], faults);
  if (document !== undefined) {
    text(document, 'name', '', faults);
    text(document, 'source', '', faults);
    const services = document.services;
    if (Array.isArray(services) && services.length > 0) {
      services.forEach((service, at) => {
        checkService(service, `services[${at}]`, faults);
      });
      checkSrvsOnce(services, faults);
    } else if ('services' in document) {
      faults.push({ path: 'services', value: services, expected: 'a list of at least one Service Request' });
    }
  }
  return faults.length === 0 ? { matrix: compileMatrix(json as MatrixFile) } : { faults };
}

/** A matrix that was valid when it was written, as of one process for another. Throws where it is none. */
export function matrixFrom(json: unknown): Matrix {
  const checked = validateMatrix(json);
  if ('faults' in checked) throw new Error('a matrix was handed over that is none');
  return checked.matrix;
}

/** What {@link matrixFrom} takes: the matrix as its file has it. */
export function matrixJson({ name, source, services }: Matrix): MatrixFile {
  return { name, source, services: [...services] };
}

export type MatrixFile = { name: string; source: string; services: MatrixService[] };

function compileMatrix({ name, source, services }: MatrixFile): Matrix {
  const trtSeconds = new Int32Array(services.length << 6).fill(-1);
  const keptDays = new Int32Array(services.length * GENERATIONS.length).fill(-1);
  services.forEach((row, srv) => {
    GENERATIONS.forEach((generation, g) => {
      keptDays[srv * GENERATIONS.length + g] = row.keptDays?.[generation] ?? -1;
      MODES.forEach((mode, m) => {
        SERVICES.forEach((service, s) => {
          for (const role of row.trtSeconds[service].roles) {
            const at = (srv << 6) | (g << 5) | (m << 4) | (s << 3) | ROLES.indexOf(role);
            trtSeconds[at] = cellOf(row, generation, mode, service) ?? -1;
          }
        });
      });
    });
  });
  const srv = Uint8Array.from(services, (row) => (SRVS as readonly string[]).indexOf(row.srv));
  const register = Uint8Array.from(services, (row) => position(REGISTERS, row.register));
  const data = Uint8Array.from(services, (row) => position(DATA_KINDS, row.data));
  return { name, source, services, trtSeconds, srv, register, data, keptDays };
}

function cellOf(row: MatrixService, generation: Generation, mode: Mode, service: Service): number | null {
  return row.trtSeconds[service][generation][mode === 'scheduled' ? 'scheduled' : 'onDemand'];
}

function position<T>(all: readonly T[], one: T | null): number {
  return one === null ? all.length : all.indexOf(one);
}

const SERVICE_KEYS = [
  'srv',
  'name',
  'target',
  'commandVariant',
  'register',
  'data',
  'modes',
  'granularities',
  'keptDays',
  'entriesMax',
  'trtSeconds',
];
const CELLS = ['scheduled', 'onDemand'];

function checkService(json: unknown, path: string, faults: Fault[]): void {
  const row = record(json, path, SERVICE_KEYS, faults);
  if (row === undefined) return;
  oneOf(row, 'srv', SRVS, path, faults);
  text(row, 'name', path, faults);
  oneOf(row, 'target', ['device', 'dcc'], path, faults);
  oneOf(row, 'commandVariant', [1, 8], path, faults);
  oneOf(row, 'register', [...REGISTERS, null], path, faults);
  oneOf(row, 'data', [...DATA_KINDS, null], path, faults);
  listOf(row, 'granularities', GRANULARITIES, path, faults);
  count(row, 'entriesMax', path, faults);
  if ('keptDays' in row && row.keptDays !== null) {
    const kept = record(row.keptDays, `${path}.keptDays`, GENERATIONS, faults);
    if (kept !== undefined) for (const generation of GENERATIONS) count(kept, generation, `${path}.keptDays`, faults);
  }
  if ('register' in row && 'data' in row && (row.register === null) !== (row.data === null)) {
    faults.push({
      path: `${path}.register`,
      value: row.register,
      expected: 'a register where data is read, null where none is',
    });
  }
  const modes = 'modes' in row ? record(row.modes, `${path}.modes`, CELLS, faults) : undefined;
  if (modes !== undefined) for (const cell of CELLS) oneOf(modes, cell, [true, false], `${path}.modes`, faults);
  const services = 'trtSeconds' in row ? record(row.trtSeconds, `${path}.trtSeconds`, SERVICES, faults) : undefined;
  if (services === undefined) return;
  for (const service of SERVICES) {
    if (service in services) checkTrts(services[service], modes, `${path}.trtSeconds.${service}`, faults);
  }
}

function checkTrts(json: unknown, modes: Record<string, unknown> | undefined, path: string, faults: Fault[]): void {
  const service = record(json, path, ['roles', ...GENERATIONS], faults);
  if (service === undefined) return;
  listOf(service, 'roles', ROLES, path, faults);
  for (const generation of GENERATIONS) {
    if (!(generation in service)) continue;
    const cells = record(service[generation], `${path}.${generation}`, CELLS, faults);
    if (cells === undefined) continue;
    for (const cell of CELLS) {
      count(cells, cell, `${path}.${generation}`, faults);
      if (modes?.[cell] === false && typeof cells[cell] === 'number') {
        const expected = `null, since ${cell} is not a mode of this Service Request`;
        faults.push({ path: `${path}.${generation}.${cell}`, value: cells[cell], expected });
      }
    }
  }
}

function checkSrvsOnce(services: unknown[], faults: Fault[]): void {
  const seen = new Map<unknown, number>();
  services.forEach((service, at) => {
    if (typeof service !== 'object' || service === null || !('srv' in service)) return;
    const before = seen.get(service.srv);
    if (before === undefined) seen.set(service.srv, at);
    else
      faults.push({
        path: `services[${at}].srv`,
        value: service.srv,
        expected: `an SRV not yet in services[${before}]`,
      });
  });
}

function record(
  json: unknown,
  path: string,
  keys: readonly string[],
  faults: Fault[],
): Record<string, unknown> | undefined {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    faults.push({ path, value: json, expected: `an object with ${keys.join(', ')}` });
    return undefined;
  }
  for (const key of keys) if (!(key in json)) faults.push({ path: join(path, key), expected: 'to be present' });
  for (const [key, value] of Object.entries(json)) {
    if (!keys.includes(key))
      faults.push({ path: join(path, key), value, expected: `one of the keys ${keys.join(', ')}` });
  }
  return json as Record<string, unknown>;
}

function text(of: Record<string, unknown>, key: string, path: string, faults: Fault[]): void {
  if (key in of && (typeof of[key] !== 'string' || of[key] === '')) {
    faults.push({ path: join(path, key), value: of[key], expected: 'a text' });
  }
}

function oneOf(of: Record<string, unknown>, key: string, all: readonly unknown[], path: string, faults: Fault[]): void {
  if (key in of && !all.includes(of[key])) {
    faults.push({ path: join(path, key), value: of[key], expected: `one of ${all.join(', ')}` });
  }
}

function listOf(of: Record<string, unknown>, key: string, all: readonly string[], path: string, faults: Fault[]): void {
  if (!(key in of)) return;
  const list = of[key];
  if (!Array.isArray(list)) {
    faults.push({ path: join(path, key), value: list, expected: `a list of ${all.join(', ')}` });
    return;
  }
  list.forEach((value, at) => {
    const expected = !all.includes(value) ? `one of ${all.join(', ')}` : 'each value once';
    if (!all.includes(value) || list.indexOf(value) < at)
      faults.push({ path: `${join(path, key)}[${at}]`, value, expected });
  });
}

const COUNT_MAX = 2 ** 31 - 1;

function count(of: Record<string, unknown>, key: string, path: string, faults: Fault[]): void {
  const value = of[key];
  if (!(key in of) || value === null) return;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > COUNT_MAX) {
    faults.push({ path: join(path, key), value, expected: 'a whole number above 0, or null' });
  }
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}
