import type { AuditedTopic } from './record-types.ts';

/** Records that every consumer drops since it has seen the same before: what crashes leave behind. By topic. */
export class Replays {
  readonly counts: Partial<Record<AuditedTopic, number>> = {};

  add(topic: AuditedTopic): void {
    this.counts[topic] = (this.counts[topic] ?? 0) + 1;
  }
}
