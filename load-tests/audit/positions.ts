type Source = {
  position: number;
  offset: number;
  /** Unreadable records of the lane when it was last seen. */
  unreadable: number;
  /** Its requests by position, ascending. */
  positions: number[];
  requests: number[];
};

/** A new tenure of a source begins at a multiple of this. */
const POSITIONS_A_TENURE = 2 ** 32;

export type Gap = { first: number; last: number; behindOffset: number };

/**
 * The numbering that each source gives to its records in one lane of one partition: from 1, by one, never back. Whoever
 * takes over from another begins anew behind a multiple of 2^32.
 */
export class Positions {
  readonly #sources = new Map<number, Source>();
  #unreadable = 0;

  /** A record of this lane that nobody could read: it may have been of any source. */
  noteUnreadable(): void {
    this.#unreadable++;
  }

  /** True where the position is not above the last of its source: a replay, dropped by every consumer. */
  isReplay(source: number, position: number): boolean {
    return position <= this.#of(source).position;
  }

  /** The same of a marker, which repeats a position: true where another has taken over from its writer. */
  isReplayedMarker(source: number, position: number): boolean {
    return position < this.#of(source).position;
  }

  /** Whether another has taken over since from the writer of this position: that one repeats what it wrote. */
  isOfEarlierTenure(source: number, position: number): boolean {
    return tenureOf(position) < tenureOf(this.#of(source).position);
  }

  /** The positions up to this one that are missing, unless records that nobody could read explain them. */
  missingUpTo(source: number, position: number): Gap | undefined {
    const { position: last, offset, unreadable } = this.#of(source);
    const before = Math.max(last, tenureOf(position) * POSITIONS_A_TENURE);
    const isExplained = position - before <= this.#unreadable - unreadable;
    return isExplained ? undefined : { first: before + 1, last: position, behindOffset: offset };
  }

  reach(source: number, position: number, offset: number): void {
    const last = this.#of(source);
    last.position = Math.max(last.position, position);
    last.offset = offset;
    last.unreadable = this.#unreadable;
  }

  noteRequest(source: number, position: number, request: number): void {
    const { positions, requests } = this.#of(source);
    positions.push(position);
    requests.push(request);
  }

  /** The request at a position, -1 where none stands there. */
  requestAt(source: number, position: number): number {
    const { positions, requests } = this.#of(source);
    let low = 0;
    let high = positions.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (positions[middle] < position) low = middle + 1;
      else high = middle;
    }
    return positions[low] === position ? requests[low] : -1;
  }

  #of(source: number): Source {
    let known = this.#sources.get(source);
    if (known === undefined) {
      known = { position: 0, offset: -1, unreadable: 0, positions: [], requests: [] };
      this.#sources.set(source, known);
    }
    return known;
  }
}

function tenureOf(position: number): number {
  return Math.floor(position / POSITIONS_A_TENURE);
}
