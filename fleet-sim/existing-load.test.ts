import { describe, expect, test } from 'vitest';
import { advanceStream, createStreams, NOT_JUDGED, type Stream, startStream } from '#fleet-sim/existing-load.ts';
import { smallWorld } from '#fleet-sim/test/small-world.ts';

const world = smallWorld({
  existing: {
    reads: [{ srv: '4.1.1', mode: 'on-demand', perMeterDay: 0.5, window: '07:00-22:00' }],
    other: [
      {
        perMeterDay: 0.013,
        window: '00:00-24:00',
        lane: 'scheduled',
        serviceTime: { distribution: 'constant', seconds: 1 },
      },
    ],
  },
});
const HOUR_MS = 3_600_000;
const METERS = 100;

function requestsOf(stream: Stream, index: number, seed: number, cell: number, day: number) {
  const requests: { hour: number; meter: number }[] = [];
  startStream(stream, index, seed, cell, day, METERS);
  while (stream.nextAtMs < Number.POSITIVE_INFINITY) {
    requests.push({ hour: stream.nextAtMs / HOUR_MS, meter: stream.meter });
    advanceStream(stream, index, seed, cell, day, METERS);
  }
  return requests;
}

describe('the requests of one kind in a cell-day', () => {
  const [reads, other] = createStreams(world);
  const days = Array.from({ length: 400 }, (_, k) => requestsOf(reads, 0, 1, k % 20, Math.floor(k / 20)));

  test('come in the order of time, within their window, for meters of the cell', () => {
    for (const day of days) {
      const hours = day.map(({ hour }) => hour);
      expect(hours).toEqual(hours.toSorted((a, b) => a - b));
      expect(hours[0]).toBeGreaterThanOrEqual(7);
      expect(hours.at(-1)).toBeLessThan(22);
      expect(day.every(({ meter }) => meter >= 0 && meter < METERS)).toBe(true);
    }
  });

  test('are as many as the scenario says, a fraction rounded by a draw', () => {
    expect(days.every((day) => day.length === 50)).toBe(true);
    const rare = Array.from({ length: 2000 }, (_, k) => requestsOf(other, 1, 1, k, 0).length);
    expect(new Set(rare)).toEqual(new Set([1, 2]));
    const mean = rare.reduce((sum, count) => sum + count, 0) / rare.length;
    expect(Math.abs(mean - 1.3)).toBeLessThan(5 * Math.sqrt((0.3 * 0.7) / rare.length));
  });

  test('are spread evenly over the window and over the meters', () => {
    const all = days.flat();
    const perHour = new Float64Array(15);
    const perMeter = new Float64Array(METERS);
    for (const { hour, meter } of all) {
      perHour[Math.floor(hour) - 7]++;
      perMeter[meter]++;
    }
    for (const counts of [perHour, perMeter]) {
      const expected = all.length / counts.length;
      const chiSquare = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
      const freedom = counts.length - 1;
      expect(chiSquare).toBeLessThan(freedom + 5 * Math.sqrt(2 * freedom));
    }
  });

  test('are others on another day, in another cell and for another seed, and the same again', () => {
    const first = requestsOf(reads, 0, 1, 3, 5);
    expect(requestsOf(reads, 0, 1, 3, 5)).toEqual(first);
    for (const [seed, cell, day] of [
      [2, 3, 5],
      [1, 4, 5],
      [1, 3, 6],
    ]) {
      expect(requestsOf(reads, 0, seed, cell, day)).not.toEqual(first);
    }
  });

  test('that hold exchanges only are judged by no TRT', () => {
    expect([reads.row === NOT_JUDGED, other.row === NOT_JUDGED]).toEqual([false, true]);
  });
});
