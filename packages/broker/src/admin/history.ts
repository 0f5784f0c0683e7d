/**
 * What happened lately, and to whom: the events of the broker, kept for a while.
 *
 * One ring for all, and of it a bounded part for each client, so that one that is in trouble ten times a second does not push
 * out what happened to everybody else. Texts are cut off: a topic may have 65,535 bytes.
 */

import type { AnyEvent } from '../node/event-hub.ts';

export interface PastEvent {
  /** Rises by one with each event. */
  readonly number: number;
  /** Wall-clock milliseconds. */
  readonly time: number;
  readonly event: AnyEvent;
}

/** Whom events are told by: a broker. */
interface Source {
  on(type: 'event', handler: (event: AnyEvent) => void): unknown;
  off(type: 'event', handler: (event: AnyEvent) => void): unknown;
}

export interface HistoryOptions {
  readonly eventsMax?: number;
  readonly eventsPerClientMax?: number;
}

const textLengthMax = 512;

export class History {
  readonly #source: Source;
  readonly #eventsMax: number;
  readonly #perClientMax: number;
  /** In order; holes are events that their client's own bound pushed out. */
  readonly #events = new Map<number, PastEvent>();
  readonly #byClient = new Map<string, PastEvent[]>();
  #last = 0;

  constructor(source: Source, { eventsMax = 20_000, eventsPerClientMax = 200 }: HistoryOptions = {}) {
    this.#source = source;
    this.#eventsMax = eventsMax;
    this.#perClientMax = eventsPerClientMax;
    source.on('event', this.#tell);
  }

  close(): void {
    this.#source.off('event', this.#tell);
  }

  /** Of one client, the oldest first. */
  of(clientId: string): readonly PastEvent[] {
    return this.#byClient.get(clientId) ?? [];
  }

  /** Of all, the newest first. */
  latest(): readonly PastEvent[] {
    return [...this.#events.values()].reverse();
  }

  get size(): number {
    return this.#events.size;
  }

  readonly #tell = (event: AnyEvent): void => {
    // A trace is for who asked for it.
    if (event.type === 'traced' || event.type === 'trace-ended') return;
    const past = { number: ++this.#last, time: Date.now(), event: shortened(event) };
    this.#events.set(past.number, past);
    const clientId = clientOf(event);
    if (clientId !== null) this.#add(clientId, past);
    for (const [number, oldest] of this.#events) {
      if (this.#events.size <= this.#eventsMax) return;
      this.#events.delete(number);
      this.#forget(oldest);
    }
  };

  #add(clientId: string, past: PastEvent): void {
    const own = this.#byClient.get(clientId);
    if (own === undefined) this.#byClient.set(clientId, [past]);
    else {
      own.push(past);
      if (own.length > this.#perClientMax) this.#events.delete((own.shift() as PastEvent).number);
    }
  }

  #forget(past: PastEvent): void {
    const clientId = clientOf(past.event);
    const own = clientId === null ? undefined : this.#byClient.get(clientId);
    if (clientId === null || own === undefined) return;
    if (own[0] === past) own.shift();
    if (own.length === 0) this.#byClient.delete(clientId);
  }
}

/** Whom an event is about. */
export function clientOf(event: AnyEvent): string | null {
  return 'clientId' in event && event.clientId !== '' ? event.clientId : null;
}

function shortened(event: AnyEvent): AnyEvent {
  let short: Record<string, unknown> | null = null;
  for (const [name, value] of Object.entries(event)) {
    // Client ids are keys, and have a limit of their own.
    const isLong = name !== 'clientId' && typeof value === 'string' && value.length > textLengthMax;
    if (isLong) short = { ...(short ?? event), [name]: `${value.slice(0, textLengthMax)}…` };
    else if (value instanceof Error) short = { ...(short ?? event), [name]: value.message };
  }
  return short === null ? event : (short as unknown as AnyEvent);
}
