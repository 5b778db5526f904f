import type { UserDirectory } from '#services/platform/access/users.ts';
import { USERS_MAX } from '#services/platform/metrics/bounds.ts';

/** Of Users that are not known, and of those beyond the bound of the label. */
const OTHER = 'other';

/** Requests decided by name of the User: names stay what they are when the numbers of a directory change. */
export class UserCounts {
  readonly #byName = new Map<string, { accepted: number; refused: number }>();

  /** `byUser`: as an access step counts, by the numbers of the directory that it was asked with. */
  add(byUser: Float64Array, { table }: Pick<UserDirectory, 'table'>): void {
    const last = byUser.length - 2;
    for (let at = 0; at <= last; at += 2) {
      const [accepted, refused] = [byUser[at], byUser[at + 1]];
      if (accepted + refused === 0) continue;
      const counts = this.#of(at === last ? OTHER : table.users[at / 2].name);
      counts.accepted += accepted;
      counts.refused += refused;
    }
  }

  samples(): { labels: { user: string; outcome: string }; value: number }[] {
    return [...this.#byName].flatMap(([user, counts]) =>
      (['accepted', 'refused'] as const).map((outcome) => ({ labels: { user, outcome }, value: counts[outcome] })),
    );
  }

  #of(name: string): { accepted: number; refused: number } {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    if (this.#byName.size >= USERS_MAX && name !== OTHER) return this.#of(OTHER);
    const counts = { accepted: 0, refused: 0 };
    this.#byName.set(name, counts);
    return counts;
  }
}
