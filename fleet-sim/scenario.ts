import type { Generation, Mode } from '#core/matrix.ts';
import type { DayConvention } from '#core/settlement-day.ts';
import type { ServiceTime } from '#fleet-sim/service-time.ts';

/** A scenario with every default filled in, as schema.ts describes it. Times of day are UTC, `HH:MM`. */
export type Scenario = {
  name: string;
  title: string;
  description: string;
  seed: number;
  firstDay: string;
  days: number;
  warmUpHours: number;
  matrix: string;
  dayConvention: DayConvention;
  errorsCountAsWithinTrt: boolean;
  fleet: FleetSettings;
  networks: NetworkSettings[];
  platform: PlatformSettings;
  users: UserSettings[];
  existing: ExistingSettings;
  changes: ChangeSettings[];
  bursts: BurstSettings[];
  outages: OutageSettings[];
  anomaly: AnomalySettings;
  measures: { target: number; minimum: number };
  thresholds: string[];
};

export type FleetSettings = {
  meters: number;
  metersPerCell: number;
  exportShare: number;
  suspendedShare: number;
  notCommunicatingShare: number;
  spellDays: number;
  intermittentShare: number;
  intermittentHours: number;
};

export type NetworkSettings = {
  name: string;
  generation: Generation;
  share: number;
  exchangesPerCell: number;
  startsPerSecondPerCell: number | null;
  serviceTime: ServiceTime;
  serviceTimes: Record<string, ServiceTime>;
  noAnswerSeconds: number;
  attemptFailureShare: number;
  retries: { scheduled: RetrySettings; onDemand: RetrySettings };
};

export type RetrySettings = { attemptsMax: number; backoffSeconds: number; factor: number; giveUpSeconds: number };

export type PlatformSettings = { latencyMs: number; dccOnlyMedianMs: number; dccOnlyP95Ms: number };

export type UserSettings = {
  name: string;
  mpid: string;
  role: 'MDR' | 'IS' | 'ES';
  share: number;
  ownMdraShare: number;
  granularity: { halfHourly: number; daily: number; monthly: number };
  dailySrv: '4.6.1' | '4.17';
  scheduleWindow: string;
  onDemandWindow: string;
  firstAttemptOnDemandShare: number;
  reRequests: { max: number; afterMinutes: number; spreadMinutes: number };
  onboarding: OnboardingSettings;
  forecastPerDay: number | null;
};

export type OnboardingSettings = {
  acceded: string | null;
  uept: string | null;
  securityAssessments?: string[];
  privacyAssessments?: string[];
  adtDeclared: string | null;
  suspendedFrom: string | null;
};

export type ExistingSettings = {
  reads: { srv: string; mode: Mode; perMeterDay: number; window: string }[];
  other: { perMeterDay: number; window: string; lane: Mode; serviceTime: ServiceTime }[];
};

export type ChangeSettings = {
  day: number;
  share: number;
  from: string;
  to: string;
  window: string;
  outgoingReadsLastDayShare: number;
  outgoingOverreachShare: number;
  incomingOverreachShare: number;
};

export type BurstSettings = { user: string; srv: string; day: number; window: string; share: number };

export type OutageSettings = {
  network: string;
  startHour: number;
  hours: number;
  recoveryMinutes: number;
  cellsShare: number;
};

export type AnomalySettings = {
  periodSeconds: number;
  thresholdPerMeter: number;
  answer: 'hold' | 'process' | 'delete';
  answerAfterMinutes: number;
};
