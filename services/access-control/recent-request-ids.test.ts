import fc from 'fast-check';
import { expect, test } from 'vitest';
import { REPEATED_WITHIN_OFFSETS, REPEATED_WITHIN_WALL_MS } from '#schemas/service-request.ts';
import { RecentRequestIds } from './recent-request-ids.ts';

const EUI_BYTES = 8;

/** Originator, device and counter as they stand in a ServiceRequest. */
function bytesOf({ originator, device, counter }: { originator: number; device: number; counter: bigint }): Buffer {
  const euis = Buffer.alloc(2 * EUI_BYTES);
  euis.writeUInt32BE(originator, 4);
  euis.writeUInt32BE(device, 2 * EUI_BYTES - 4);
  const varint: number[] = [];
  let rest = BigInt.asUintN(64, (counter << 1n) ^ (counter >> 63n));
  for (; rest > 127n; rest >>= 7n) varint.push(Number(rest & 127n) | 128);
  return Buffer.concat([euis, Buffer.from([...varint, Number(rest)])]);
}

type Request = { originator: number; device: number; counter: bigint; isForDcc: boolean; step: number; wallMs: number };

const request: fc.Arbitrary<Request> = fc.record({
  originator: fc.integer({ min: 1, max: 2 }),
  device: fc.integer({ min: 1, max: 2 }),
  counter: fc.oneof(fc.bigInt({ min: 0n, max: 2n }), fc.constantFrom(-1n, 1n << 32n, 1n << 31n, -(1n << 63n))),
  isForDcc: fc.boolean(),
  // Mostly one behind the other, sometimes as far apart as counts, or one further.
  step: fc.oneof(
    { weight: 8, arbitrary: fc.integer({ min: 1, max: 3 }) },
    { weight: 1, arbitrary: fc.constantFrom(REPEATED_WITHIN_OFFSETS - 1, REPEATED_WITHIN_OFFSETS) },
  ),
  wallMs: fc.constantFrom(0, 1, REPEATED_WITHIN_WALL_MS, REPEATED_WITHIN_WALL_MS + 1),
});

const keyOf = ({ originator, device, counter, isForDcc }: Request) =>
  `${originator} ${isForDcc ? 'DCC' : device} ${counter}`;

/** Which of the requests repeat another one: by looking at each that was taken before. */
function repeatsOf(requests: readonly (Request & { offset: number })[]): boolean[] {
  const taken: (Request & { offset: number })[] = [];
  return requests.map((one) => {
    const before = taken.findLast((other) => keyOf(other) === keyOf(one));
    const isRepeat =
      before !== undefined &&
      one.offset - before.offset <= REPEATED_WITHIN_OFFSETS &&
      Math.abs(one.wallMs - before.wallMs) <= REPEATED_WITHIN_WALL_MS;
    if (!isRepeat) taken.push(one);
    return isRepeat;
  });
}

function ask(recent: RecentRequestIds, one: Request & { offset: number }): boolean {
  const bytes = Buffer.concat([Buffer.alloc(3), bytesOf(one), Buffer.alloc(3)]);
  return recent.isRepeat(bytes, 3, bytes.length - 3, one.isForDcc, one.offset, one.wallMs);
}

test('a request repeats one of the same RequestID that stands near before it, and none else', () => {
  fc.assert(
    fc.property(fc.array(request, { minLength: 1, maxLength: 40 }), (drawn) => {
      let offset = 0;
      const requests = drawn.map((one) => {
        offset += one.step;
        return { ...one, offset };
      });
      const expected = repeatsOf(requests);
      const recent = new RecentRequestIds();
      expect(requests.map((one) => ask(recent, one))).toEqual(expected);
    }),
    { numRuns: 200 },
  );
});

test('who reads again what it has read before says the same of all that follows', () => {
  fc.assert(
    fc.property(fc.array(request, { minLength: 1, maxLength: 40 }), fc.nat(40), fc.nat(40), (drawn, a, b) => {
      // Within the distance: nothing is out of sight of who begins anew.
      const requests = drawn.map((one, at) => ({ ...one, wallMs: Math.min(one.wallMs, 1), offset: at }));
      const [from, read] = [Math.min(a, b), Math.max(a, b)];
      const recent = new RecentRequestIds();
      for (const one of requests.slice(0, read)) ask(recent, one);
      const again = requests.slice(from).map((one) => ask(recent, one));
      expect(again).toEqual(repeatsOf(requests).slice(from));
    }),
    { numRuns: 200 },
  );
});

test('the oldest make room: the ring goes round twice and every chain stays whole', () => {
  const recent = new RecentRequestIds();
  const of = (offset: number) => ({
    originator: 1,
    device: 1,
    counter: BigInt(offset),
    isForDcc: false,
    step: 1,
    wallMs: 0,
    offset,
  });
  const total = 2 * REPEATED_WITHIN_OFFSETS + 10;
  let repeats = 0;
  for (let offset = 0; offset < total; offset++) if (ask(recent, of(offset))) repeats++;
  expect(repeats).toBe(0);
  const behind = (back: number) => ask(recent, { ...of(total - back), offset: total });
  expect([behind(1), behind(REPEATED_WITHIN_OFFSETS), behind(REPEATED_WITHIN_OFFSETS + 1)]).toEqual([
    true,
    true,
    false,
  ]);
});
