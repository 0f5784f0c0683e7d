/**
 * Counts events that can come in floods into one an interval per type, client and reason.
 *
 * The first of its kind is told at once; what follows within an interval becomes one event at its end, with their number.
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
  private readonly deadline = Deadline.of(this, (state, log) => log.flush(state.deadlines, state.now));

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

  private flush(deadlines: Deadlines, now: number): void {
    for (const [key, kind] of this.pending) {
      const { event, more } = kind;
      kind.more = 0;
      // A kind that goes on stays counted: telling the next one at once would be a second event in its interval.
      if (more > 0) this.tell({ ...event, count: more });
      else this.pending.delete(key);
    }
    if (this.pending.size > 0) deadlines.arm(this.deadline, now + this.intervalMs);
  }
}
