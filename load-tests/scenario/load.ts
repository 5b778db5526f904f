import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseDocument, parse as parseYamlValue } from 'yaml';
import { type Fault, MdrError } from '#core/errors.ts';
import { DEFAULT_MATRIX, type Matrix, validateMatrix } from '#core/matrix.ts';
import { parseDay } from '#core/settlement-day.ts';
import { parseWindow } from '#fleet-sim/day-window.ts';
import type { Scenario } from '#fleet-sim/scenario.ts';
import type { ServiceTime } from '#fleet-sim/service-time.ts';
import { parseThreshold, unknownFilters } from '#load-tests/plan/threshold.ts';
import {
  compileSchema,
  formatPath,
  parseYaml,
  schemaFaults,
  type YamlFile,
} from '#services/platform/validated-yaml.ts';
import { SCENARIO_SCHEMA } from './schema.ts';

/** A scenario ready to run, and the text it came from. */
export type LoadedScenario = { scenario: Scenario; matrix: Matrix; file: string };

const BUILT_IN = join(dirname(fileURLToPath(import.meta.url)), '../scenarios');
/** Shares are written with a few digits: 0.333 x 3 is meant to be 1. */
const SHARE_SUM_TOLERANCE = 0.005;

const schema = compileSchema(SCENARIO_SCHEMA);

/** Names of the scenarios that come with the product. */
export function builtInScenarios(): string[] {
  return readdirSync(BUILT_IN)
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => name.slice(0, -'.yaml'.length))
    .sort();
}

/** Path of a built-in scenario by name, else the path given. */
export function scenarioFile(nameOrFile: string): string {
  return builtInScenarios().includes(nameOrFile) ? join(BUILT_IN, `${nameOrFile}.yaml`) : nameOrFile;
}

/**
 * Reads, completes and checks a scenario. `settings` are `path=value` as on the command line, applied before the
 * check. Throws INPUT_INVALID with every fault at once.
 */
export function loadScenario(nameOrFile: string, settings: readonly string[] = []): LoadedScenario {
  const file = scenarioFile(nameOrFile);
  return parseScenario(readText(file, nameOrFile), file, settings);
}

export function parseScenario(text: string, file: string, settings: readonly string[] = []): LoadedScenario {
  const parsed = parseYaml(text, file);
  if ('faults' in parsed) throw invalid(file, parsed.faults);
  const applied = applySettings(parsed.value, settings);
  if (applied.faults.length > 0) throw invalid(file, applied.faults);
  const value = applied.value;
  const place = (path: readonly (string | number)[], fault: Fault): Fault =>
    locate(parsed, file, applied.paths, path, fault);
  const ofShape = schemaFaults(schema, value);
  const faults = ofShape.map(({ path, fault }) => place(path, fault));
  const misshapen = new Set(ofShape.map(({ path }) => String(path[0] ?? '')));
  // Where nothing but an empty document came there is no part whose meaning could be looked at.
  if (misshapen.has('')) throw invalid(file, faults);
  const scenario = value as Scenario;
  if (misshapen.has('matrix')) throw invalid(file, faults);
  const { matrix, fault } = loadMatrix(scenario.matrix, applied.paths.includes('matrix') ? 'matrix set here' : file);
  if (fault !== undefined) faults.push(...fault.map((one) => place(['matrix'], one)));
  if (matrix !== undefined) {
    faults.push(...semanticFaults(scenario, matrix, misshapen).map(({ path, fault: one }) => place(path, one)));
  }
  if (faults.length > 0 || matrix === undefined) throw invalid(file, faults);
  return { scenario, matrix, file };
}

/** The matrix by its built-in name or from a JSON file, relative to the file that names it. */
export function loadMatrix(name: string, besideFile: string): { matrix?: Matrix; fault?: Fault[] } {
  if (name === DEFAULT_MATRIX.name) return { matrix: DEFAULT_MATRIX };
  const path = resolve(dirname(besideFile), name);
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    const why =
      error instanceof SyntaxError
        ? `JSON in ${path}: ${error.message}`
        : `${DEFAULT_MATRIX.name} or a file; there is no ${path}`;
    return { fault: [{ path: 'matrix', value: name, expected: why }] };
  }
  const result = validateMatrix(json);
  if ('matrix' in result) return { matrix: result.matrix };
  return { fault: result.faults.map((fault) => ({ ...fault, file: path })) };
}

function invalid(file: string, faults: readonly Fault[]): MdrError {
  return new MdrError('INPUT_INVALID', `${file} is not a scenario that can be run`, faults);
}

function readText(file: string, nameOrFile: string): string {
  const kind = statSync(file, { throwIfNoEntry: false });
  if (kind === undefined) {
    const known = builtInScenarios().join(', ');
    throw new MdrError('INPUT_UNREADABLE', `There is no scenario or file ${nameOrFile}; built in are ${known}`);
  }
  // A device has no end, and a folder no text.
  if (!kind.isFile() && !kind.isFIFO()) throw new MdrError('INPUT_UNREADABLE', `${nameOrFile} is not a file`);
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new MdrError('INPUT_UNREADABLE', `${nameOrFile} cannot be read: ${(error as Error).message}`);
  }
}

function locate(
  parsed: YamlFile,
  file: string,
  set: readonly string[],
  path: readonly (string | number)[],
  fault: Fault,
): Fault {
  if (fault.file !== undefined) return fault;
  const text = formatPath(path);
  const setting = set.find((one) => isUnder(text, one) || isUnder(one, text));
  if (setting !== undefined) return { ...fault, file: '--set' };
  return { ...fault, file, line: parsed.lineOf(path) };
}

/** Whether a path is another or leads on from it. */
function isUnder(path: string, other: string): boolean {
  return path === other || path.startsWith(`${other}.`) || path.startsWith(`${other}[`);
}

/** A path without `=` outside brackets, and the value. */
const SETTING = /^((?:[^=[\]]|\[[^\]]*\])+)=(.*)$/s;

/** `users[AGNA].share=0.5`: a list's member by number, name or MPID; the value is YAML. */
function applySettings(value: unknown, settings: readonly string[]) {
  const faults: Fault[] = [];
  const paths: string[] = [];
  if (settings.length === 0) return { value, faults, paths };
  // Defaults first, so that they can be changed by path; what is wrong is found when the whole is checked.
  schemaFaults(schema, value);
  const document = parseDocument('');
  document.contents = document.createNode(value, { aliasDuplicateObjects: false }) as never;
  for (const setting of settings) {
    const [, place, text] = SETTING.exec(setting) ?? [];
    const steps = place === undefined ? undefined : stepsOf(place, value);
    if (steps === undefined) {
      faults.push({
        file: '--set',
        value: setting,
        expected: 'PATH=VALUE with a path of the scenario, as fleet.meters=200000',
      });
      continue;
    }
    try {
      document.setIn(steps, document.createNode(parseYamlValue(text, { prettyErrors: false })));
      paths.push(formatPath(steps));
    } catch (error) {
      faults.push({
        file: '--set',
        value: setting,
        expected: `a value in YAML at a place that exists: ${(error as Error).message}`,
      });
    }
  }
  return { value: document.toJS(), faults, paths };
}

function stepsOf(path: string, value: unknown): (string | number)[] | undefined {
  const steps: (string | number)[] = [];
  let at: unknown = value;
  for (const [, name, member] of path.matchAll(/([^.[\]]+)|\[([^\]]*)\]/g)) {
    let step: string | number = name ?? member;
    if (Array.isArray(at)) {
      const list = at as { name?: string; mpid?: string }[];
      const index = /^\d+$/.test(step) ? Number(step) : list.findIndex((one) => one.name === step || one.mpid === step);
      if (index < 0 || index > list.length) return undefined;
      step = index;
    }
    steps.push(step);
    at = (at as Record<string | number, unknown> | undefined)?.[step];
  }
  return steps.length === 0 ? undefined : steps;
}

type PathFault = { path: (string | number)[]; fault: Fault };

/** What no schema can say: sums, references, dates. Each check with the settings that it needs to be well formed. */
function semanticFaults(scenario: Scenario, matrix: Matrix, misshapen: ReadonlySet<string>): PathFault[] {
  const faults: PathFault[] = [];
  const add: Add = (path, value, expected) => {
    faults.push({ path, fault: { path: formatPath(path), value, expected } });
  };
  const checks: [(keyof Scenario)[], () => void][] = [
    [['firstDay'], () => checkFirstDay(scenario, add)],
    [['networks', 'users'], () => checkSums(scenario, add)],
    [['networks', 'users'], () => checkUsers(scenario, add)],
    [['networks', 'users', 'existing', 'changes', 'bursts'], () => checkDemand(scenario, matrix, add)],
    [['networks', 'outages'], () => checkOutages(scenario, add)],
    [['days', 'bursts', 'changes', 'outages'], () => checkWithinRun(scenario, add)],
    [['networks', 'existing', 'platform'], () => checkServiceTimes(scenario, add)],
    [['fleet', 'networks', 'users', 'anomaly', 'days', 'warmUpHours'], () => checkSize(scenario, matrix, add)],
    [['networks', 'users', 'thresholds'], () => checkThresholds(scenario, matrix, add)],
  ];
  for (const [needed, check] of checks) if (!needed.some((part) => misshapen.has(part))) check();
  return faults;
}

function checkFirstDay({ firstDay }: Scenario, add: Add): void {
  if (parseDay(firstDay) === undefined) add(['firstDay'], firstDay, 'a day of the calendar');
}

function checkThresholds(scenario: Scenario, matrix: Matrix, add: Add): void {
  scenario.thresholds.forEach((text, k) => {
    const parsed = parseThreshold(text);
    if ('expected' in parsed) add(['thresholds', k], text, parsed.expected);
    else for (const expected of unknownFilters(parsed, scenario, matrix)) add(['thresholds', k], text, expected);
  });
}

type Add = (path: (string | number)[], value: unknown, expected: string) => void;

function checkSums({ networks, users }: Scenario, add: Add): void {
  const off = (sum: number) => Math.abs(sum - 1) > SHARE_SUM_TOLERANCE;
  const total = networks.reduce((sum, { share }) => sum + share, 0);
  if (off(total)) add(['networks'], round(total), "networks' shares that add up to 1");
  for (const role of ['MDR', 'IS', 'ES'] as const) {
    const own = users.filter((user) => user.role === role);
    const sum = own.reduce((all, { share }) => all + share, 0);
    if (own.length > 0 && off(sum)) add(['users'], round(sum), `shares of the ${role} Users that add up to 1`);
  }
  users.forEach(({ granularity }, k) => {
    const sum = granularity.halfHourly + granularity.daily + granularity.monthly;
    if (off(sum)) add(['users', k, 'granularity'], round(sum), 'shares that add up to 1');
  });
}

function round(value: number): number {
  return Number(value.toFixed(6));
}

function checkUsers(scenario: Scenario, add: Add): void {
  const { users, networks } = scenario;
  duplicates(users.map(({ mpid }) => mpid)).forEach((k) => {
    add(['users', k, 'mpid'], users[k].mpid, 'an MPID that no other User has');
  });
  duplicates(networks.map(({ name }) => name)).forEach((k) => {
    add(['networks', k, 'name'], networks[k].name, 'a name that no other network has');
  });
  users.forEach((user, k) => {
    for (const key of ['scheduleWindow', 'onDemandWindow'] as const) checkWindow(['users', k, key], user[key], add);
    for (const [key, value] of Object.entries(user.onboarding)) {
      for (const text of [value].flat()) {
        if (text !== null && parseDay(text) === undefined)
          add(['users', k, 'onboarding', key], text, 'a day of the calendar');
      }
    }
  });
}

function duplicates(values: readonly string[]): number[] {
  return values.flatMap((value, k) => (values.indexOf(value) < k ? [k] : []));
}

function checkWindow(path: (string | number)[], text: string, add: Add): void {
  if (parseWindow(text).lengthMs <= 0) add(path, text, 'a window that ends after it starts, on one day');
}

function checkDemand(scenario: Scenario, matrix: Matrix, add: Add): void {
  const { networks, users, existing, changes, bursts } = scenario;
  const srvs = matrix.services.map(({ srv }) => srv);
  networks.forEach(({ serviceTimes }, k) => {
    for (const srv of Object.keys(serviceTimes).filter((name) => !srvs.includes(name)))
      add(['networks', k, 'serviceTimes', srv], undefined, `no such SRV; the matrix has ${srvs.join(', ')}`);
  });
  const agents = users.filter(({ role }) => role === 'MDR').map(({ mpid }) => mpid);
  existing.reads.forEach(({ srv, window }, k) => {
    if (!srvs.includes(srv)) add(['existing', 'reads', k, 'srv'], srv, `an SRV of the matrix: ${srvs.join(', ')}`);
    checkWindow(['existing', 'reads', k, 'window'], window, add);
  });
  existing.other.forEach(({ window }, k) => {
    checkWindow(['existing', 'other', k, 'window'], window, add);
  });
  changes.forEach((change, k) => {
    for (const key of ['from', 'to'] as const) {
      if (!agents.includes(change[key]))
        add(['changes', k, key], change[key], `the MPID of an MDR User: ${agents.join(', ')}`);
    }
    if (change.from === change.to) add(['changes', k, 'to'], change.to, 'another agent than the outgoing one');
    checkWindow(['changes', k, 'window'], change.window, add);
  });
  bursts.forEach((burst, k) => {
    if (!users.some(({ mpid }) => mpid === burst.user))
      add(['bursts', k, 'user'], burst.user, `an MPID of a User: ${users.map(({ mpid }) => mpid).join(', ')}`);
    if (!srvs.includes(burst.srv)) add(['bursts', k, 'srv'], burst.srv, `an SRV of the matrix: ${srvs.join(', ')}`);
    checkWindow(['bursts', k, 'window'], burst.window, add);
  });
}

function checkOutages({ outages, networks }: Scenario, add: Add): void {
  outages.forEach(({ network, startHour, hours }, k) => {
    if (!networks.some(({ name }) => name === network)) {
      add(['outages', k, 'network'], network, `a network's name: ${networks.map(({ name }) => name).join(', ')}`);
    }
    const overlaps = outages.findIndex(
      (other, at) =>
        at < k &&
        other.network === network &&
        startHour <= other.startHour + other.hours &&
        other.startHour <= startHour + hours,
    );
    if (overlaps >= 0)
      add(['outages', k], undefined, `outages of ${network} apart from each other; this meets outages[${overlaps}]`);
  });
}

/** What would happen after the last day happens never: it is a slip, not a setting. */
function checkWithinRun({ days, bursts, changes, outages }: Scenario, add: Add): void {
  for (const [key, list] of Object.entries({ bursts, changes })) {
    list.forEach(({ day }, k) => {
      if (day > days) add([key, k, 'day'], day, `a day of the run, which has ${days}`);
    });
  }
  outages.forEach(({ startHour }, k) => {
    if (startHour >= days * 24)
      add(['outages', k, 'startHour'], startHour, `an hour before ${days * 24}, when the run ends`);
  });
}

function checkServiceTimes({ networks, existing, platform }: Scenario, add: Add): void {
  const check = (path: (string | number)[], time: ServiceTime) => {
    if (time.distribution !== 'lognormal' || time.p95Seconds >= time.medianSeconds) return;
    add([...path, 'p95Seconds'], time.p95Seconds, `at least the median, ${time.medianSeconds}`);
  };
  networks.forEach(({ serviceTime, serviceTimes }, k) => {
    check(['networks', k, 'serviceTime'], serviceTime);
    for (const [srv, time] of Object.entries(serviceTimes)) check(['networks', k, 'serviceTimes', srv], time);
  });
  existing.other.forEach(({ serviceTime }, k) => {
    check(['existing', 'other', k, 'serviceTime'], serviceTime);
  });
  if (platform.dccOnlyP95Ms < platform.dccOnlyMedianMs) {
    add(['platform', 'dccOnlyP95Ms'], platform.dccOnlyP95Ms, `at least the median, ${platform.dccOnlyMedianMs}`);
  }
}

/** What a run keeps in memory: a record a cell, and counts by network, User, SRV and anomaly period. */
const CELLS_MAX = 200_000;
const ANOMALY_COUNTS_MAX = 20_000_000;

function checkSize({ fleet, networks, users, anomaly, days, warmUpHours }: Scenario, matrix: Matrix, add: Add): void {
  if (fleet.meters / fleet.metersPerCell > CELLS_MAX) {
    const least = Math.ceil(fleet.meters / CELLS_MAX);
    add(['fleet', 'metersPerCell'], fleet.metersPerCell, `at least ${least}: a fleet has at most ${CELLS_MAX} cells`);
  }
  // The last TRT, a day, and the edges of the periods come on top.
  const seconds = (days + 2) * 86_400 + warmUpHours * 3600;
  const counts = networks.length * users.length * matrix.services.length;
  if ((counts * seconds) / anomaly.periodSeconds > ANOMALY_COUNTS_MAX) {
    const least = Math.ceil((counts * seconds) / ANOMALY_COUNTS_MAX);
    add(['anomaly', 'periodSeconds'], anomaly.periodSeconds, `at least ${least} with so many days, Users and networks`);
  }
}
