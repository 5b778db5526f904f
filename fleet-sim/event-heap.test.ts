import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EventHeap } from '#fleet-sim/event-heap.ts';

type Entry = { atMs: number; value: number };

/** Few instants, so that many are equal; whole milliseconds, some beyond 32 bits. */
const instants = fc.oneof(
  fc.integer({ min: 0, max: 5 }),
  fc.integer({ min: 0, max: 2_000 }),
  fc.integer({ min: 0, max: 5 }).map((ms) => 1_772_409_600_000 + ms),
);
const commands = fc.array(fc.oneof(instants, fc.constant('pop' as const), fc.constant('pop' as const)), {
  maxLength: 200,
});

describe('an event heap', () => {
  test('agrees with a list kept sorted by instant, then by insertion, over any pushes, pops and clears', () => {
    fc.assert(
      fc.property(commands, commands, (first, second) => {
        const heap = new EventHeap(1, 1_024);
        expectLikeSortedList(heap, first);
        heap.clear();
        expect([heap.size, heap.firstAtMs]).toEqual([0, Number.POSITIVE_INFINITY]);
        expectLikeSortedList(heap, second);
      }),
      { numRuns: 300 },
    );
  });

  test('lets equal instants leave in the order they came, however many', () => {
    const heap = new EventHeap(4, 10_000);
    for (let value = 0; value < 10_000; value++) heap.push(value % 3, value);
    const order = Array.from({ length: 10_000 }, () => heap.pop());
    const expected = [0, 1, 2].flatMap((rest) =>
      Array.from({ length: 10_000 }, (_, n) => n).filter((n) => n % 3 === rest),
    );
    expect(order).toEqual(expected);
  });

  test('shows every value it holds, once', () => {
    const heap = new EventHeap(2, 64);
    for (const [value, atMs] of [30, 10, 20, 10, 40].entries()) heap.push(atMs, value);
    heap.pop();
    const values = Array.from({ length: heap.size }, (_, k) => heap.valueAt(k));
    expect(values.toSorted()).toEqual([0, 2, 3, 4]);
  });

  test('grows up to its limit, keeps what it held, and refuses one more', () => {
    const heap = new EventHeap(3, 10);
    for (let value = 0; value < 10; value++) heap.push(100 - value, value);
    expect(() => heap.push(0, 10)).toThrow('more than 10 events are pending');
    expect(heap.size).toBe(10);
    expect(Array.from({ length: 10 }, () => heap.pop())).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
  });
});

function expectLikeSortedList(heap: EventHeap, steps: readonly (number | 'pop')[]): void {
  const list: Entry[] = [];
  for (const [value, step] of steps.entries()) {
    if (step !== 'pop') {
      heap.push(step, value);
      const place = list.findIndex(({ atMs }) => atMs > step);
      list.splice(place === -1 ? list.length : place, 0, { atMs: step, value });
    } else if (list.length > 0) {
      expect(heap.pop()).toBe(list.shift()?.value);
    }
    expect(heap.size).toBe(list.length);
    expect(heap.firstAtMs).toBe(list[0]?.atMs ?? Number.POSITIVE_INFINITY);
  }
}
