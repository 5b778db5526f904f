import { expect, test } from 'vitest';
import type { UserDirectory } from '#services/platform/access/users.ts';
import { USERS_MAX } from '#services/platform/metrics/bounds.ts';
import { UserCounts } from './user-counts.ts';

function directoryOf(names: readonly string[]): Pick<UserDirectory, 'table'> {
  return { table: { users: names.map((name) => ({ name })) } } as unknown as Pick<UserDirectory, 'table'>;
}

test('counts go by the name that a number had when it was counted', () => {
  const counts = new UserCounts();
  counts.add(Float64Array.of(5, 1, 0, 2, 0, 9), directoryOf(['anna', 'bert']));
  counts.add(Float64Array.of(7, 0, 0, 0), directoryOf(['bert']));
  expect(counts.samples().filter(({ value }) => value > 0)).toEqual([
    { labels: { user: 'anna', outcome: 'accepted' }, value: 5 },
    { labels: { user: 'anna', outcome: 'refused' }, value: 1 },
    { labels: { user: 'bert', outcome: 'accepted' }, value: 7 },
    { labels: { user: 'bert', outcome: 'refused' }, value: 2 },
    { labels: { user: 'other', outcome: 'refused' }, value: 9 },
  ]);
});

test('however many Users there are, the label has no more values than its bound, and none is lost', () => {
  const counts = new UserCounts();
  const names = Array.from({ length: 3 * USERS_MAX }, (_, k) => `user ${k}`);
  counts.add(new Float64Array(2 * names.length + 2).fill(1), directoryOf(names));
  const users = new Set(counts.samples().map(({ labels }) => labels.user));
  expect(users.size).toBe(USERS_MAX + 1);
  expect(counts.samples().reduce((sum, { value }) => sum + value, 0)).toBe(2 * names.length + 2);
});
