/**
 * Work of one partition, one piece at a time, the most urgent lane first and each lane in its order. Lane 0 is the most
 * urgent. A piece that has begun is finished: so what is urgent waits for one piece at most.
 */
export class LaneQueue {
  readonly #lanes: (() => Promise<void>)[][];
  readonly #fail: (error: Error) => void;
  #isBusy = false;
  #isClosed = false;
  readonly #idlers: (() => void)[] = [];

  constructor(lanes: number, fail: (error: Error) => void) {
    this.#lanes = Array.from({ length: lanes }, () => []);
    this.#fail = fail;
  }

  waiting(lane: number): number {
    return this.#lanes[lane].length;
  }

  push(lane: number, work: () => Promise<void>): void {
    if (this.#isClosed) return;
    this.#lanes[lane].push(work);
    if (!this.#isBusy) void this.#run();
  }

  /** Resolves when nothing waits or runs. */
  idle(): Promise<void> {
    if (!this.#isBusy) return Promise.resolve();
    return new Promise((resolve) => this.#idlers.push(resolve));
  }

  /** Drops what waits; what has begun goes on. */
  close(): void {
    this.#isClosed = true;
    for (const lane of this.#lanes) lane.length = 0;
  }

  async #run(): Promise<void> {
    this.#isBusy = true;
    for (let work = this.#next(); work !== undefined; work = this.#next()) {
      try {
        await work();
      } catch (error) {
        this.#fail(error as Error);
        return;
      }
    }
    this.#isBusy = false;
    for (const wake of this.#idlers.splice(0)) wake();
  }

  #next(): (() => Promise<void>) | undefined {
    return this.#lanes.find((lane) => lane.length > 0)?.shift();
  }
}
