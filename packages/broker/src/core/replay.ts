/**
 * The replay of retained messages to one subscription: a cursor, and what it found whose value is only in the store.
 *
 * Values in memory are given at once. At the first that is not, the cursor goes on, gathering entries, and asks for all their
 * values together; meanwhile everything else of the session goes on. Each entry is looked at again when its turn comes, and is
 * left out when it is another by then. All replays together have a limit for what is being read and sent, and one for what was
 * read for peers that take nothing now; beyond, values are let go and asked for again.
 */

import type { QoS } from '@pipit/protocol';
import { Deadline } from './deadlines.ts';
import { type Message, messageFromStored } from './message.ts';
import type { StoredMessage } from './ports.ts';
import type { RetainedCursor } from './retained-cursor.ts';
import { removeRetained } from './retaining.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';

/** What is asked for at once: so many messages, so many bytes; one whatever its size. */
const fetchMessagesMax = 128;
const fetchBytesMax = 128 * 1024;
/** Bytes being read, or read and being sent. */
const activeBytesMax = 4 * 1024 * 1024;
/** Bytes read for peers that can take nothing. */
const stalledBytesMax = 16 * 1024 * 1024;
const retryMs = 1_000;

export interface ReplayOptions {
  readonly qos: QoS;
  readonly identifiers: readonly number[] | null;
  /** Set for a No Local subscription: what this client published is left out. */
  readonly clientId: string | null;
}

/** What all replays ask of the store. */
export class Fetches {
  /** Under way, by number. */
  readonly open = new Map<number, Replay>();
  /** Those that wait for room, and some that no longer do. */
  private waiting: Replay[] = [];
  activeBytes = 0;
  stalledBytes = 0;

  hasRoom(bytes: number): boolean {
    return this.activeBytes === 0 || this.activeBytes + bytes <= activeBytesMax;
  }

  wait(replay: Replay): void {
    this.waiting.push(replay);
  }

  /** So many bytes are active no more: who waited for that goes on. */
  release(state: State, bytes: number): void {
    this.activeBytes -= bytes;
    let next = 0;
    for (let first = this.waiting[0]; first !== undefined; first = this.waiting[++next]) {
      if (first.isWaiting && !this.hasRoom(first.bytes)) break;
      first.admit(state);
    }
    if (next > 0) this.waiting = this.waiting.slice(next);
  }

  /** The store's answer; null: it could not be read. */
  fetched(
    state: State,
    number: number,
    messages: readonly (StoredMessage | null)[] | null,
    error: string | null,
  ): void {
    const replay = this.open.get(number);
    this.open.delete(number);
    if (messages !== null) replay?.fetched(state, messages);
    else replay?.failed(state, error ?? 'unknown');
  }
}

const Phase = {
  /** The cursor goes on. */
  Searching: 0,
  /** There is no room for another fetch. */
  Waiting: 1,
  Fetching: 2,
  /** Values are there, and the peer takes them. */
  Giving: 3,
  /** Values are there, and the peer takes none. */
  Stalled: 4,
  /** The fetch failed: it is tried again later. */
  Failed: 5,
} as const;
type Phase = (typeof Phase)[keyof typeof Phase];

interface Found {
  readonly entry: number;
  /** What it was when it was found. */
  readonly order: number;
  value: Message | null;
}

export class Replay {
  readonly filter: string;
  /** Those of the subscription; may be replaced while it goes on. */
  options: ReplayOptions;
  private readonly session: Session;
  private readonly cursor: RetainedCursor;
  private isSearched = false;
  private isClosed = false;
  private phase: Phase = Phase.Searching;
  /** What was found and is only in the store; and how many of it were given. */
  private found: Found[] = [];
  /** Those of them that the store was asked for. */
  private asked: readonly Found[] = [];
  private given = 0;
  /** What they cost, together. */
  bytes = 0;
  private retry: Deadline | null = null;
  /** Since when nothing could be read; Infinity: it can. */
  private failingSince = Number.POSITIVE_INFINITY;

  constructor(state: State, session: Session, filter: string, options: ReplayOptions) {
    this.session = session;
    this.filter = filter;
    this.options = options;
    this.cursor = state.retained.cursor(filter);
  }

  /**
   * One step: a message to send; null when the step found none; 'wait' when the store is asked and its answer will wake the
   * session; 'end' when nothing is left.
   */
  next(state: State): Message | null | 'wait' | 'end' {
    if (this.phase === Phase.Stalled) {
      this.phase = Phase.Giving;
      state.fetches.stalledBytes -= this.bytes;
      state.fetches.activeBytes += this.bytes;
    }
    if (this.phase === Phase.Giving) return this.give(state);
    return this.phase === Phase.Searching ? this.search(state) : 'wait';
  }

  /** It is over, or its subscription is. */
  close(state: State): void {
    this.isClosed = true;
    this.cursor.close();
    this.leave(state);
  }

  // ── Finding and giving

  private search(state: State): Message | null | 'wait' | 'end' {
    const { retained } = state;
    const isEnough = this.found.length >= fetchMessagesMax || this.bytes >= fetchBytesMax;
    if (this.isSearched && this.found.length === 0) return 'end';
    if (this.isSearched || isEnough) return this.request(state);
    const entry = this.cursor.next();
    if (entry === null) this.isSearched = true;
    if (entry === null || entry < 0 || retained.expiresAt(entry) <= state.now) return null;
    const value = retained.value(entry);
    if (value !== null && this.found.length === 0) return this.wanted(value);
    this.found.push({ entry, order: retained.orderOf(entry), value: null });
    this.bytes += retained.cost(entry);
    return null;
  }

  private give(state: State): Message | null {
    const { retained } = state;
    const { entry, order, value: read } = this.found[this.given++] as Found;
    const isCurrent = retained.orderOf(entry) === order && retained.expiresAt(entry) > state.now;
    const value = isCurrent ? (retained.value(entry) ?? read) : null;
    if (isCurrent && value === null) this.lost(state, entry);
    if (this.given === this.found.length) this.letGo(state);
    return value === null ? null : this.wanted(value);
  }

  private wanted(message: Message): Message | null {
    return this.options.clientId !== null && message.publisher === this.options.clientId ? null : message;
  }

  /** The store does not have it any more: so that nothing older comes back, it is cleared. */
  private lost(state: State, entry: number): void {
    const topic = state.retained.topic(entry);
    const { clientId } = this.session;
    state.metrics.drop('store-lost');
    state.tell({ type: 'dropped', clientId, topic, reason: 'store-lost', count: 1 });
    removeRetained(state, entry);
  }

  // ── Asking the store

  /** What it has read, and its peer does not take. */
  get stalledBytes(): number {
    return this.phase === Phase.Stalled ? this.bytes : 0;
  }

  get isWaiting(): boolean {
    return this.phase === Phase.Waiting;
  }

  private request(state: State): 'wait' | null {
    if (!state.fetches.hasRoom(this.bytes)) {
      this.phase = Phase.Waiting;
      state.fetches.wait(this);
      return 'wait';
    }
    return this.fetch(state) ? 'wait' : null;
  }

  /** There is room: it asks, if it still waits. */
  admit(state: State): void {
    if (this.phase !== Phase.Waiting) return;
    if (!this.fetch(state)) state.wake(this.session);
  }

  /** False: nothing has to be asked for. */
  private fetch(state: State): boolean {
    const { retained, fetches } = state;
    this.found = this.found.filter(({ entry, order }) => retained.orderOf(entry) === order);
    if (this.found.length === 0) {
      this.letGo(state);
      return false;
    }
    // What is in memory may not be on the disk yet; when the answer comes it may be nowhere else.
    for (const each of this.found) each.value = retained.value(each.entry);
    this.asked = this.found.filter(({ value }) => value === null);
    fetches.activeBytes += this.bytes;
    if (this.asked.length === 0) {
      this.phase = Phase.Giving;
      return false;
    }
    this.phase = Phase.Fetching;
    const number = state.nextToken();
    fetches.open.set(number, this);
    const messages = this.asked.map(({ entry }) => ({ topic: retained.topic(entry), id: retained.id(entry) }));
    const givesUp = state.now - this.failingSince >= state.limits.unreadableMsMax;
    state.effects.push({ kind: 'fetch', request: { number, messages, givesUp } });
    return true;
  }

  fetched(state: State, messages: readonly (StoredMessage | null)[]): void {
    if (this.isClosed || !this.session.isOnline) return this.letGo(state);
    this.phase = Phase.Giving;
    this.failingSince = Number.POSITIVE_INFINITY;
    for (const [index, each] of this.asked.entries()) {
      const stored = messages[index];
      if (stored == null || state.retained.orderOf(each.entry) !== each.order) continue;
      each.value = messageFromStored(stored, state.topics.borrow(stored.topic), state.recordOffsetMs);
      state.retained.warm(each.entry, each.value);
    }
    state.wake(this.session);
  }

  failed(state: State, reason: string): void {
    this.letGo(state);
    if (this.isClosed || !this.session.isOnline) return;
    state.tell({ type: 'fetch-failed', clientId: this.session.clientId, reason });
    this.phase = Phase.Failed;
    this.failingSince = Math.min(this.failingSince, state.now);
    this.retry ??= Deadline.of(this, tryAgain);
    state.deadlines.arm(this.retry, state.now + retryMs);
  }

  retryNow(state: State): void {
    if (this.phase !== Phase.Failed) return;
    this.phase = Phase.Searching;
    state.wake(this.session);
  }

  // ── Room

  /** The peer takes nothing now: others go first. */
  stall(state: State): void {
    if (this.phase !== Phase.Giving) return;
    if (state.fetches.stalledBytes + this.bytes > stalledBytesMax) return this.letGo(state);
    this.phase = Phase.Stalled;
    state.fetches.stalledBytes += this.bytes;
    state.fetches.release(state, this.bytes);
  }

  /** The session is left by its peer: values are let go; what was found is asked for again when it is resumed. */
  leave(state: State): void {
    if (this.retry !== null) state.deadlines.disarm(this.retry);
    if (this.phase !== Phase.Fetching) this.letGo(state);
  }

  /** Values are dropped; what was found and not given is asked for again. */
  private letGo(state: State): void {
    const { phase, bytes } = this;
    this.phase = Phase.Searching;
    this.found = this.found.slice(this.given);
    this.given = 0;
    this.bytes = 0;
    for (const each of this.found) {
      each.value = null;
      this.bytes += state.retained.cost(each.entry);
    }
    if (phase === Phase.Stalled) state.fetches.stalledBytes -= bytes;
    else if (phase === Phase.Giving || phase === Phase.Fetching) state.fetches.release(state, bytes);
  }
}

function tryAgain(state: State, replay: Replay): void {
  replay.retryNow(state);
}

/** The one whose turn it is; null: there is none. */
export function firstReplay({ replays }: Session): Replay | null {
  return replays?.values().next().value ?? null;
}

/** Begins one behind those that there are, in place of one of the same subscription. */
export function startReplay(state: State, session: Session, filter: string, options: ReplayOptions): void {
  endReplay(state, session, filter);
  session.replays ??= new Map();
  session.replays.set(filter, new Replay(state, session, filter, options));
}

/** Ends the replay to a subscription that is replaced or gone, or one that has come to its end. */
export function endReplay(state: State, session: Session, filter: string): void {
  const { replays } = session;
  if (replays === null) return;
  replays.get(filter)?.close(state);
  replays.delete(filter);
  if (replays.size === 0) session.replays = null;
  // The next one may have waited for this one, which tells nobody any more.
  else state.wake(session);
}
