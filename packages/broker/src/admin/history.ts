/**
 * What happened lately, and to whom: the events of the broker, kept for a while.
 *
 * One ring for all, and of it a bounded part for each client, so that one that is in trouble ten times a second does not push
 * out what happened to everybody else; who comes by another name each time has, when the ring is full, the part of its address.
 * Texts are cut off: a topic may have 65,535 bytes.
 */

import { hostOf } from '../auth/network-address.ts';
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
  /** The numbers of those that each address has caused, in order. */
  readonly #byHost = new Map<string, Set<number>>();
  readonly #hosts = new Map<number, string>();
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
    const host = this.#hostOf(event);
    const byHost = this.#byHost.get(host) ?? new Set();
    this.#byHost.set(host, byHost.add(past.number));
    this.#events.set(past.number, past);
    this.#hosts.set(past.number, host);
    const clientId = clientOf(event);
    if (clientId !== null) this.#add(clientId, past);
    if (this.#events.size <= this.#eventsMax) return;
    const hasMore = byHost.size > this.#eventsMax / this.#byHost.size;
    const [oldest] = hasMore ? byHost : this.#events.keys();
    this.#drop(this.#events.get(oldest as number) as PastEvent);
  };

  /** An event that names no address is its client's, and so of where that was last. */
  #hostOf(event: AnyEvent): string {
    const address = 'peer' in event ? event.peer.address : 'address' in event ? event.address : '';
    if (address !== '') return hostOf(address);
    const clientId = clientOf(event);
    const last = clientId === null ? undefined : this.#byClient.get(clientId)?.at(-1);
    return last === undefined ? '' : (this.#hosts.get(last.number) ?? '');
  }

  #drop(past: PastEvent): void {
    this.#remove(past.number);
    this.#forget(past);
  }

  #remove(number: number): void {
    const host = this.#hosts.get(number) ?? '';
    const byHost = this.#byHost.get(host);
    byHost?.delete(number);
    if (byHost?.size === 0) this.#byHost.delete(host);
    this.#hosts.delete(number);
    this.#events.delete(number);
  }

  #add(clientId: string, past: PastEvent): void {
    const own = this.#byClient.get(clientId);
    if (own === undefined) this.#byClient.set(clientId, [past]);
    else {
      own.push(past);
      if (own.length > this.#perClientMax) this.#remove((own.shift() as PastEvent).number);
    }
  }

  #forget(past: PastEvent): void {
    const clientId = clientOf(past.event);
    const own = clientId === null ? undefined : this.#byClient.get(clientId);
    if (clientId === null || own === undefined) return;
    const at = own.indexOf(past);
    if (at >= 0) own.splice(at, 1);
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
