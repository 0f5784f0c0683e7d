/**
 * What lasts and has changed: the batch being filled, the one being committed, and what waits for them.
 *
 * At most one commit is in flight; what later turns change is the next batch. A failed commit is tried again with everything
 * that came since, never undone; what it holds stays held. Exists only when the broker has a store.
 *
 * What was settled before its batch is sealed is never written: a message all receivers acknowledged in the meantime costs no
 * disk at all.
 */

import type { Connection } from './connection.ts';
import type { Delivery } from './message.ts';
import type { Batch, Change, StoredDelivery } from './ports.ts';
import { recordedRights } from './rights.ts';
import type { Session } from './session.ts';

/** A change as noted; what the store gets is made from it when the batch is sealed, with the values of then. */
type Note =
  | { readonly kind: 'change'; readonly change: Change }
  | { readonly kind: 'session'; readonly session: Session }
  | { readonly kind: 'queued'; readonly session: Session; readonly delivery: Delivery };

/** An in-process publish whose promise waits for its commit. */
export interface HeldPublish {
  readonly token: number;
  readonly reasonCode: number;
}

/** Everything that waits for one batch. */
class Waiters {
  connections: Connection[] = [];
  publishes: HeldPublish[] = [];

  /** One by one: there may be more of them than a call takes arguments. */
  add({ connections, publishes }: Waiters): void {
    for (const connection of connections) this.connections.push(connection);
    for (const publish of publishes) this.publishes.push(publish);
  }
}

/** What a note costs beside the message it holds, roughly. */
const noteBytes = 200;
const retryFirstMs = 100;
const retryMaxMs = 5_000;

export class Journal {
  private notes: Note[] = [];
  private retrying: Change[] | null = null;
  private open = new Waiters();
  private sealed = new Waiters();
  /** Sessions whose tail was asked for before it was committed. */
  private pagers: Session[] = [];
  /** Sessions whose end is not on the disk yet: by key, the first batch that may hold it. */
  private readonly ending = new Map<string, number>();
  private noted = 0;
  /** What the notes keep in memory, roughly. */
  private openBytes = 0;
  /** Connections that are not read until the open batch is sealed. */
  private paused = new Set<Connection>();
  private lastMessageId = 0;
  /** The batch now being filled. */
  number = 1;
  /** The newest batch that lasts. */
  committedNumber = 0;
  /** The batch being committed; null when none is. */
  inFlight: Batch | null = null;
  /** Commits that failed since the last one that did not. */
  failures = 0;
  /** The store said so. */
  isFull = false;
  /** Bytes of all that was ever noted, roughly; how far they are sealed, how far they last, and how far they may go. */
  private addedBytes = 0;
  private sealedBytes = 0;
  private lastingBytes = 0;
  private addedBytesMax = Number.POSITIVE_INFINITY;
  /** Do not seal before this: the back-off after a failure. */
  retryAt = 0;
  /** When the oldest of what is held began to wait. */
  heldSince = Number.POSITIVE_INFINITY;

  /** Ids of messages go on above what an earlier run gave. */
  startAfter(lastId: number): void {
    this.lastMessageId = lastId;
  }

  /** Rises with every change: compare before and after to know whether something must wait. */
  get mark(): number {
    return this.noted;
  }

  get isFailing(): boolean {
    return this.failures > 0;
  }

  /** Whether a message of so many bytes may be let in: it would last, and what came before it leaves room. */
  takes(bytes: number): boolean {
    return this.failures === 0 && this.addedBytes + bytes <= this.addedBytesMax;
  }

  /** The store has room for so many bytes beyond what has lasted until now. */
  giveRoom(bytes: number): void {
    this.isFull = bytes <= 0;
    this.addedBytesMax = this.lastingBytes + bytes;
  }

  get isCommitting(): boolean {
    return this.inFlight !== null;
  }

  /** Something waits to be sealed. */
  get hasOpen(): boolean {
    const { connections, publishes } = this.open;
    return this.notes.length > 0 || this.retrying !== null || connections.length > 0 || publishes.length > 0;
  }

  get isIdle(): boolean {
    return !this.isCommitting && !this.hasOpen;
  }

  record(change: Change): void {
    this.noted++;
    const bytes = noteBytes + (change.kind === 'retained' ? change.message.payload.length : 0);
    this.openBytes += bytes;
    this.addedBytes += bytes;
    this.notes.push({ kind: 'change', change });
  }

  /** The session's own record changed: written once a batch, with its state at sealing. */
  touch(session: Session): void {
    this.noted++;
    if (session.isTouched) return;
    session.isTouched = true;
    const bytes = noteBytes + (session.will?.message.cost ?? 0);
    this.openBytes += bytes;
    this.addedBytes += bytes;
    this.notes.push({ kind: 'session', session });
  }

  /** Nothing of the session is to be found after a restart. */
  ended(session: Session): void {
    if (!session.isRecorded) return;
    session.isRecorded = false;
    this.ending.set(session.key, this.number);
    this.record({ kind: 'session-ended', key: session.key, incarnation: session.incarnation });
  }

  /** The session has another key from now on. */
  renamed(session: Session, oldKey: string): void {
    if (!session.isRecorded) return;
    this.ending.set(oldKey, this.number);
    this.touch(session);
  }

  /** Whether a power cut now would bring back an ended session of this key. */
  isEnding(key: string): boolean {
    return this.ending.has(key);
  }

  queued(session: Session, delivery: Delivery): void {
    this.noted++;
    const { message } = delivery;
    // However many queues it is in, its bytes are written once.
    this.addedBytes += noteBytes + (message.id === 0 ? message.cost : 0);
    if (message.id === 0) message.id = ++this.lastMessageId;
    this.openBytes += noteBytes + message.cost;
    this.notes.push({ kind: 'queued', session, delivery });
  }

  /** It was sent under its packet id, or moved on to PUBREL. */
  sent(session: Session, delivery: Delivery, released: boolean): void {
    if (!delivery.isRecorded && !released) return;
    const { key, incarnation } = session;
    const { sequence, packetId } = delivery;
    this.record({ kind: 'sent', key, incarnation, sequence, packetId, released });
  }

  settled(session: Session, delivery: Delivery): void {
    delivery.isSettled = true;
    if (!delivery.isRecorded) return;
    this.record({ kind: 'settled', key: session.key, incarnation: session.incarnation, sequence: delivery.sequence });
  }

  /** Ids for messages that are recorded otherwise (retained, wills). */
  nextMessageId(): number {
    return ++this.lastMessageId;
  }

  hold(connection: Connection, now: number): void {
    this.open.connections.push(connection);
    this.heldSince = Math.min(this.heldSince, now);
  }

  holdPublish(publish: HeldPublish): void {
    this.open.publishes.push(publish);
  }

  /** Connections that were closed wait for nothing. */
  forgetClosed(): void {
    const isHolding = (connection: Connection) => connection.isHolding;
    this.sealed.connections = this.sealed.connections.filter(isHolding);
    this.open.connections = this.open.connections.filter(isHolding);
    this.heldSince = Number.POSITIVE_INFINITY;
    for (const connection of this.holders()) this.heldSince = Math.min(this.heldSince, connection.heldSince);
  }

  /** The disk does not keep up: the open batch has grown large behind the one that is being committed, or failed. */
  isBehind(bytesMax: number): boolean {
    return this.openBytes > bytesMax && (this.isCommitting || this.isFailing);
  }

  /** Whoever adds to a batch that is too large waits until it is sealed, also when nothing it sent is to be acknowledged. */
  pause(connection: Connection): void {
    this.paused.add(connection);
  }

  isPausing(connection: Connection): boolean {
    return this.paused.has(connection);
  }

  takePaused(): Iterable<Connection> {
    const { paused } = this;
    if (paused.size > 0) this.paused = new Set();
    return paused;
  }

  awaitCommit(session: Session): void {
    this.pagers.push(session);
  }

  takePagers(): Session[] {
    const pagers = this.pagers;
    this.pagers = [];
    return pagers;
  }

  /** Who waits for the batch in flight, or will wait for the open one. */
  *holders(): Generator<Connection> {
    yield* this.sealed.connections;
    yield* this.open.connections;
  }

  /**
   * Closes the open batch and hands it out for its commit; null when nothing is to be written, or one is in flight. When what
   * waits has nothing to wait for any more, `released` is called for it at once.
   */
  seal(now: number, wall: number, recordOffsetMs: number, released: (waiters: Released) => void): Batch | null {
    if (this.isCommitting || now < this.retryAt) return null;
    const changes = this.retrying ?? [];
    for (const note of this.notes) {
      const change = this.write(note, recordOffsetMs);
      if (change !== null) changes.push(change);
    }
    this.notes = [];
    this.openBytes = 0;
    this.sealedBytes = this.addedBytes;
    this.retrying = null;
    const waiters = this.open;
    this.open = new Waiters();
    this.sealed.add(waiters);
    for (const connection of waiters.connections) connection.sealHeld();
    if (changes.length === 0) {
      this.committedNumber = this.number - 1;
      this.release(released);
      return null;
    }
    this.inFlight = { number: this.number++, wall, clock: now + recordOffsetMs, changes };
    return this.inFlight;
  }

  /** The commit of batch `number` ended. */
  committed(batch: Batch, error: string | null, now: number, released: (waiters: Released) => void): void {
    this.inFlight = null;
    if (error === null) {
      this.committedNumber = batch.number;
      this.lastingBytes = this.sealedBytes;
      for (const [key, number] of this.ending) if (number <= batch.number) this.ending.delete(key);
      this.failures = 0;
      this.retryAt = 0;
      this.release(released);
      return;
    }
    this.retrying = [...batch.changes];
    this.failures++;
    this.retryAt = now + Math.min(retryMaxMs, retryFirstMs * 2 ** (this.failures - 1));
  }

  private release(released: (waiters: Released) => void): void {
    const waiters = this.sealed;
    this.sealed = new Waiters();
    this.heldSince = Number.POSITIVE_INFINITY;
    for (const connection of this.open.connections) this.heldSince = Math.min(this.heldSince, connection.heldSince);
    if (waiters.connections.length > 0 || waiters.publishes.length > 0) released(waiters);
  }

  private write(note: Note, recordOffsetMs: number): Change | null {
    switch (note.kind) {
      case 'change':
        return note.change;
      case 'session':
        return this.writeSession(note.session, recordOffsetMs);
      case 'queued': {
        const { session, delivery } = note;
        if (delivery.isSettled || session.isEnded) return null;
        delivery.isRecorded = true;
        const stored = toStored(delivery, recordOffsetMs);
        return { kind: 'queued', key: session.key, incarnation: session.incarnation, delivery: stored };
      }
    }
  }

  private writeSession(session: Session, recordOffsetMs: number): Change | null {
    session.isTouched = false;
    if (session.isEnded) return null;
    session.isRecorded = true;
    const { key, clientId, principal, incarnation, expirySeconds, will } = session;
    if (will !== null && will.message.id === 0) will.message.id = this.nextMessageId();
    const rights = recordedRights(session.permissions);
    return {
      kind: 'session',
      session: {
        key,
        clientId,
        principal,
        incarnation,
        expirySeconds,
        ...(rights !== undefined && { rights }),
        will:
          will === null ? null : { message: will.message.toStored(recordOffsetMs), delaySeconds: will.delaySeconds },
        closedAtClock: session.connection === null ? session.closedAt + recordOffsetMs : Number.POSITIVE_INFINITY,
      },
    };
  }
}

export interface Released {
  readonly connections: readonly Connection[];
  readonly publishes: readonly HeldPublish[];
}

function toStored(delivery: Delivery, recordOffsetMs: number): StoredDelivery {
  return {
    sequence: delivery.sequence,
    message: delivery.message.toStored(recordOffsetMs),
    qos: delivery.qos,
    retain: delivery.retain,
    identifiers: delivery.identifiers,
    group: delivery.group?.key ?? null,
    packetId: delivery.packetId,
    released: false,
  };
}
