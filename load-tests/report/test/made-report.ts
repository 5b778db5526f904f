import { drawUnit, PURPOSE } from '#fleet-sim/draws.ts';
import type { Ledger, NetworkRow, Report, ThresholdRow, TrtRow, UserRow } from '../report.ts';
import { LATENCY_BUCKET_SECONDS, latencyPoints, NETWORKS, networkRows } from './made-networks.ts';
import { madePlatform } from './made-platform.ts';

/** What the made report shall show. Its figures agree with each other as those of a run do. */
export type Making = {
  seed: number;
  days?: number;
  meters?: number;
  /** Hours after midnight of the first day, on the first network. */
  outage?: { startHour: number; endHour: number };
  sampleOneIn?: number;
  complete?: boolean;
  /** No request at all: a scenario of which nothing came. */
  empty?: boolean;
  /** How many times as many breaches as usual. */
  lateness?: number;
  /** Every request in time. */
  calm?: boolean;
  /** Driven through services, at a speed of the clock (0: as fast as it goes), which may not keep up. */
  platform?: { speed: number; fallsBehind?: boolean };
  names?: { scenario: string; network: string; user: string };
};

export const START_MS = Date.UTC(2026, 2, 2);

/** A report of plausible shape: nightly scheduled reads, on-demand requests by day, a late network where asked for. */
export function madeReport(making: Making): Report {
  const draw = drawsOf(making.seed);
  const days = making.days ?? 1;
  const meters = making.meters ?? 100_000;
  const trt = making.empty === true ? [] : trtRows(making, meters * days, draw);
  const ledger = ledgerOf(trt, draw);
  const networks = networkRows(making, meters, days, ledger, draw);
  const sampled = making.sampleOneIn !== undefined;
  const thresholds = thresholdRows(trt, networks, sampled);
  const cellsAll = networks.reduce((sum, network) => sum + network.cells, 0);
  const cellsPicked = (cellsAll / (making.sampleOneIn ?? 1)) * (making.complete === false ? 0.4 : 1);
  const sample =
    making.platform === undefined && (sampled || making.complete === false)
      ? { oneIn: making.sampleOneIn ?? 1, cells: Math.ceil(cellsPicked), cellsAll }
      : null;
  return {
    schemaVersion: 1,
    verdict:
      (['broken', 'undecided'] as const).find((verdict) => thresholds.some((row) => row.verdict === verdict)) ?? 'held',
    scenario: {
      name: 'made-day',
      title: making.names?.scenario ?? 'A Settlement Day with an evening of re-requests',
      description: 'Half-hourly and daily reads of every meter by schedule overnight, re-requests on demand by day.',
      meters,
      firstDay: new Date(START_MS).toISOString().slice(0, 10),
      days,
      matrix: 'mp162-v0.4',
      settings: settings(making, meters, days),
    },
    run: {
      seed: making.seed,
      digest: '9f1c4be07a55d1ce3b6a4f0298de71b06c2d8853aa10e7f7d04c5b19e2f683ab',
      workers: 2,
      wallSeconds: 7.43,
      cpuSeconds: 13.9,
      rssBytesMax: 412_000_000,
      version: '0.1.0',
      complete: making.complete ?? true,
      command: `mdr ${making.platform === undefined ? 'plan' : 'load'} made-day --seed ${making.seed}${sampled ? ` --sample 1/${making.sampleOneIn}` : ''}`,
      machine: { cpu: 'AMD EPYC 7B13', cores: 2, memoryBytes: 8_350_000_000, platform: 'linux x64', node: 'v24.21.0' },
      sample,
      events: 1_204_331,
      passes: 1,
      settled: true,
    },
    ledger,
    trt,
    measures: measureRows(trt),
    networks,
    users: making.empty === true ? [] : userRows(making, ledger, draw),
    thresholds,
    series: {
      startMs: START_MS,
      bucketSeconds: LATENCY_BUCKET_SECONDS,
      onDemand: latencyPoints(making, days, meters, draw),
    },
    ...(making.platform === undefined ? {} : { platform: madePlatform(making, ledger, draw) }),
  };
}

export type Draw = () => number;

function drawsOf(seed: number): Draw {
  let occasion = 0;
  return () => drawUnit(seed, 0, occasion++, PURPOSE.profile);
}

/** srv, generation, mode, service, TRT in seconds, requests a meter and day, share late, median seconds. */
const ROWS = [
  ['4.6.1', 'SMETS1', 'scheduled', 'mhhs', 86_400, 0.18, 0.0006, 410],
  ['4.6.1', 'SMETS2', 'scheduled', 'mhhs', 86_400, 0.24, 0.0004, 290],
  ['4.6.2', 'SMETS2', 'scheduled', 'mhhs', 86_400, 0.03, 0.0005, 300],
  ['4.8.1', 'SMETS1', 'scheduled', 'mhhs', 86_400, 0.13, 0.002, 620],
  ['4.8.1', 'SMETS2', 'scheduled', 'mhhs', 86_400, 0.31, 0.003, 540],
  ['4.8.1', 'SMETS2', 'scheduled', 'existing', 86_400, 0.22, 0.0009, 520],
  ['4.8.3', 'SMETS2', 'scheduled', 'mhhs', 86_400, 0.04, 0, 480],
  ['4.17', 'SMETS2', 'scheduled', 'mhhs', 86_400, 0.002, 0, 350],
  ['4.1.1', 'SMETS1', 'on-demand', 'existing', 16, 0.012, 0.021, 5.1],
  ['4.1.1', 'SMETS2', 'on-demand', 'existing', 30, 0.021, 0.006, 7.4],
  ['4.1.1', 'SMETS2', 'on-demand', 'mhhs', 86_400, 0.006, 0, 7.9],
  ['4.2', 'SMETS2', 'on-demand', 'existing', 30, 0.0008, 0, 7.5],
  ['4.6.1', 'SMETS2', 'on-demand', 'mhhs', 86_400, 0.018, 0.0002, 11],
  ['4.8.1', 'SMETS1', 'on-demand', 'mhhs', 86_400, 0.011, 0, 24],
  ['4.8.1', 'SMETS2', 'on-demand', 'mhhs', 86_400, 0.026, 0.0003, 31],
  ['4.8.1', 'SMETS2', 'on-demand', 'existing', 5_600, 0.019, 0.0878, 44],
  ['5.1', 'SMETS2', 'on-demand', 'mhhs', 86_400, 0.004, 0, 0.4],
  ['8.2', 'SMETS2', 'on-demand', 'existing', 30, 0.003, 0, 0.3],
  ['8.2', 'SMETS1', 'on-demand', 'mhhs', 30, 0.00002, 0, 0.3],
] as const;

function trtRows(making: Making, meterDays: number, draw: Draw): TrtRow[] {
  return ROWS.map(([srv, generation, mode, service, trtSeconds, perMeter, late, median]) => {
    const requests = Math.max(1, Math.round(meterDays * perMeter * (0.95 + 0.1 * draw())));
    const lateShare = making.calm === true ? 0 : late * (making.lateness ?? (making.outage === undefined ? 0.2 : 1));
    const breaches = Math.round(requests * lateShare);
    const unsettled = making.complete === false && making.platform === undefined ? Math.round(requests * 0.1) : 0;
    const open = Math.min(requests, unsettled + Math.round(breaches * 0.1));
    const withinTrt = requests - breaches - unsettled;
    const p95 = median * (3 + draw());
    const row: TrtRow = {
      srv,
      generation,
      mode,
      service,
      trtSeconds,
      requests,
      withinTrt,
      withinTrtWithoutData: trtSeconds < 3600 || srv.startsWith('5') ? 0 : Math.round(withinTrt * 0.06 * draw()),
      breaches,
      open,
      seconds: {
        p50: median,
        p95,
        p99: p95 * 1.9,
        max: breaches > 0 ? trtSeconds * 1.4 : Math.min(p95 * 4, trtSeconds),
      },
    };
    const share = withinTrt + breaches === 0 ? 1 : withinTrt / (withinTrt + breaches);
    const half = 1.96 * Math.sqrt(Math.max(share * (1 - share), 1e-6) / (requests / (making.sampleOneIn ?? 1)));
    return making.sampleOneIn === undefined
      ? row
      : { ...row, interval: [Math.max(0, share - half * 6), Math.min(1, share + half * 6)] };
  });
}

function ledgerOf(trt: readonly TrtRow[], draw: Draw): Ledger {
  const accepted = total(trt, (row) => row.requests);
  const open = total(trt, (row) => row.open);
  const answered = accepted - open;
  const some = (share: number): number => Math.round(accepted * share * (0.5 + draw()));
  const refused =
    accepted === 0 ? {} : { E1: 3, E2: some(0.0004), E4: some(0.009), E5: some(0.002), E19: some(0.0001) };
  const quarantined = some(0.0007);
  const e20 = Math.round(answered * 0.041);
  const e21 = Math.round(answered * 0.006);
  const refusedAll = Object.values(refused).reduce((sum, count) => sum + count, 0);
  return {
    received: accepted + refusedAll + quarantined,
    answered,
    refused,
    quarantined,
    open,
    breaches: total(trt, (row) => row.breaches),
    answeredBy: answered === 0 ? {} : { I0: answered - e20 - e21, E20: e20, E21: e21 },
    halfHours: answered * 48,
  };
}

function measureRows(trt: readonly TrtRow[]): Report['measures'] {
  const month = new Date(START_MS).toISOString().slice(0, 7);
  return (['on-demand', 'scheduled'] as const).flatMap((measure) => {
    const rows = trt.filter((row) => row.mode === measure);
    const requests = total(rows, (row) => row.requests);
    if (requests === 0) return [];
    const withinTrt = total(rows, (row) => row.withinTrt);
    return [{ month, measure, requests, withinTrt, share: withinTrt / requests, target: 0.99, minimum: 0.96 }];
  });
}

const USERS = [
  ['Grid Reads', 'AGNA', 'MDR', 0.41, 0.0],
  ['Meterwise Agents', 'AGNB', 'MDR', 0.27, 0.062],
  ['Northern Data', 'AGNC', 'MDR', 0.09, 0.0003],
  ['Bright Supply', 'SUPA', 'IS', 0.16, 0.0],
  ['Small Supply', 'SUPB', 'IS', 0.05, 0.0],
  ['Sunback Export', 'EXPA', 'ES', 0.02, 0.0],
] as const;

function userRows(making: Making, ledger: Ledger, draw: Draw): UserRow[] {
  return USERS.map(([name, mpid, role, share, onDemandShare], index) => {
    const requests = Math.round(ledger.received * share);
    const firstAttempts = role === 'MDR' ? Math.round(requests * 0.8) : 0;
    const firstAttemptsOnDemand = Math.round(firstAttempts * onDemandShare);
    return {
      name: index === 0 && making.names !== undefined ? making.names.user : name,
      mpid,
      role,
      requests,
      refused: Math.round(requests * 0.011 * draw()),
      quarantined: index === 1 ? ledger.quarantined : 0,
      withinTrtShare: role === 'ES' ? null : 0.999 - 0.02 * draw(),
      firstAttempts,
      firstAttemptsOnDemand,
      firstAttemptsOnDemandShare: firstAttempts === 0 ? 0 : firstAttemptsOnDemand / firstAttempts,
      reRequests: Math.round(requests * 0.05 * draw()),
      forecast: index === 5 ? null : Math.round(requests * (0.85 + 0.2 * draw())),
    };
  });
}

function thresholdRows(trt: readonly TrtRow[], networks: readonly NetworkRow[], sampled: boolean): ThresholdRow[] {
  const shareOf = (rows: readonly TrtRow[]): number | null => {
    const within = total(rows, (row) => row.withinTrt);
    const settled = within + total(rows, (row) => row.breaches);
    return settled === 0 ? null : within / settled;
  };
  const scheduledShare = shareOf(trt.filter((row) => row.mode === 'scheduled'));
  const onDemandShare = shareOf(trt.filter((row) => row.mode === 'on-demand'));
  const mean = total(networks, (network) => network.utilisationMean) / networks.length;
  const judged = (expression: string, value: number | null, limit: number, atLeast: boolean): ThresholdRow => {
    const holds = value !== null && (atLeast ? value >= limit : value <= limit);
    const row: ThresholdRow = { expression, value, verdict: value === null ? 'undecided' : holds ? 'held' : 'broken' };
    if (!sampled || value === null) return row;
    const interval: [number, number] = [Math.max(0, value - 0.004), Math.min(1, value + 0.003)];
    return { ...row, interval, verdict: interval[0] < limit && limit < interval[1] ? 'undecided' : row.verdict };
  };
  return [
    judged('withinTrt{mode=scheduled} >= 0.99', scheduledShare, 0.99, true),
    judged('withinTrt{mode=on-demand} >= 0.99', onDemandShare, 0.99, true),
    judged('utilisation <= 0.8', mean, 0.8, false),
    { expression: 'quarantined <= 500', value: 61, verdict: 'held' },
  ];
}

function settings(making: Making, meters: number, days: number): Record<string, unknown> {
  return {
    meters,
    days,
    firstDay: '2026-03-02',
    matrix: 'mp162-v0.4',
    networks: NETWORKS.map(([name, generation, share]) => ({
      name,
      generation,
      share,
      retries: { attemptsMax: 3, afterSeconds: 600 },
    })),
    users: USERS.map(([name, mpid, role, share]) => ({ name, mpid, role, share })),
    title: making.names?.scenario ?? 'A Settlement Day with an evening of re-requests',
  };
}

export function total<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((sum, item) => sum + of(item), 0);
}
