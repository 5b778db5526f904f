import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type AccessRequest,
  type AccessTables,
  decideAccess,
  FACT,
  FACTS,
  type Fact,
  NO_DEVICE,
  responseCode,
  SMI_STATUSES,
  type SmiStatus,
  UNKNOWN_DEVICE,
  type User,
} from './access-control.ts';
import { explainDecision } from './access-explanation.ts';
import { buildDeviceTable, buildUserTable, type Device } from './access-tables.ts';
import { createAnomalyCounters } from './anomaly.ts';
import type { MdrError } from './errors.ts';
import {
  DEFAULT_MATRIX,
  GENERATIONS,
  MODES,
  ROLES,
  type Role,
  SERVICES,
  SRVS,
  srvIndex,
  trtSecondsOf,
} from './matrix.ts';
import type { Gates } from './onboarding.ts';
import { type Appointment, buildRegistrationTable } from './registration.ts';
import { DAY_MS, parseDay, type SettlementDay } from './settlement-day.ts';

function day(text: string): SettlementDay {
  return parseDay(text) as SettlementDay;
}

const TODAY = day('2026-03-03');
const CHANGE = day('2026-03-01');
const HOME_IMPORT = 1012345678901;
const HOME_EXPORT = 1012345678902;
const FLAT_IMPORT = 1012345678903;

const everyRole = Object.fromEntries(ROLES.map((role) => [role, day('2024-01-01')]));
const gates: Gates = {
  accededOn: day('2024-01-01'),
  ueptOn: everyRole,
  securityAssessments: [day('2025-06-01')],
  privacyAssessments: [day('2025-07-01')],
  adtDeclaredOn: day('2024-01-01'),
};

const users: User[] = [
  { name: 'Agent A', category: 'MDR Party', roles: { MDR: ['AGNA'] } },
  { name: 'Agent B', category: 'MDR Party', roles: { MDR: ['AGNB'] } },
  { name: 'Supplier', category: 'Large Supplier', roles: { IS: ['SUPA'], ES: ['SUPA'] } },
  { name: 'Everyone', category: 'Other SEC Party', roles: Object.fromEntries(ROLES.map((role) => [role, ['ALLS']])) },
].map((user, at) => ({
  ...(user as Pick<User, 'name' | 'category' | 'roles'>),
  eui: `90-B3-D5-1F-30-01-00-0${at}`,
  gates,
  anomalyThresholds: [],
}));
const [AGENT_A, AGENT_B, SUPPLIER, EVERYONE] = [0, 1, 2, 3];

const homeAppointments: Appointment[] = [
  { mpid: 'AGNA', role: 'MDR', efd: day('2025-10-01') },
  { mpid: 'AGNB', role: 'MDR', efd: CHANGE },
];
const { table: registrations } = buildRegistrationTable([
  { mpan: HOME_IMPORT, appointments: [...homeAppointments, { mpid: 'SUPA', role: 'IS', efd: day('2025-10-01') }] },
  {
    mpan: HOME_EXPORT,
    appointments: [
      { mpid: 'AGNA', role: 'MDR', efd: day('2025-10-01') },
      { mpid: 'SUPA', role: 'ES', efd: day('2025-10-01') },
    ],
  },
  {
    mpan: FLAT_IMPORT,
    appointments: [
      { mpid: 'AGNB', role: 'MDR', efd: day('2025-10-01'), etd: day('2026-02-20') },
      { mpid: 'AGNA', role: 'MDR', efd: CHANGE },
    ],
  },
]);

const devices: Device[] = [
  {
    id: '00-DB-12-34-56-78-90-00',
    esme: true,
    generation: 'SMETS2',
    status: 'Commissioned',
    importMpan: HOME_IMPORT,
    exportMpan: HOME_EXPORT,
  },
  { id: '00-DB-12-34-56-78-90-01', esme: true, generation: 'SMETS1', status: 'Commissioned', importMpan: FLAT_IMPORT },
  { id: '00-DB-12-34-56-78-90-02', esme: false, generation: 'SMETS2', status: 'Commissioned' },
  { id: '00-DB-12-34-56-78-90-03', esme: true, generation: 'SMETS2', status: 'Suspended', importMpan: HOME_IMPORT },
  {
    id: '00-DB-12-34-56-78-90-04',
    esme: true,
    generation: 'SMETS2',
    status: 'Commissioned',
    importMpan: 1099999999999,
  },
];
const [HOME, FLAT, GAS_METER, SUSPENDED_METER, UNREGISTERED] = [0, 1, 2, 3, 4];

function tablesOf(changed: (user: User, at: number) => User = (user) => user): AccessTables {
  const own = users.map(changed);
  return {
    matrix: DEFAULT_MATRIX,
    convention: 'utc',
    users: buildUserTable(own, registrations),
    devices: buildDeviceTable(devices, registrations),
    registrations,
    anomaly: createAnomalyCounters(own, DEFAULT_MATRIX),
  };
}
const tables = tablesOf();

type Wish = Partial<Omit<AccessRequest, 'role' | 'srv' | 'scheduledSrv' | 'mode' | 'service'>> & {
  role?: Role;
  srv?: string;
  scheduledSrv?: string;
  mode?: (typeof MODES)[number];
  service?: (typeof SERVICES)[number];
};

/** Agent A reads on demand for MHHS the last day on which it was the home's MDRA, unless wished otherwise. */
function request(wish: Wish = {}): AccessRequest {
  const { role = 'MDR', srv = '4.8.1', scheduledSrv = '', mode = 'on-demand', service = 'mhhs', ...rest } = wish;
  const user = rest.user ?? AGENT_A;
  return {
    certificate: user,
    device: HOME,
    firstDay: CHANGE - 1,
    lastDay: rest.firstDay ?? CHANGE - 1,
    atMs: TODAY * DAY_MS,
    ...rest,
    user,
    role: ROLES.indexOf(role),
    srv: srvIndex(DEFAULT_MATRIX, srv),
    scheduledSrv: srvIndex(DEFAULT_MATRIX, scheduledSrv),
    mode: MODES.indexOf(mode),
    service: SERVICES.indexOf(service),
  };
}

const NO_DAYS = { firstDay: 0, lastDay: -1 };

describe('access is given', () => {
  test.each<[string, Wish, string]>([
    [
      'to an outgoing MDRA for the days before the change',
      {},
      'User Agent A may send 4.8.1 (Read Active Import Profile Data) as MDR: AGNA is the MDRA of MPAN 1012345678901 on Settlement Day 2026-02-28',
    ],
    [
      'to an incoming MDRA for the days from the change on',
      { user: AGENT_B, firstDay: CHANGE, lastDay: CHANGE + 1 },
      'User Agent B may send 4.8.1 (Read Active Import Profile Data) as MDR: AGNB is the MDRA of MPAN 1012345678901 on every Settlement Day from 2026-03-01 to 2026-03-02',
    ],
    [
      'to the MDRA of the export MPAN for export data',
      { srv: '4.8.3', firstDay: CHANGE },
      'User Agent A may send 4.8.3 (Read Export Profile Data) as MDR: AGNA is the MDRA of MPAN 1012345678902 on Settlement Day 2026-03-01',
    ],
    [
      'to an Import Supplier for existing services',
      { user: SUPPLIER, role: 'IS', service: 'existing' },
      'User Supplier may send 4.8.1 (Read Active Import Profile Data) as IS: SUPA is the Import Supplier of MPAN 1012345678901 on Settlement Day 2026-02-28',
    ],
    [
      'to an Export Supplier for MHHS',
      { user: SUPPLIER, role: 'ES', srv: '4.2' },
      'User Supplier may send 4.2 (Read Instantaneous Export Register Values) as ES: SUPA is the Export Supplier of MPAN 1012345678902 on Settlement Day 2026-02-28',
    ],
    [
      'to a scheduled read',
      { mode: 'scheduled' },
      'User Agent A may send 4.8.1 (Read Active Import Profile Data) as MDR: AGNA is the MDRA of MPAN 1012345678901 on Settlement Day 2026-02-28',
    ],
    [
      'to read a schedule without a device',
      { srv: '5.2', device: NO_DEVICE, ...NO_DAYS },
      'User Agent A may send 5.2 (Read Schedule) as MDR',
    ],
    [
      'to read the inventory of a device',
      { srv: '8.2', ...NO_DAYS },
      'User Agent A may send 8.2 (Read Inventory) as MDR',
    ],
    [
      'to schedule what may be read',
      { srv: '5.1', scheduledSrv: '4.8.3', firstDay: TODAY },
      'User Agent A may send 5.1 (Create Schedule) as MDR: AGNA is the MDRA of MPAN 1012345678902 on Settlement Day 2026-03-03',
    ],
  ])('%s', (_, wish, sentence) => {
    const one = request(wish);
    const fact = decideAccess(one, tables);
    expect(explainDecision(fact, one, tables)).toBe(sentence);
    expect(responseCode(fact)).toBe('I99');
  });
});

type Refusal = [string, Wish, keyof typeof FACT, string, string, ((user: User, at: number) => User)?];

/** Agent A with gates of its own. */
function gatesOfA(own: Partial<Gates>, without?: keyof Gates): (user: User, at: number) => User {
  return (user, at) => {
    if (at !== AGENT_A) return user;
    const changed = { ...user.gates, ...own };
    if (without !== undefined) delete (changed as Partial<Gates>)[without];
    return { ...user, gates: changed };
  };
}

describe('access is refused', () => {
  test.each<Refusal>([
    ['to nobody known', { user: -1 }, 'userUnknown', 'E1', 'The originator of the request is not a User of the DCC'],
    [
      'to a suspended User',
      {},
      'userSuspended',
      'E1',
      'User Agent A is suspended',
      (user, at) => (at === AGENT_A ? { ...user, suspended: true } : user),
    ],
    [
      'from the day of suspension',
      {},
      'userSuspended',
      'E1',
      'User Agent A is suspended from 2026-03-03',
      (user, at) => (at === AGENT_A ? { ...user, suspended: TODAY } : user),
    ],
    [
      "to who signs with another's certificate",
      { certificate: AGENT_B },
      'certificateMismatch',
      'E1',
      'The request of User Agent A is signed with a certificate of User Agent B',
    ],
    [
      'to who signs with a certificate of nobody',
      { certificate: -1 },
      'certificateMismatch',
      'E1',
      'The request of User Agent A is signed with a certificate of no User',
    ],
    ['to a User without the role', { role: 'IS' }, 'roleNotHeld', 'E1', 'User Agent A does not hold the role IS'],
    [
      'before accession',
      {},
      'notAcceded',
      'E3',
      'User Agent A may not act as MDR on 2026-03-03: its Party only accedes to the SEC on 2026-03-04',
      gatesOfA({ accededOn: TODAY + 1 }),
    ],
    [
      'without accession',
      {},
      'notAcceded',
      'E3',
      'User Agent A may not act as MDR on 2026-03-03: its Party has not acceded to the SEC',
      gatesOfA({}, 'accededOn'),
    ],
    [
      'without UEPT for the role',
      {},
      'ueptMissing',
      'E3',
      'User Agent A may not act as MDR on 2026-03-03: it has not completed User Entry Process Testing for MDR',
      gatesOfA({ ueptOn: { OU: 0 } }),
    ],
    [
      'after a security assessment has lapsed',
      {},
      'securityAssessmentLapsed',
      'E3',
      'User Agent A may not act as MDR on 2026-03-03: its User Security Assessment of 2025-03-03 was current until 2026-03-02',
      gatesOfA({ securityAssessments: [day('2025-03-03')] }),
    ],
    [
      'without a privacy assessment',
      {},
      'privacyAssessmentLapsed',
      'E3',
      'User Agent A may not act as MDR on 2026-03-03: it has no Privacy Assessment yet',
      gatesOfA({ privacyAssessments: [TODAY + 1] }),
    ],
    [
      'without declared thresholds',
      {},
      'adtMissing',
      'E3',
      'User Agent A may not act as MDR on 2026-03-03: it has not declared Anomaly Detection Thresholds',
      gatesOfA({}, 'adtDeclaredOn'),
    ],
    [
      'for a Service Request that is not in the matrix',
      { srv: '4.10' },
      'srvUnknown',
      'E2',
      'The Service Request is not among the Service Requests of mp162-v0.4',
    ],
    [
      'for existing services to an MDR User',
      { service: 'existing' },
      'serviceNotEligible',
      'E2',
      'Role MDR may not use 4.8.1 (Read Active Import Profile Data) for existing services',
    ],
    [
      'to a role that reads no such data',
      { user: EVERYONE, role: 'GS' },
      'roleNotEligible',
      'E2',
      'Role GS may not use 4.8.1 (Read Active Import Profile Data)',
    ],
    [
      'to scheduling what is on demand only',
      { srv: '4.1.1', mode: 'scheduled' },
      'modeNotEligible',
      'E2',
      '4.1.1 (Read Instantaneous Import Registers) is not available scheduled to role MDR for MHHS',
    ],
    [
      'for what SMETS1 does not offer',
      { srv: '4.17', device: FLAT },
      'generationNotEligible',
      'E2',
      '4.17 (Retrieve Daily Consumption Log) is not available on demand on SMETS1 for MHHS: device 00-DB-12-34-56-78-90-01 is SMETS1',
    ],
    [
      'for a device that does not exist',
      { device: UNKNOWN_DEVICE },
      'deviceUnknown',
      'E19',
      'The device is not in the Smart Metering Inventory',
    ],
    [
      'for a device that is suspended',
      { device: SUSPENDED_METER },
      'deviceStatus',
      'E5',
      'Device 00-DB-12-34-56-78-90-03 is Suspended, not Commissioned',
    ],
    [
      'for a gas meter',
      { device: GAS_METER },
      'notAnEsme',
      'E11',
      'Device 00-DB-12-34-56-78-90-02 is not an Electricity Smart Metering Equipment',
    ],
    [
      'for export data of a home without an export MPAN',
      { device: FLAT, srv: '4.8.3' },
      'noMpan',
      'E4',
      'Device 00-DB-12-34-56-78-90-01 has no registered export MPAN, which 4.8.3 (Read Export Profile Data) reads',
    ],
    [
      'for an MPAN that nobody is registered for',
      { device: UNREGISTERED },
      'noMpan',
      'E4',
      'Device 00-DB-12-34-56-78-90-04 has no registered import MPAN, which 4.8.1 (Read Active Import Profile Data) reads',
    ],
    [
      'to an outgoing MDRA on the EFD of the incoming one',
      { firstDay: CHANGE },
      'notAppointed',
      'E4',
      'AGNA is not the MDRA of MPAN 1012345678901 on Settlement Day 2026-03-01: AGNB is, from 2026-03-01',
    ],
    [
      'to an outgoing MDRA whose window reaches over the change',
      { lastDay: CHANGE + 1 },
      'notAppointed',
      'E4',
      'AGNA is not the MDRA of MPAN 1012345678901 on Settlement Day 2026-03-01: AGNB is, from 2026-03-01',
    ],
    [
      'to an incoming MDRA before its EFD',
      { user: AGENT_B, lastDay: CHANGE },
      'notAppointed',
      'E4',
      'AGNB is not the MDRA of MPAN 1012345678901 on Settlement Day 2026-02-28: AGNA is, from 2025-10-01 to 2026-02-28',
    ],
    [
      'on a day that nobody is appointed for',
      { device: FLAT },
      'notAppointed',
      'E4',
      'AGNA is not the MDRA of MPAN 1012345678903 on Settlement Day 2026-02-28: nobody is',
    ],
    [
      'to the MDRA of the import MPAN only, for export data',
      { user: AGENT_B, srv: '4.8.3', firstDay: CHANGE },
      'notAppointed',
      'E4',
      'AGNB is not the MDRA of MPAN 1012345678902 on Settlement Day 2026-03-01: AGNA is, from 2025-10-01',
    ],
    [
      'to a Supplier that is not registered',
      { user: EVERYONE, role: 'IS' },
      'notAppointed',
      'E4',
      'ALLS is not the Import Supplier of MPAN 1012345678901 on Settlement Day 2026-02-28: SUPA is, from 2025-10-01',
    ],
    [
      'to an Export Supplier for import data',
      { user: SUPPLIER, role: 'ES' },
      'notAppointed',
      'E4',
      'SUPA is not the Export Supplier of MPAN 1012345678901 on Settlement Day 2026-02-28: nobody is',
    ],
    [
      'to scheduling what may not be scheduled',
      { srv: '5.1', scheduledSrv: '4.1.1' },
      'modeNotEligible',
      'E2',
      '4.1.1 (Read Instantaneous Import Registers) is not available scheduled to role MDR for MHHS',
    ],
    [
      'to scheduling what the meter does not offer',
      { srv: '5.1', scheduledSrv: '4.6.2', device: FLAT, firstDay: CHANGE },
      'generationNotEligible',
      'E2',
      '4.6.2 (Retrieve Export Daily Read Log) is not available scheduled on SMETS1 for MHHS: device 00-DB-12-34-56-78-90-01 is SMETS1',
    ],
    [
      'to scheduling what is not in the matrix',
      { srv: '5.1', scheduledSrv: '4.8.2' },
      'srvUnknown',
      'E2',
      'What the schedule is to read is not among the Service Requests of mp162-v0.4',
    ],
    [
      "to scheduling reads of another's MPAN",
      { srv: '5.1', scheduledSrv: '4.8.1', firstDay: TODAY },
      'notAppointed',
      'E4',
      'AGNA is not the MDRA of MPAN 1012345678901 on Settlement Day 2026-03-03: AGNB is, from 2026-03-01',
    ],
  ])('%s', (_, wish, expected, code, sentence, changed) => {
    const own = tablesOf(changed);
    const one = request(wish);
    const fact = decideAccess(one, own);
    expect(FACTS[fact].fact).toBe(expected);
    expect(responseCode(fact)).toBe(code);
    expect(explainDecision(fact, one, own)).toBe(sentence);
  });

  test.each(SMI_STATUSES)('for a device that is %s, unless it is Commissioned', (status: SmiStatus) => {
    const own = tablesOf();
    own.devices.status[HOME] = SMI_STATUSES.indexOf(status);
    expect(decideAccess(request(), own)).toBe(status === 'Commissioned' ? FACT.accepted : FACT.deviceStatus);
  });

  test('wherever the matrix gives the role no TRT, with E2 and nothing else', () => {
    for (const role of ROLES) {
      for (const srv of SRVS) {
        for (const mode of MODES) {
          for (const service of SERVICES) {
            for (const device of [HOME, FLAT]) {
              const one = request({ user: EVERYONE, role, srv, scheduledSrv: '4.8.1', mode, service, device });
              const generation = GENERATIONS.indexOf(devices[device].generation);
              const eligible = trtSecondsOf(DEFAULT_MATRIX, one.srv, generation, one.mode, one.service, one.role) >= 0;
              const fact = decideAccess(one, tables);
              expect(responseCode(fact) === 'E2', `${role} ${srv} ${mode} ${service}`).toBe(!eligible);
              expect(explainDecision(fact, one, tables)).toBeTruthy();
            }
          }
        }
      }
    }
  });

  test('for an unknown device with E2 where no device could be eligible, else with E19', () => {
    const unknown = { device: UNKNOWN_DEVICE };
    expect(responseCode(decideAccess(request({ ...unknown, service: 'existing' }), tables))).toBe('E2');
    expect(responseCode(decideAccess(request({ ...unknown, srv: '4.17' }), tables))).toBe('E19');
  });
});

describe('the six steps', () => {
  // Each way to fail, by its step; `mended` is how the request or the User stands otherwise.
  const failures: { fact: Fact; wish?: Wish; user?: Partial<User>; gates?: Partial<Gates> }[] = [
    { fact: FACT.userSuspended, user: { suspended: true } },
    { fact: FACT.certificateMismatch, wish: { certificate: -1 } },
    { fact: FACT.ueptMissing, gates: { ueptOn: {} } },
    { fact: FACT.securityAssessmentLapsed, gates: { securityAssessments: [] } },
    { fact: FACT.privacyAssessmentLapsed, gates: { privacyAssessments: [] } },
    { fact: FACT.serviceNotEligible, wish: { service: 'existing' } },
    { fact: FACT.deviceStatus, wish: { device: SUSPENDED_METER } },
    { fact: FACT.notAppointed, wish: { firstDay: CHANGE, lastDay: CHANGE } },
    { fact: FACT.quarantined, user: { anomalyThresholds: [{ srv: '4.8.1', count: 0, periodSeconds: 60 }] } },
  ];

  test('are taken in order: whatever fails together, the first failure answers', () => {
    fc.assert(
      fc.property(fc.subarray(failures), (failing) => {
        const own = tablesOf((user, at) => {
          if (at !== AGENT_A) return user;
          const ownGates = Object.assign({}, user.gates, ...failing.map((one) => one.gates ?? {}));
          return Object.assign({}, user, { gates: ownGates }, ...failing.map((one) => one.user ?? {}));
        });
        const one = request(Object.assign({}, ...failing.map(({ wish }) => wish ?? {})));
        const expected = failing.length === 0 ? FACT.accepted : failing[0].fact;
        expect(decideAccess(one, own)).toBe(expected);
      }),
      { numRuns: 512 },
    );
  });

  test('have facts numbered in the order of the steps', () => {
    FACTS.forEach(({ fact }, number) => {
      expect(FACT[fact]).toBe(number);
    });
    expect(Object.keys(FACT)).toHaveLength(FACTS.length);
    const steps = FACTS.map(({ step }) => step);
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
    expect(new Set(steps).size).toBe(7);
  });
});

describe('anomaly detection', () => {
  const withThreshold = (): AccessTables =>
    tablesOf((user) => ({ ...user, anomalyThresholds: [{ srv: '4.8.1', count: 2, periodSeconds: 86_400 }] }));

  test('quarantines the excess of on-demand requests, and says so', () => {
    const own = withThreshold();
    const one = request();
    const facts = [0, 1, 2, 3].map(() => decideAccess(one, own));
    expect(facts).toEqual([FACT.accepted, FACT.accepted, FACT.quarantined, FACT.quarantined]);
    expect(responseCode(facts[2])).toBe('quarantine');
    expect(explainDecision(facts[2], one, own)).toBe(
      'User Agent A has exceeded its Anomaly Detection Threshold for 4.8.1 of 2 in 86400 s: process or delete',
    );
  });

  test('leaves scheduled reads, other Users, other Service Requests and refused requests out of the count', () => {
    const own = withThreshold();
    for (let n = 0; n < 5; n++) {
      expect(decideAccess(request({ mode: 'scheduled' }), own)).toBe(FACT.accepted);
      expect(decideAccess(request({ srv: '4.6.1' }), own)).toBe(FACT.accepted);
      expect(decideAccess(request({ firstDay: CHANGE }), own)).toBe(FACT.notAppointed);
    }
    expect(decideAccess(request({ user: AGENT_B, firstDay: CHANGE }), own)).toBe(FACT.accepted);
    expect(decideAccess(request(), own)).toBe(FACT.accepted);
  });

  test('is left to others where the tables have no counters', () => {
    const own = { ...withThreshold(), anomaly: null };
    for (let n = 0; n < 5; n++) expect(decideAccess(request(), own)).toBe(FACT.accepted);
  });
});

describe('the tables', () => {
  test('the gates are those of the day in the convention of the tables', () => {
    const atMs = day('2026-07-01') * DAY_MS - 1_800_000;
    const changed = gatesOfA({ securityAssessments: [day('2025-07-01')], privacyAssessments: [day('2026-01-01')] });
    const utc = tablesOf(changed);
    expect(decideAccess(request({ atMs }), utc)).toBe(FACT.accepted);
    const local: AccessTables = { ...utc, convention: 'local' };
    expect(decideAccess(request({ atMs }), local)).toBe(FACT.securityAssessmentLapsed);
  });

  test('refuse Users that cannot be told apart', () => {
    const twin = { ...users[AGENT_B], eui: users[AGENT_A].eui, roles: { MDR: ['AGNA'] } };
    try {
      buildUserTable([users[AGENT_A], twin], registrations);
      expect.fail('accepted');
    } catch (error) {
      expect((error as MdrError).faults.map(({ path }) => path)).toEqual(['users[1].eui', 'users[1].roles']);
    }
  });

  test('crash on a request for data that names no device', () => {
    expect(() => decideAccess(request({ device: NO_DEVICE }), tables)).toThrow();
  });
});
