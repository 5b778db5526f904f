import { MdrError } from '#core/errors.ts';
import { GENERATIONS, type Matrix, validateMatrix } from '#core/matrix.ts';
import type { DayConvention } from '#core/settlement-day.ts';
import { Access } from './access.ts';
import { AnomalyLedger } from './anomaly-ledger.ts';
import { readChecks } from './checks.ts';
import { type DeadLetters, readDeadLetters } from './dead-letters.ts';
import {
  FAULTS,
  type FaultKind,
  FINDINGS_KEPT_MAX,
  type Finding,
  Findings,
  WARNINGS,
  type WarningKind,
} from './findings.ts';
import { Log, type LogOptions } from './log.ts';
import { type AuditBooks, readPartition } from './partition-ledger.ts';
import type { RunRecord } from './record-types.ts';
import { Replays } from './replays.ts';
import { type LaneTotals, Totals } from './totals.ts';
import { Users } from './users.ts';
import { judgePartition } from './verdict.ts';

export type AuditOptions = LogOptions & {
  /** Demands an answer to every request, those received after the counted time as well. */
  isAllDemanded: boolean;
  /** What was set aside is a fault. */
  isDeadLetterFault: boolean;
};

/** What `mdr audit --json` prints; docs/operate/audit.md says what each figure is. */
export type AuditReport = {
  version: 1;
  prefix: string;
  partitions: number;
  run: { id: string; state: string; countedStartMs: number; countedEndMs: number; speed: number };
  clean: boolean;
  totals: LaneTotals;
  byMode: Record<string, LaneTotals>;
  codes: Record<string, number>;
  intervals: number;
  released: number;
  breaches: number;
  late: number;
  replays: Record<string, number>;
  deadLetters: DeadLetters['counts'];
  faults: { total: number; counts: Record<FaultKind, number>; keptMax: number; list: Finding<FaultKind>[] };
  warnings: { total: number; counts: Record<WarningKind, number>; keptMax: number; list: Finding<WarningKind>[] };
  figures: { records: number; seconds: number; cpuSeconds: number; memoryMaxBytes: number };
};

/** Reads the topics of a run from their start, one partition after another, and proves its ledger. */
export async function runAudit(options: AuditOptions): Promise<AuditReport> {
  const startedMs = performance.now();
  const startedCpu = process.cpuUsage();
  const faults = new Findings(FAULTS);
  const warnings = new Findings(WARNINGS);
  const replays = new Replays();
  const totals = new Totals();
  const log = await Log.open(options);
  const { run, matrix, convention } = await readRun(log, options.prefix);
  const deadLetters = await readDeadLetters(log, replays, faults);
  const { setAside } = deadLetters;
  const users = await Users.read(log, faults, setAside);
  const checks = await readChecks(log, faults, setAside, replays, generationOf);
  const anomaly = new AnomalyLedger(users, matrix);
  const books: AuditBooks = { log, matrix, users, setAside, faults, warnings, replays };
  const settledBeforeMs = options.isAllDemanded ? Number.POSITIVE_INFINITY : run.countedEndMs;
  let memoryMaxBytes = 0;
  for (let partition = 0; partition < log.partitions; partition++) {
    const ledger = await readPartition(books, partition, checks[partition]);
    const access = await Access.read(log, partition, ledger.requests, users, matrix, convention, faults, setAside);
    judgePartition(ledger, access, { matrix, settledBeforeMs, faults, warnings, anomaly }, totals);
    memoryMaxBytes = Math.max(memoryMaxBytes, process.memoryUsage.rss());
  }
  anomaly.judge(faults);
  if (options.isDeadLetterFault) deadLetters.report();
  const cpu = process.cpuUsage(startedCpu);
  const { runId: id, state, countedStartMs, countedEndMs, speed } = run;
  return {
    version: 1,
    prefix: options.prefix,
    partitions: log.partitions,
    run: { id, state, countedStartMs, countedEndMs, speed },
    clean: faults.total === 0,
    totals: totals.all(),
    byMode: totals.byMode,
    codes: totals.codes,
    intervals: totals.intervals,
    released: totals.released,
    breaches: totals.breaches,
    late: totals.late,
    replays: replays.counts,
    deadLetters: deadLetters.counts,
    faults: listOf(faults),
    warnings: listOf(warnings),
    figures: {
      records: log.records,
      seconds: (performance.now() - startedMs) / 1000,
      cpuSeconds: (cpu.user + cpu.system) / 1e6,
      memoryMaxBytes,
    },
  };
}

function listOf<Kind extends string>(findings: Findings<Kind>) {
  return { total: findings.total, counts: findings.counts, keptMax: FINDINGS_KEPT_MAX, list: findings.kept };
}

function generationOf(symbol: string): number {
  return (GENERATIONS as readonly string[]).indexOf(symbol);
}

/** The run as it stands last, and the rules that it was made by. */
async function readRun(
  log: Log,
  prefix: string,
): Promise<{ run: RunRecord; matrix: Matrix; convention: DayConvention }> {
  let run: RunRecord | undefined;
  for (let partition = 0; partition < log.partitions; partition++) {
    await log.read(
      'runs',
      partition,
      ({ value }) => {
        if (value !== null) run = value;
      },
      (offset, why) => {
        throw new MdrError('COULD_NOT_RUN', `The run at offset ${offset} of ${prefix}runs cannot be read: ${why}`);
      },
    );
  }
  if (run === undefined) throw new MdrError('COULD_NOT_RUN', `There is no run in ${prefix}runs to audit`);
  const { scenario, matrix: json } = JSON.parse(run.scenario) as {
    scenario: { dayConvention: DayConvention };
    matrix: unknown;
  };
  const checked = validateMatrix(json);
  if ('faults' in checked) throw new MdrError('COULD_NOT_RUN', 'The run carries a matrix that is none', checked.faults);
  return { run, matrix: checked.matrix, convention: scenario.dayConvention };
}
