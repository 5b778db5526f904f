import matrixFile from '#core/matrices/mp162-v0.4.json' with { type: 'json' };
import { type Matrix, validateMatrix } from '#core/matrix.ts';
import type { NetworkSettings, RetrySettings, Scenario, UserSettings } from '#fleet-sim/scenario.ts';
import { compileWorld, type World } from '#fleet-sim/world.ts';

/** Two agents, a Supplier that is its own MDRA on a fifth of its meters, and an Export Supplier. */
export const WORLD_USERS: UserSettings[] = [
  { ...userOf('Agent One', 'AONE', 'MDR'), share: 0.6 },
  { ...userOf('Agent Two', 'ATWO', 'MDR'), share: 0.4 },
  { ...userOf('Supplier One', 'SONE', 'IS'), ownMdraShare: 0.2 },
  userOf('Exporter One', 'EONE', 'ES'),
];

/**
 * One Settlement Day on 2,000 meters in 8 cells of two networks on which nothing goes wrong, without other traffic;
 * `settings` replace top-level keys of the scenario.
 */
export function smallWorld(settings: Partial<Scenario> = {}): World {
  return compileWorld({ ...SCENARIO, ...settings }, matrixOfMp162());
}

function matrixOfMp162(): Matrix {
  const validated = validateMatrix(matrixFile);
  if (!('matrix' in validated)) throw new Error(JSON.stringify(validated.faults));
  return validated.matrix;
}

const ONE_ATTEMPT: RetrySettings = { attemptsMax: 1, backoffSeconds: 1, factor: 1, giveUpSeconds: 90_000 };

const SCENARIO: Scenario = {
  name: 'small',
  title: '',
  description: '',
  seed: 1,
  firstDay: '2026-03-02',
  days: 1,
  warmUpHours: 24,
  matrix: 'mp162-v0.4',
  dayConvention: 'utc',
  errorsCountAsWithinTrt: true,
  fleet: {
    meters: 2000,
    metersPerCell: 250,
    exportShare: 0.2,
    suspendedShare: 0,
    notCommunicatingShare: 0,
    spellDays: 30,
    intermittentShare: 0,
    intermittentHours: 4,
  },
  networks: [networkOf('Wide', 'SMETS2'), networkOf('Old', 'SMETS1')],
  platform: { latencyMs: 50, dccOnlyMedianMs: 200, dccOnlyP95Ms: 800 },
  users: WORLD_USERS,
  existing: { reads: [], other: [] },
  changes: [],
  bursts: [],
  outages: [],
  anomaly: { periodSeconds: 3600, thresholdPerMeter: 0.25, answer: 'hold', answerAfterMinutes: 60 },
  measures: { target: 0.99, minimum: 0.96 },
  thresholds: [],
};

function userOf(name: string, mpid: string, role: UserSettings['role']): UserSettings {
  return {
    name,
    mpid,
    role,
    share: 1,
    ownMdraShare: 0,
    granularity: { halfHourly: 0.8, daily: 0.15, monthly: 0.05 },
    dailySrv: '4.6.1',
    scheduleWindow: '00:30-06:30',
    onDemandWindow: '08:00-20:00',
    firstAttemptOnDemandShare: 0,
    reRequests: { max: 2, afterMinutes: 60, spreadMinutes: 120 },
    onboarding: { acceded: '2000-01-01', uept: '2000-01-01', adtDeclared: '2000-01-01', suspendedFrom: null },
    forecastPerDay: null,
  };
}

function networkOf(name: string, generation: NetworkSettings['generation']): NetworkSettings {
  return {
    name,
    generation,
    share: 0.5,
    exchangesPerCell: 100,
    startsPerSecondPerCell: null,
    serviceTime: { distribution: 'constant', seconds: 4 },
    serviceTimes: {},
    noAnswerSeconds: 8,
    attemptFailureShare: 0,
    retries: { scheduled: ONE_ATTEMPT, onDemand: ONE_ATTEMPT },
  };
}
