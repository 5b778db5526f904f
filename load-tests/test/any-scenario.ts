import fc from 'fast-check';
import { stringify } from 'yaml';
import { type LoadedScenario, parseScenario } from '#load-tests/scenario/load.ts';

const share = (max: number) => fc.oneof(fc.constant(0), fc.double({ min: 0, max, noNaN: true }));
const window = fc
  .tuple(fc.integer({ min: 0, max: 23 }), fc.integer({ min: 1, max: 24 }))
  .filter(([start, end]) => start < end)
  .map(([start, end]) => `${String(start).padStart(2, '0')}:00-${String(end).padStart(2, '0')}:00`);
const retries = fc.record({
  attemptsMax: fc.integer({ min: 1, max: 4 }),
  backoffSeconds: fc.constantFrom(0, 1, 600, 20_000),
  factor: fc.constantFrom(1, 3),
  giveUpSeconds: fc.constantFrom(1, 1000, 90_000),
});
const network = fc.record({
  exchangesPerCell: fc.integer({ min: 1, max: 3 }),
  startsPerSecondPerCell: fc.constantFrom(null, null, 0.02, 1),
  serviceTime: fc.constantFrom(
    { distribution: 'constant', seconds: 0.001 },
    { distribution: 'exponential', meanSeconds: 30 },
    { distribution: 'lognormal', medianSeconds: 4, p95Seconds: 10 },
    { distribution: 'lognormal', medianSeconds: 300, p95Seconds: 900 },
  ),
  attemptFailureShare: share(0.5),
  retries: fc.record({ scheduled: retries, onDemand: retries }),
});
const granularity = fc
  .tuple(fc.integer({ min: 0, max: 10 }), fc.integer({ min: 0, max: 10 }))
  .map(([a, b]) => [Math.min(a, b), Math.max(a, b)])
  .map(([low, high]) => ({ halfHourly: low / 10, daily: (high - low) / 10, monthly: (10 - high) / 10 }));
const user = fc.record({
  ownMdraShare: share(1),
  granularity,
  dailySrv: fc.constantFrom('4.6.1', '4.17'),
  scheduleWindow: window,
  onDemandWindow: window,
  firstAttemptOnDemandShare: share(1),
  reRequests: fc.record({
    max: fc.integer({ min: 0, max: 4 }),
    afterMinutes: fc.constantFrom(0, 1, 300),
    spreadMinutes: fc.constantFrom(0, 60, 2000),
  }),
  onboarding: fc.oneof(
    { weight: 4, arbitrary: fc.constant({}) },
    fc.constant({ acceded: null }),
    fc.constant({ suspendedFrom: '2026-03-02' }),
    fc.constant({ securityAssessments: ['2025-03-02'] }),
  ),
});
const outage = fc.record({
  startHour: fc.integer({ min: 0, max: 47 }),
  hours: fc.double({ min: 0.1, max: 40, noNaN: true }),
  recoveryMinutes: fc.constantFrom(0, 30, 1500),
  cellsShare: fc.constantFrom(0.5, 1),
});
const change = fc.record({
  day: fc.integer({ min: 1, max: 3 }),
  share: share(1),
  window,
  outgoingReadsLastDayShare: share(1),
  outgoingOverreachShare: share(1),
  incomingOverreachShare: share(1),
});
const burst = fc.record({
  srv: fc.constantFrom('4.1.1', '4.2', '4.6.2', '4.8.1', '4.17', '8.2', '5.2'),
  day: fc.integer({ min: 1, max: 2 }),
  window,
  share: share(1),
});

const parts = fc.record({
  seed: fc.nat(4_294_967_295),
  days: fc.integer({ min: 1, max: 3 }),
  firstDay: fc.constantFrom('2026-03-02', '2026-03-29', '2026-10-25', '2026-01-31'),
  warmUpHours: fc.constantFrom(0, 5, 24, 36),
  dayConvention: fc.constantFrom('utc', 'local'),
  errorsCountAsWithinTrt: fc.boolean(),
  platform: fc.record({ latencyMs: fc.constantFrom(0, 50, 20_000) }),
  fleet: fc.record({
    meters: fc.integer({ min: 1, max: 800 }),
    metersPerCell: fc.integer({ min: 20, max: 400 }),
    exportShare: share(0.5),
    suspendedShare: share(0.2),
    notCommunicatingShare: share(0.5),
    spellDays: fc.integer({ min: 1, max: 30 }),
  }),
  networks: fc.array(network, { minLength: 1, maxLength: 3 }),
  agents: fc.array(user, { maxLength: 3 }),
  suppliers: fc.array(user, { minLength: 1, maxLength: 2 }),
  exporters: fc.array(user, { maxLength: 1 }),
  outages: fc.array(outage, { maxLength: 1 }),
  changes: fc.array(change, { maxLength: 2 }),
  bursts: fc.array(burst, { maxLength: 2 }),
  anomaly: fc.record({
    periodSeconds: fc.constantFrom(600, 3600, 86_400),
    answer: fc.constantFrom('hold', 'process', 'delete'),
    answerAfterMinutes: fc.constantFrom(0, 0.001, 60, 2000),
  }),
});

/** Scenarios of a few hundred meters in which anything a file may say happens, most of it too often. */
export const anyScenario: fc.Arbitrary<LoadedScenario> = parts.map((drawn) => {
  const { agents, suppliers, exporters, networks, outages, changes, bursts, ...rest } = drawn;
  const users = [...usersOf('MDR', agents), ...usersOf('IS', suppliers), ...usersOf('ES', exporters)];
  const mpids = users.map(({ mpid }) => mpid);
  const document = {
    name: 'any',
    ...rest,
    users,
    networks: networks.map((settings, k) => ({
      name: `Network ${k}`,
      generation: k === 1 ? 'SMETS1' : 'SMETS2',
      share: 1 / networks.length,
      ...settings,
    })),
    outages: outages.map((settings) => ({
      network: 'Network 0',
      ...settings,
      startHour: settings.startHour % (rest.days * 24),
    })),
    changes:
      agents.length < 2
        ? []
        : changes.map((settings, k) => ({
            from: mpids[k],
            to: mpids[(k + 1) % 2],
            ...settings,
            day: Math.min(settings.day, rest.days),
          })),
    bursts: bursts.map((settings, k) => ({
      user: mpids[k % mpids.length],
      ...settings,
      day: Math.min(settings.day, rest.days),
    })),
    thresholds: ['withinSeconds{limit=30} >= 0.5', 'withinSeconds{limit=3600} >= 0.5', 'open == 0'],
  };
  return parseScenario(stringify(document), 'any.yaml');
});

function usersOf(role: 'MDR' | 'IS' | 'ES', settings: readonly { ownMdraShare: number }[]) {
  return settings.map((user, k) => ({
    ...user,
    name: `${role} ${k}`,
    mpid: `${role.padEnd(3, 'X')}${'ABC'[k]}`,
    role,
    share: 1 / settings.length,
    ownMdraShare: role === 'IS' ? user.ownMdraShare : 0,
  }));
}
