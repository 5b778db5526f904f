import avsc from 'avsc';
import { describe, expect, it } from 'vitest';
import {
  type AccessTables,
  decideAccess,
  FACT,
  FACTS,
  SMI_STATUSES,
  UNKNOWN_DEVICE,
  type User,
} from '#core/access-control.ts';
import { buildDeviceTable, buildUserTable, type Device } from '#core/access-tables.ts';
import { mpanFrom } from '#core/identifiers.ts';
import { DATA_KINDS, DEFAULT_MATRIX, GENERATIONS, ROLES, SRVS, srvIndex } from '#core/matrix.ts';
import { APPOINTED_ROLES, type Appointment, buildRegistrationTable } from '#core/registration.ts';
import { DAY_MS, daysOfWindow } from '#core/settlement-day.ts';
import { draw32, PURPOSE } from '#fleet-sim/draws.ts';
import { AvroReader } from '#schemas/avro-binary.ts';
import { newDeviceRequest, readDeviceRequest } from '#schemas/device-request.ts';
import { newServiceResponse, readServiceResponse } from '#schemas/service-response.ts';
import { schemaText, type TopicName } from '#schemas/topics.ts';
import { euiBytes, WIRE_HEADER_BYTES, wireSchemaId, writeWireHeader } from '#schemas/wire.ts';
import { buildPeer, checkKafkaStreamsPeer, missingForPeer } from './run.ts';

const SEED = 11;
const MPANS = 300;
const USERS = 12;
const REQUESTS = 6000;
const TODAY = 20_514;
const SCHEMA_IDS = { 'device-requests.scheduled': 7, 'service-responses': 300 };
const missing = missingForPeer();
if (missing !== undefined) console.error(`the Kafka Streams peer is not checked: ${missing}`);

describe.skipIf(missing !== undefined)('the Kafka Streams peer', () => {
  it(`decides as core does, whatever is wrong with a request (seed ${SEED})`, { timeout: 600_000 }, async () => {
    buildPeer();
    const world = makeWorld();
    const lines = [
      ...world.tableLines,
      ...world.requests.map(({ mpan, value }) => `service-requests.scheduled ${mpan} ${value}`),
    ];
    const found = (await checkKafkaStreamsPeer(world.users, SCHEMA_IDS, lines)).map(readAnswer);
    found.sort((a, b) => a.counter - b.counter);
    const expected = world.requests.map(({ mpan, fact, generation }, counter) => {
      return { mpan, counter, offset: counter, generation, fact, code: fact === 0 ? '' : FACTS[fact].code };
    });
    expect(found).toEqual(expected);
    // Every fact of a scheduled read that is about no schedule and no anomaly has come up.
    const facts = new Set(expected.map(({ fact }) => fact));
    expect([...facts].sort((a, b) => a - b)).toEqual(Object.values(FACT).filter((fact) => fact !== FACT.quarantined));
  });
});

type Drawn = { mpan: number; value: string; fact: number; generation: number };

let draws = 0;
/** A whole number below `n`. */
function draw(n: number): number {
  return draw32(SEED, draws++, 0, PURPOSE.conduct) % n;
}

function oneOf<T>(all: readonly T[]): T {
  return all[draw(all.length)];
}

/** Mostly the first, so that a request is seldom wrong in more than one way. */
function mostly<T>(usual: T, others: readonly T[]): T {
  return draw(12) === 0 ? oneOf(others) : usual;
}

function makeWorld(): { users: User[]; tableLines: string[]; requests: Drawn[] } {
  const users = Array.from({ length: USERS }, (_, k) => makeUser(k));
  const rows = Array.from({ length: MPANS }, (_, k) => ({
    mpan: mpanFrom(100_000_000_000 + k * 977),
    appointments: makeAppointments(),
  }));
  const devices = rows.map(({ mpan }, k) => ({ mpan, device: makeDevice(k, mpan) }));
  // Some MPANs have a device or a registration that was taken away again.
  const registered = rows.filter((_, k) => k % 17 !== 0);
  const present = new Set(devices.filter((_, k) => k % 19 !== 0));
  const { table } = buildRegistrationTable(registered);
  const tables: AccessTables = {
    matrix: DEFAULT_MATRIX,
    convention: 'utc',
    users: buildUserTable(users, table),
    devices: buildDeviceTable(
      devices.map(({ device }) => device),
      table,
    ),
    registrations: table,
    anomaly: null,
  };
  const tableLines = [
    ...rows.map((row) => line('registrations', row.mpan, registrationValue(row))),
    ...rows.filter((row) => !registered.includes(row)).map(({ mpan }) => `registrations ${mpan} `),
    ...devices.map(({ mpan, device }) => line('inventory', mpan, meteringPointValue(mpan, device))),
    ...devices.filter((one) => !present.has(one)).map(({ mpan }) => `inventory ${mpan} `),
  ];
  const requests = Array.from({ length: REQUESTS }, (_, counter) => {
    const at = draw(MPANS);
    return makeRequest(counter, at, rows[at], devices[at].device, present.has(devices[at]), users, tables);
  });
  return { users, tableLines, requests };
}

function makeUser(k: number): User {
  const roles: User['roles'] = { MDR: [mpidOf(k)] };
  if (k % 3 === 0) roles.IS = [`S${mpidOf(k).slice(1)}`];
  if (k % 4 === 0) roles.OU = [];
  const gates: User['gates'] = {
    accededOn: k === 1 ? TODAY + 1 : TODAY - 900,
    ueptOn: k === 2 ? { IS: TODAY - 800 } : { MDR: TODAY - 800, IS: TODAY - 800, OU: TODAY - 800 },
    securityAssessments: k === 3 ? [TODAY - 800] : [TODAY - 800, TODAY - 200],
    privacyAssessments: k === 4 ? [TODAY + 3] : [TODAY - 100],
    ...(k === 5 ? {} : { adtDeclaredOn: TODAY - 700 }),
    ...(k === 6 ? { otherUserEquivalent: { security: TODAY - 30 } } : {}),
  };
  const suspended = k === 7 ? { suspended: true } : k === 8 ? { suspended: TODAY } : {};
  const category = k % 3 === 0 ? 'Large Supplier' : 'MDR Party';
  return { name: mpidOf(k), eui: euiOf(k), category, roles, ...suspended, gates, anomalyThresholds: [] };
}

function mpidOf(k: number): string {
  return `AGA${String.fromCharCode(65 + k)}`;
}

function euiOf(k: number): string {
  return `90-B3-D5-1F-30-00-20-${k.toString(16).toUpperCase().padStart(2, '0')}`;
}

function deviceOf(k: number): string {
  return `02-4D-44-52-00-00-${Math.floor(k / 256)
    .toString(16)
    .padStart(2, '0')}-${(k % 256).toString(16).padStart(2, '0')}`.toUpperCase();
}

/** Overlaps, gaps, appointments that never began and equal EFDs among them. */
function makeAppointments(): Appointment[] {
  return Array.from({ length: draw(6) }, () => {
    const role = oneOf([...APPOINTED_ROLES, 'MDR'] as const);
    const efd = TODAY - 12 + draw(13);
    const holder = oneOf([0, 0, 0, 9, 9, 10, draw(USERS)]);
    const mpid = role === 'MDR' ? mpidOf(holder) : `S${mpidOf(holder).slice(1)}`;
    return { mpid, role, efd, ...(draw(3) === 0 ? { etd: efd - 1 + draw(9) } : {}) };
  });
}

function makeDevice(k: number, mpan: number): Device {
  return {
    id: deviceOf(k),
    esme: mostly(true, [false]),
    generation: oneOf(GENERATIONS),
    status: mostly('Commissioned', SMI_STATUSES),
    ...(draw(4) === 0 ? { exportMpan: mpan } : { importMpan: mpan }),
  };
}

function makeRequest(
  counter: number,
  deviceRow: number,
  { mpan }: { mpan: number },
  device: Device,
  isPresent: boolean,
  users: readonly User[],
  tables: AccessTables,
): Drawn {
  const user = mostly(
    oneOf([0, 9, 10]),
    users.map((_, k) => k),
  );
  const originator = mostly(euiOf(user), [euiOf(99)]);
  const signer = mostly(null, [euiOf((user + 1) % USERS), originator]);
  const role = mostly(oneOf(['MDR', 'IS'] as const), [...ROLES, 'UNKNOWN'] as const);
  const srv = mostly(oneOf(['4.6.1', '4.6.2', '4.8.1', '4.8.3', '4.17'] as const), [...SRVS, 'UNKNOWN'] as const);
  const service = mostly('mhhs', ['existing', 'mhhs']);
  const asked = mostly(device.id, [deviceOf(draw(MPANS))]);
  const receivedMs = TODAY * DAY_MS + draw(DAY_MS);
  const windowStartMs = mostly((TODAY - 1 - draw(4)) * DAY_MS + 1_800_000, [TODAY * DAY_MS - draw(9 * DAY_MS)]);
  const windowEndMs = windowStartMs + mostly(DAY_MS - 1_800_000, [draw(5 * DAY_MS), -draw(2 * DAY_MS)]);
  const srvRow = srvIndex(DEFAULT_MATRIX, srv);
  const isDaily = srvRow >= 0 && DEFAULT_MATRIX.data[srvRow] === DATA_KINDS.indexOf('daily-log');
  const days = daysOfWindow(windowStartMs, windowEndMs, isDaily ? 'daily' : 'half-hours', 'utc');
  const userRow = tables.users.byEui.get(originator) ?? -1;
  const isKnown = isPresent && asked === device.id;
  const fact = decideAccess(
    {
      user: userRow,
      role: ROLES.indexOf(role as (typeof ROLES)[number]),
      certificate: signer === null ? userRow : (tables.users.byEui.get(signer) ?? -1),
      srv: srvRow,
      scheduledSrv: -1,
      mode: 0,
      service: service === 'mhhs' ? 1 : 0,
      device: isKnown ? deviceRow : UNKNOWN_DEVICE,
      firstDay: days.first,
      lastDay: days.last,
      atMs: receivedMs,
    },
    tables,
  );
  const value = encode('service-requests.scheduled', {
    kind: 'REQUEST',
    source: 0,
    position: counter + 1,
    mpan,
    originator: euiBytes(originator),
    device: euiBytes(asked),
    counter,
    role,
    signer: signer === null ? null : euiBytes(signer),
    srv: srv === 'UNKNOWN' ? srv : `SRV_${srv.replaceAll('.', '_')}`,
    scheduledSrv: 'UNKNOWN',
    mode: 'SCHEDULED',
    service: service.toUpperCase(),
    receivedMs,
    windowStartMs,
    windowEndMs,
    dueWallMs: receivedMs,
  });
  return { mpan, value, fact, generation: isKnown ? GENERATIONS.indexOf(device.generation) : 2 };
}

const types = new Map<TopicName, avsc.Type>();

/** The wire format as hexadecimal digits, by avsc: no codec of ours is in it. */
function encode(topic: TopicName, value: object): string {
  let type = types.get(topic);
  if (type === undefined) {
    type = avsc.Type.forSchema(JSON.parse(schemaText(topic)) as avsc.Schema);
    types.set(topic, type);
  }
  const header = Buffer.alloc(WIRE_HEADER_BYTES);
  writeWireHeader(header, 0, 1);
  return Buffer.concat([header, type.toBuffer(value)]).toString('hex');
}

function line(topic: string, mpan: number, value: string): string {
  return `${topic} ${mpan} ${value}`;
}

function registrationValue({ mpan, appointments }: { mpan: number; appointments: Appointment[] }): string {
  const written = appointments.map(({ etd = null, ...rest }) => ({ ...rest, etd }));
  return encode('registrations', { mpan, sequence: 1, appointments: written });
}

function meteringPointValue(mpan: number, { id, esme, generation, status, exportMpan }: Device): string {
  return encode('inventory', {
    mpan,
    sequence: 1,
    register: exportMpan === undefined ? 'IMPORT' : 'EXPORT',
    device: euiBytes(id),
    kind: esme ? 'ESME' : 'OTHER',
    generation,
    status,
  });
}

type Answer = { mpan: number; counter: number; offset: number; generation: number; fact: number; code: string };

function readAnswer(text: string): Answer {
  const [topic, key, hex] = text.split(' ');
  const value = Buffer.from(hex, 'hex');
  const reader = new AvroReader().open(value, WIRE_HEADER_BYTES);
  const schemaId = wireSchemaId(value, 0, value.length);
  if (topic === 'peer-device-requests') {
    expect(schemaId).toBe(SCHEMA_IDS['device-requests.scheduled']);
    const { request, generation, requestOffset, sourceOffset } = readWhole(
      reader,
      readDeviceRequest,
      newDeviceRequest(),
    );
    expect([request.mpan, sourceOffset]).toEqual([Number(key), requestOffset]);
    return { mpan: request.mpan, counter: request.counter, offset: requestOffset, generation, fact: 0, code: '' };
  }
  expect(schemaId).toBe(SCHEMA_IDS['service-responses']);
  const { mpan, counter, requestOffset, generation, fact } = readWhole(
    reader,
    readServiceResponse,
    newServiceResponse(),
  );
  expect(mpan).toBe(Number(key));
  const type = avsc.Type.forSchema(JSON.parse(schemaText('service-responses')) as avsc.Schema);
  const { code } = type.fromBuffer(value.subarray(WIRE_HEADER_BYTES)) as { code: string };
  return { mpan, counter, offset: requestOffset, generation, fact, code };
}

function readWhole<T>(reader: AvroReader, read: (reader: AvroReader, into: T) => void, into: T): T {
  read(reader, into);
  expect(reader.at).toBe(reader.end);
  return into;
}
