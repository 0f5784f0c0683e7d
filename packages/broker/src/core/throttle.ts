/**
 * How fast one client may send. It is measured by what each read brought, and paid for by not being read: a client that keeps
 * to its rate, on the whole of two seconds, notices nothing. Who would send more than twice as much for long is disconnected.
 *
 * There is one for a connection only where a rate is limited at all.
 */

import { ReasonCode } from '@pipit/protocol';
import { disconnect } from './closing.ts';
import { type Connection, Phase } from './connection.ts';
import { Deadline } from './deadlines.ts';
import type { LimitName, Limits } from './limits.ts';
import type { Acceptance } from './ports.ts';
import type { State } from './state.ts';

/** From these on nobody is limited: more than a connection can carry. */
const unlimitedPublishes = 1_000_000_000;
const unlimitedBytes = 2 ** 40;

const burstSeconds = 2;

export class Throttle {
  private readonly publishesPerSecond: number;
  private readonly bytesPerSecond: number;
  /** What may be sent at once; below 0 while it is owed. */
  private publishes: number;
  private bytes: number;
  private at: number;
  /** Not read before then. */
  waitsUntil = 0;
  /** How long it was made to wait, less how long it was not. */
  private slowedMs = 0;
  readonly deadline: Deadline;

  constructor(connection: Connection, publishesPerSecond: number, bytesPerSecond: number, now: number) {
    this.publishesPerSecond = publishesPerSecond;
    this.bytesPerSecond = bytesPerSecond;
    this.publishes = publishesPerSecond * burstSeconds;
    this.bytes = bytesPerSecond * burstSeconds;
    this.at = now;
    this.deadline = Deadline.of(connection, (state, slowed) => state.wake(slowed));
  }

  received(bytes: number): void {
    this.bytes -= bytes;
  }

  /** So many messages were read. How many milliseconds it has to wait for now; 0: none. */
  debtMs(publishes: number, now: number): number {
    const seconds = (now - this.at) / 1000;
    this.at = now;
    this.publishes = Math.min(
      this.publishes - publishes + seconds * this.publishesPerSecond,
      this.publishesPerSecond * burstSeconds,
    );
    this.bytes = Math.min(this.bytes + seconds * this.bytesPerSecond, this.bytesPerSecond * burstSeconds);
    const owed = Math.max(-this.publishes / this.publishesPerSecond, -this.bytes / this.bytesPerSecond);
    // What rounding leaves of a debt that has been paid is none.
    return owed < 1e-6 ? 0 : Math.ceil(owed * 1000);
  }

  /** Which of the two it is that is owed most. */
  get limit(): LimitName {
    const owesMessages = this.publishes / this.publishesPerSecond < this.bytes / this.bytesPerSecond;
    return owesMessages ? 'publishesPerSecondMax' : 'receivedBytesPerSecondMax';
  }

  /** Begins to wait. How long it had been made to wait before, in excess. */
  wait(ms: number, now: number): number {
    const before = Math.max(0, this.slowedMs - (now - this.waitsUntil));
    this.slowedMs = before + ms;
    this.waitsUntil = now + ms;
    return before;
  }

  /** What came while it waited was on its way already. */
  extend(ms: number, now: number): void {
    this.slowedMs += now + ms - this.waitsUntil;
    this.waitsUntil = now + ms;
  }
}

/** The lower of what holds for all and what a verdict says; null: nothing is limited. */
export function throttleOf(
  connection: Connection,
  limits: Limits,
  verdict: Acceptance['limits'],
  now: number,
): Throttle | null {
  const publishes = Math.min(limits.publishesPerSecondMax, verdict?.publishesPerSecondMax ?? unlimitedPublishes);
  const bytes = Math.min(limits.receivedBytesPerSecondMax, verdict?.receivedBytesPerSecondMax ?? unlimitedBytes);
  if (publishes >= unlimitedPublishes && bytes >= unlimitedBytes) return null;
  return new Throttle(connection, publishes, bytes, now);
}

/** After a read that brought so many messages. True when nothing more is to be read for now. */
export function slowDown(state: State, connection: Connection, throttle: Throttle, publishes: number): boolean {
  const { now, limits } = state;
  const ms = throttle.debtMs(publishes, now);
  if (ms === 0 || connection.phase === Phase.Closed) return false;
  if (throttle.waitsUntil > now) throttle.extend(ms, now);
  else {
    const { limit } = throttle;
    const before = throttle.wait(ms, now);
    state.metrics.reached(limit);
    if (before > limits.throttledMsMax) {
      state.metrics.reached('throttledMsMax');
      disconnect(state, connection, ReasonCode.MessageRateTooHigh, 'sends far more than its rate, and goes on');
      return true;
    }
    const event = { type: 'throttled', clientId: connection.clientId, reason: limit, count: 1 } as const;
    state.events.count(event, state.deadlines, now);
  }
  connection.isStalled = true;
  state.deadlines.arm(throttle.deadline, throttle.waitsUntil);
  return true;
}
