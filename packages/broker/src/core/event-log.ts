/**
 * Counts events that can come in floods into one an interval per type, client and reason.
 *
 * The first of its kind is told at once; what follows within an interval becomes one event at its end, with their number.
 */

import { Deadline, type Deadlines } from './deadlines.ts';
import type { BrokerEvent, Dropped } from './events.ts';

type Counted = Extract<BrokerEvent, { count: number }>;

/** Kinds counted at once at most: beyond it everything further of the interval is not told, only counted in the metrics. */
const kindsMax = 10_000;
/** And characters of what they name: a client id or a topic may have 65,535. */
const charactersMax = 16 * 1024 * 1024;

/** What is being counted: the last event of its type, client and reason, and how many were not told yet. */
export class CountedKind<Event extends Counted = Counted> {
  event: Event;
  more = 0;
  /** Until its interval ends without another. */
  isPending = true;

  constructor(event: Event) {
    this.event = event;
  }
}

export class EventLog {
  private readonly pending = new Map<string, CountedKind>();
  private characters = 0;
  intervalMs: number;
  private readonly tell: (event: BrokerEvent) => void;
  private readonly deadline = Deadline.of(this, (state, log) => log.flush(state.deadlines, state.now));

  constructor(intervalMs: number, tell: (event: BrokerEvent) => void) {
    this.intervalMs = intervalMs;
    this.tell = tell;
  }

  /** `event.count` is how many happened. Returns the kind, for `again`; null when there are too many. */
  count<Event extends Counted>(event: Event, deadlines: Deadlines, now: number): CountedKind<Event> | null {
    const detail = 'reasonCode' in event ? event.reasonCode : event.reason;
    const key = `${event.type} ${detail} ${event.clientId}`;
    // The key begins with the type.
    const known = this.pending.get(key) as CountedKind<Event> | undefined;
    if (known !== undefined) {
      known.more += event.count;
      this.characters += lengthOf(event) - lengthOf(known.event);
      known.event = event;
      return known;
    }
    if (this.pending.size >= kindsMax || this.characters >= charactersMax) return null;
    this.characters += key.length + lengthOf(event);
    const kind = new CountedKind(event);
    this.pending.set(key, kind);
    this.tell(event);
    if (!this.deadline.isArmed) deadlines.arm(this.deadline, now + this.intervalMs);
    return kind;
  }

  /** One more drop of a kind that is pending, maybe on another topic: the same as `count`, without a key to find it by. */
  again(kind: CountedKind<Dropped>, topic: string): void {
    const { event } = kind;
    kind.more++;
    if (event.topic === topic) return;
    this.characters += topic.length - event.topic.length;
    kind.event = { ...event, topic };
  }

  private flush(deadlines: Deadlines, now: number): void {
    for (const [key, kind] of this.pending) {
      const { event, more } = kind;
      kind.more = 0;
      // A kind that goes on stays counted: telling the next one at once would be a second event in its interval.
      if (more > 0) this.tell({ ...event, count: more });
      else {
        this.pending.delete(key);
        kind.isPending = false;
        this.characters -= key.length + lengthOf(event);
      }
    }
    if (this.pending.size > 0) deadlines.arm(this.deadline, now + this.intervalMs);
  }
}

function lengthOf(event: Counted): number {
  if ('topic' in event) return event.topic.length;
  return 'filter' in event ? event.filter.length : 0;
}
