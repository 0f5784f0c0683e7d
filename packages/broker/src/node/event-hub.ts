/**
 * The events of a broker, handed to whoever asked for them: the core's, and what only the driver sees.
 *
 * Handlers are called one by one, those that were there when the event was told; what one throws is a `fault` and reaches neither the
 * others nor the broker. Neither an EventEmitter, which copies its handlers to say them, nor an EventTarget, which makes an object of
 * each event and ends the process for a handler that throws: events come with every connection.
 */

import type { AccessFailure } from '../auth/access.ts';
import type { BanType } from '../auth/ban-list.ts';
import type { BrokerEvent } from '../core/index.ts';
import type { TurnedAway } from './admission.ts';

/** What happens around the core. */
export type ServiceEvent =
  /** A socket that never became a connection: no room, a failed handshake, the wrong protocol. Told once an interval with its count. */
  | {
      type: 'turned-away';
      listener: string;
      address: string;
      reason: string;
      limit?: TurnedAway['limit'];
      count: number;
    }
  | { type: 'banned' | 'unbanned'; what: BanType; value: string; reason?: string; until?: string }
  /** Somebody changed something by the HTTP API: whose token it was, from where, and what was answered. */
  | { type: 'administered'; token: string; address: string; action: string; status: number }
  /** A login could not be decided upon, and was refused: an HTTP service or a key set that cannot be had. Told once an interval with its count. */
  | { type: 'authority-failed'; authority: string; reason: string; count: number }
  /** Code that was handed to the broker failed. The broker goes on; this is yours to mend. */
  | { type: 'fault'; where: 'authority' | 'subscriber' | 'event-handler' | 'admin' | 'bans'; error: unknown };

export type AnyEvent = BrokerEvent | ServiceEvent;
export type EventType = AnyEvent['type'];
export type EventOf<T extends EventType | 'event'> = T extends EventType ? Extract<AnyEvent, { type: T }> : AnyEvent;
export type EventHandler<T extends EventType | 'event'> = (event: EventOf<T>) => unknown;

type CountedEvent = Extract<ServiceEvent, { count: number }>;

/** Reasons counted at once at most; they come from peers in part. */
const reasonsMax = 1_000;

export class EventHub {
  /** An array is never changed: who is being called may come and go meanwhile. */
  readonly #handlers = new Map<EventType | 'event', readonly ((event: never) => unknown)[]>();
  /** Milliseconds in which events of one kind and reason are counted into one. */
  intervalMs: number;
  readonly #counted = new Map<string, { event: CountedEvent; more: number }>();
  #timer: NodeJS.Timeout | null = null;

  constructor(intervalMs: number) {
    this.intervalMs = intervalMs;
  }

  on<T extends EventType | 'event'>(type: T, handler: EventHandler<T>): void {
    this.#handlers.set(type, [...(this.#handlers.get(type) ?? []), handler]);
  }

  off<T extends EventType | 'event'>(type: T, handler: EventHandler<T>): void {
    const handlers = this.#handlers.get(type) ?? [];
    const at = handlers.lastIndexOf(handler);
    if (at >= 0) this.#handlers.set(type, handlers.toSpliced(at, 1));
  }

  tell(event: AnyEvent): void {
    this.#call(event.type, event);
    this.#call('event', event);
  }

  /** Where nobody listens, a fault becomes a warning of the process: code that fails must not do so in silence. */
  fault(where: Extract<ServiceEvent, { type: 'fault' }>['where'], error: unknown): void {
    if ((this.#handlers.get('fault') ?? []).length === 0) warn(error);
    this.tell({ type: 'fault', where, error });
  }

  turnedAway(listener: string, address: string, reason: string, limit?: TurnedAway['limit']): void {
    const about = limit === undefined ? {} : { limit };
    this.#count(`${listener} ${reason}`, { type: 'turned-away', listener, address, reason, ...about, count: 1 });
  }

  accessFailed({ authority, reason }: AccessFailure): void {
    this.#count(`${authority} ${reason}`, { type: 'authority-failed', authority, reason, count: 1 });
  }

  /** Tells what was counted and not told yet. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const counted = [...this.#counted.values()];
    this.#counted.clear();
    for (const { event, more } of counted) if (more > 0) this.tell({ ...event, count: more });
  }

  #count(key: string, event: CountedEvent): void {
    const known = this.#counted.get(key);
    if (known !== undefined) {
      known.more++;
      known.event = event;
    } else if (this.#counted.size < reasonsMax) {
      this.#counted.set(key, { event, more: 0 });
      this.#timer ??= setTimeout(() => this.flush(), this.intervalMs).unref();
      this.tell(event);
    }
  }

  #call(type: EventType | 'event', event: AnyEvent): void {
    const handlers = this.#handlers.get(type);
    if (handlers === undefined) return;
    for (const handler of handlers) {
      try {
        const result: unknown = handler(event as never);
        if (result instanceof Promise) result.catch((error: unknown) => this.#handlerFailed(event, error));
      } catch (error) {
        this.#handlerFailed(event, error);
      }
    }
  }

  #handlerFailed(event: AnyEvent, error: unknown): void {
    if (event.type === 'fault') warn(error);
    else this.fault('event-handler', error);
  }
}

function warn(error: unknown): void {
  process.emitWarning(error instanceof Error ? error : String(error));
}
