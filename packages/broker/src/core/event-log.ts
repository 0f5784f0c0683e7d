/**
 * Counts events that can come in floods into one an interval per type, client and reason.
 *
 * The first of its kind is told at once; the rest of the interval becomes one event with their number.
 */

import { Deadline, type Deadlines } from './deadlines.ts';
import type { BrokerEvent } from './events.ts';

type Counted = Extract<BrokerEvent, { count: number }>;

/** Kinds counted at once at most: beyond it everything further of the interval is not told, only counted in the metrics. */
const kindsMax = 10_000;

export class EventLog {
  private readonly pending = new Map<string, { event: Counted; more: number }>();
  private readonly intervalMs: number;
  private readonly tell: (event: BrokerEvent) => void;
  private readonly deadline = Deadline.of(this, (_, log) => log.flush());

  constructor(intervalMs: number, tell: (event: BrokerEvent) => void) {
    this.intervalMs = intervalMs;
    this.tell = tell;
  }

  /** `event.count` is how many happened. */
  count(event: Counted, deadlines: Deadlines, now: number): void {
    const detail = 'reasonCode' in event ? event.reasonCode : event.reason;
    const key = `${event.type} ${detail} ${event.clientId}`;
    const known = this.pending.get(key);
    if (known !== undefined) {
      known.more += event.count;
      known.event = event;
      return;
    }
    if (this.pending.size >= kindsMax) return;
    this.pending.set(key, { event, more: 0 });
    this.tell(event);
    if (!this.deadline.isArmed) deadlines.arm(this.deadline, now + this.intervalMs);
  }

  private flush(): void {
    const pending = [...this.pending.values()];
    this.pending.clear();
    for (const { event, more } of pending) if (more > 0) this.tell({ ...event, count: more });
  }
}
