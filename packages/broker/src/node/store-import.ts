/** Lines of an export, into a store that nobody uses. */

import { topicFilterProblem } from '@pipit/protocol';
import {
  type Batch,
  type Change,
  type StoredMessage,
  type StoredSession,
  type StoredState,
  storedCost,
} from '../core/index.ts';
import { type LogStore, openStore } from './log-store.ts';
import { StoreError } from './store-error.ts';
import {
  clockOf,
  type Line,
  type LineOf,
  type MessageJson,
  parseLine,
  storedMessage,
  type Times,
} from './store-lines.ts';

/** A batch is committed when it has so much. */
const batchChanges = 10_000;
const batchBytes = 4 * 1024 * 1024;

/** How many of each came in. */
export interface ImportReport {
  readonly sessions: number;
  readonly subscriptions: number;
  readonly queued: number;
  readonly retained: number;
}

/**
 * Puts what `exportStore` wrote into the store of a directory, which is made when it is not there. A session replaces one of the
 * same name with all it has, a retained message one of the same topic; what else is there stays. Rejects with a StoreError that
 * names the line when one makes no sense: what came before it is in, and importing again, once it is mended, puts it right.
 */
export async function importStore(directory: string, lines: AsyncIterable<string>): Promise<ImportReport> {
  const store = openStore(directory);
  const state = await store.load();
  try {
    const taking = new Import(store, state);
    let number = 0;
    for await (const source of lines) {
      number++;
      if (source.trim() !== '') await taking.take(source, number);
    }
    return await taking.end();
  } finally {
    await store.close();
  }
}

type Will = NonNullable<StoredSession['will']>;

interface Known {
  readonly incarnation: number;
  readonly sequences: Set<number>;
  readonly packetIds: Set<number>;
}

class Import {
  readonly #store: LogStore;
  readonly #counts = { sessions: 0, subscriptions: 0, queued: 0, retained: 0 };
  /** Sessions that the store had, by their key. */
  readonly #before: ReadonlyMap<string, number>;
  readonly #known = new Map<string, Known>();
  readonly #lastCommit: Times | null;
  #times: Times | null = null;
  #lastId: number;
  #shared: { readonly number: number; readonly message: StoredMessage } | null = null;
  #changes: Change[] = [];
  #bytes = 0;
  #batch = 0;

  constructor(store: LogStore, state: StoredState) {
    this.#store = store;
    this.#before = new Map([...state.sessions].map(({ session }) => [session.key, session.incarnation]));
    this.#lastId = state.lastId;
    this.#lastCommit = state.clock === 0 ? null : { wall: state.wall, clock: state.clock };
  }

  async take(source: string, number: number): Promise<void> {
    let line: Line;
    try {
      line = parseLine(source);
      // What shares a message is written in one batch with it.
      const isReference = 'message' in line && typeof line.message === 'number';
      if (!isReference && this.#isFull) await this.#commit();
      this.#takeLine(line);
    } catch (error) {
      throw new StoreError(`Line ${number}: ${(error as Error).message}.`, { cause: error });
    }
  }

  async end(): Promise<ImportReport> {
    await this.#commit();
    return this.#counts;
  }

  get #isFull(): boolean {
    return this.#changes.length >= batchChanges || this.#bytes >= batchBytes;
  }

  #takeLine(line: Line): void {
    if (line.type === 'store') {
      if (this.#times !== null) throw new Error('a second line of type store');
      // A new store goes on at the time of the export, so that what was to expire since does.
      const at = Date.parse(line.at);
      this.#times = this.#lastCommit ?? { wall: at, clock: at };
      return;
    }
    if (this.#times === null) throw new Error('the first line has to be of type store');
    switch (line.type) {
      case 'session':
        return this.#session(line, this.#times);
      case 'subscription': {
        const { session: key, filter, shareName, qos, noLocal, retainAsPublished, identifier } = line;
        this.#knownSession(key);
        const problem = shareName === null ? undefined : topicFilterProblem(`$share/${shareName}/${filter}`);
        if (problem !== undefined) throw new Error(problem);
        const options = { qos, noLocal, retainAsPublished, identifier };
        this.#add({ kind: 'subscribed', key, subscription: { filter, shareName: shareName ?? undefined, ...options } });
        this.#counts.subscriptions++;
        return;
      }
      case 'received': {
        const { session: key, packetId } = line;
        return this.#add({ kind: 'received', key, incarnation: this.#knownSession(key).incarnation, packetId });
      }
      case 'message':
        this.#shared = {
          number: line.number,
          message: storedMessage(line.message, ++this.#lastId, Number.POSITIVE_INFINITY),
        };
        return;
      case 'queued':
        return this.#queued(line, this.#times);
      case 'retained': {
        const { topic, principal = null, expiresAt, messageExpiresAt = expiresAt } = line;
        const said = this.#message(line.message);
        const ownExpiry = said.expiryAt < 0 ? null : messageExpiresAt;
        const message = { ...said, expiresAtClock: clockOf(ownExpiry, this.#times) };
        if (message.payload.length === 0) throw new Error('a retained message has a payload');
        if (message.topic !== topic) throw new Error(`the message is of topic ${message.topic}`);
        this.#add({ kind: 'retained', topic, message, expiresAtClock: clockOf(expiresAt, this.#times), principal });
        this.#bytes += storedCost(message);
        this.#counts.retained++;
      }
    }
  }

  #session(line: LineOf<'session'>, times: Times): void {
    const { session: key, clientId, principal, expirySeconds, closedAt, rights, will } = line;
    if (this.#known.has(key)) throw new Error(`session ${key} comes twice`);
    const before = this.#before.get(key);
    if (before !== undefined) this.#add({ kind: 'session-ended', key, incarnation: before });
    const incarnation = ++this.#lastId;
    const session = {
      key,
      clientId,
      principal,
      incarnation,
      expirySeconds,
      ...(rights !== undefined && { rights }),
      will: will === null ? null : this.#will(will, times),
      closedAtClock: clockOf(closedAt, times),
    };
    this.#add({ kind: 'session', session });
    this.#known.set(key, { incarnation, sequences: new Set(), packetIds: new Set() });
    this.#counts.sessions++;
  }

  #will({ delaySeconds, expiresAt, message }: NonNullable<LineOf<'session'>['will']>, times: Times): Will {
    return { delaySeconds, message: storedMessage(message, ++this.#lastId, clockOf(expiresAt, times)) };
  }

  #queued(line: LineOf<'queued'>, times: Times): void {
    const { session: key, sequence, qos, retain, identifiers, group, packetId, released } = line;
    const { incarnation, sequences, packetIds } = this.#knownSession(key);
    if (sequences.has(sequence)) throw new Error(`session ${key} has two messages of sequence ${sequence}`);
    if (released && packetId === 0) throw new Error('a message that was never sent cannot be released');
    if (packetIds.has(packetId)) throw new Error(`session ${key} has two messages of packet identifier ${packetId}`);
    sequences.add(sequence);
    if (packetId !== 0) packetIds.add(packetId);
    const message = { ...this.#message(line.message), expiresAtClock: clockOf(line.expiresAt, times) };
    const delivery = { sequence, message, qos, retain, identifiers, group, packetId, released: false };
    this.#add({ kind: 'queued', key, incarnation, delivery });
    if (released) this.#add({ kind: 'sent', key, incarnation, sequence, packetId, released });
    this.#bytes += storedCost(message);
    this.#counts.queued++;
  }

  #knownSession(key: string): Known {
    const known = this.#known.get(key);
    if (known === undefined) throw new Error(`session ${key} has to come before what belongs to it`);
    return known;
  }

  #message(said: MessageJson | number): StoredMessage {
    if (typeof said !== 'number') return storedMessage(said, ++this.#lastId, Number.POSITIVE_INFINITY);
    if (this.#shared?.number !== said)
      throw new Error(`message ${said} has to come right before the lines that name it`);
    return this.#shared.message;
  }

  #add(change: Change): void {
    this.#changes.push(change);
  }

  async #commit(): Promise<void> {
    const changes = this.#changes;
    if (changes.length === 0) return;
    this.#changes = [];
    this.#bytes = 0;
    const batch: Batch = { number: ++this.#batch, ...(this.#times as Times), changes };
    await this.#store.commit(batch);
  }
}
