import { expect, test } from 'vitest';
import { ON_DEMAND } from '#core/trt-row.ts';
import {
  newServiceRequest,
  POSITIONS_A_TENURE,
  SERVICE_REQUEST_BYTES_MAX,
  SOURCE,
  writeMarker,
  writeServiceRequest,
} from '#schemas/service-request.ts';
import { OwnTailFold, type Recollection, tailKey } from './own-tail.ts';
import { batchOf, framed, SCHEMA_IDS, type StreamRecord } from './test/record-streams.ts';

const EUI = Buffer.alloc(8, 3);
const MPAN = 1_200_000_000_012;
const T = POSITIONS_A_TENURE;

function request(position: number, receivedMs: number): StreamRecord {
  const value = Buffer.alloc(SERVICE_REQUEST_BYTES_MAX);
  const fields = {
    ...newServiceRequest(),
    source: SOURCE.users,
    position,
    mpan: MPAN,
    counter: receivedMs,
    receivedMs,
  };
  const end = writeServiceRequest(value, 0, fields, EUI, EUI);
  return { key: Buffer.from(String(MPAN)), value: framed(SCHEMA_IDS.serviceRequest, value.subarray(0, end)) };
}

function marker(position: number, untilMs: number): StreamRecord {
  const value = Buffer.alloc(SERVICE_REQUEST_BYTES_MAX);
  const end = writeMarker(value, 0, SOURCE.users, position, ON_DEMAND, untilMs, 0);
  return { key: null, value: framed(SCHEMA_IDS.serviceRequest, value.subarray(0, end)) };
}

function fold(records: readonly StreamRecord[], recollection?: Recollection): OwnTailFold {
  const folded = new OwnTailFold(SOURCE.users, SCHEMA_IDS.serviceRequest, recollection);
  folded.take(batchOf(records, 0));
  return folded;
}

const keys = (...instants: number[]) => new Set(instants.map((atMs) => tailKey(atMs, MPAN, atMs)));

/** Two tenures: the one before writes on for a while behind the fence of the other. */
const LOG = [
  marker(0, 90),
  request(1, 100),
  marker(1, 150),
  request(2, 200),
  // The fence was made when 150 was the last marker.
  marker(T, 150),
  request(3, 210),
  marker(3, 300),
  request(T + 1, 210),
  marker(T + 1, 250),
  request(T + 2, 260),
];

test('what was written before the fence of a tenure counts, and what the one before writes behind it does not', () => {
  expect(fold(LOG.slice(0, 5)).tail()).toMatchObject({ position: T, untilMs: 150, sent: keys(200) });
  expect(fold(LOG.slice(0, 7)).tail()).toMatchObject({ position: T, untilMs: 150, sent: keys(200) });
  expect(fold(LOG).tail()).toMatchObject({ position: T + 2, untilMs: 250, sent: keys(260) });
});

test('a tenure that was over before what is looked at begins is forgotten as soon as another is met', () => {
  const tail = fold(LOG.slice(5)).tail();
  expect(tail).toMatchObject({ position: T + 2, untilMs: 250, sent: keys(260) });
});

test('a fence does not say how far what came before it went, ordinary markers behind it do', () => {
  expect(fold([marker(T, 150)]).isComplete).toBe(false);
  expect(fold([marker(T, 150), marker(T, 400)]).isComplete).toBe(false);
  expect(fold([marker(T, 150), marker(T, 400), marker(T, 500)]).isComplete).toBe(true);
  // Of a source that has written nothing but markers.
  expect(fold([marker(0, 150), marker(0, 400)]).isComplete).toBe(true);
});

test('a marker that says less than one before it, by who has taken over meanwhile, takes nothing back', () => {
  const tail = fold([request(1, 100), marker(1, 200), marker(T, 50)]).tail();
  expect(tail).toMatchObject({ position: T, untilMs: 200, sent: keys() });
});

test('requests are recollected over the time asked for, without those of a tenure that was over', () => {
  const told: number[] = [];
  const recollection = {
    spanMs: 100,
    add: ({ receivedMs }: { receivedMs: number }) => void told.push(receivedMs),
    clear: () => void told.splice(0),
  };
  expect(fold(LOG, recollection).isComplete).toBe(true);
  expect(told).toEqual([100, 200, 210, 260]);
  told.splice(0);
  expect(fold(LOG.slice(5), recollection).isComplete).toBe(false);
  expect(told).toEqual([210, 260]);
});
