/**
 * What the log says, by where it says it: every record that still means something has one place here. Made by applying the facts
 * of records in their order, the same way while running and when they are read back.
 *
 * Applying is idempotent and the last one wins, because failed batches are written again and cleaning moves records behind later
 * ones. What may come out of order after cleaning: a session's record behind what belongs to it, a queue entry behind its state,
 * and a message behind what names it. A record that ends another never comes before it: cleaning starts with the oldest segment
 * and moves only what lives.
 */

import { Entries, type Entry } from './entries.ts';
import { type Facts, RecordType, type RetainedFacts } from './record.ts';
import { type RetainedPlace, RetainedPlaces } from './retained-places.ts';
import type { Segments } from './segments.ts';

export interface Place {
  readonly segment: number;
  readonly offset: number;
  readonly length: number;
}

/** A delivery that was sent. */
export interface SentState {
  readonly packetId: number;
  readonly released: boolean;
  /** Null when the queue entry's own record says it. */
  readonly place: Place | null;
}

interface SharedMessage {
  /** Null while only records that name it were read: it was moved behind them. */
  place: Place | null;
  /** Queue entries and retained topics that name it. */
  references: number;
}

/** What is lost although its own record was not: what it belongs to was, or what it names. */
export type Loss =
  /** Its key is lost with its record. */
  | { readonly kind: 'session'; readonly filters: readonly string[]; readonly messages: number }
  | { readonly kind: 'queued'; readonly session: string; readonly sequence: number }
  | { readonly kind: 'retained'; readonly topic: string };

/** Losses by name, at most: all of them are counted. */
const namedLossesMax = 1_000;

export class Losses {
  readonly named: Loss[] = [];
  sessions = 0;
  /** Queued and retained ones. */
  messages = 0;

  add(loss: Loss): void {
    if (loss.kind === 'session') this.sessions++;
    this.messages += loss.kind === 'session' ? loss.messages : 1;
    if (this.named.length < namedLossesMax) this.named.push(loss);
  }
}

export class CatalogSession {
  readonly incarnation: number;
  /** Null while its own record was not seen. */
  key: string | null = null;
  place: Place | null = null;
  readonly entries = new Entries();
  /** The highest sequence named by any record. */
  lastSequence = 0;
  subscriptions: Map<string, Place> | null = null;
  sent: Map<number, SentState> | null = null;
  received: Map<number, Place> | null = null;

  constructor(incarnation: number) {
    this.incarnation = incarnation;
  }
}

export class Catalog {
  readonly sessions = new Map<number, CatalogSession>();
  readonly retained = new RetainedPlaces();
  private readonly sessionsByKey = new Map<string, CatalogSession>();
  private readonly messages = new Map<number, SharedMessage>();
  /** Messages that nobody named at some time of this batch. */
  private unreferenced: number[] = [];
  private readonly segments: Segments;
  lastId = 0;
  /** Until all records of earlier runs are applied. */
  private isRecovering = true;

  constructor(segments: Segments) {
    this.segments = segments;
  }

  sessionOf(key: string): CatalogSession | undefined {
    return this.sessionsByKey.get(key);
  }

  messagePlace(id: number): Place | null {
    return this.messages.get(id)?.place ?? null;
  }

  messageReferences(id: number): number {
    return this.messages.get(id)?.references ?? 0;
  }

  /** How much there is. */
  counts(): { sessions: number; queued: number; retained: number } {
    let queued = 0;
    for (const { entries } of this.sessions.values()) queued += entries.count;
    return { sessions: this.sessions.size, queued, retained: this.retained.count };
  }

  /** Takes in one record that stands at this place. */
  apply(facts: Facts, segment: number, offset: number, length: number): void {
    const place = { segment, offset, length };
    switch (facts.type) {
      case RecordType.Session:
        return this.putSession(facts.incarnation, facts.key, place);
      case RecordType.SessionEnded: {
        const ended = this.sessions.get(facts.incarnation);
        if (ended !== undefined) this.forget(ended);
        return;
      }
      case RecordType.Message:
        return this.putMessage(facts.id, place);
      case RecordType.Retained:
        return this.retain(facts, place);
      case RecordType.Unretained:
        return this.unretain(facts.topic);
      default:
        return this.applyToSession(this.sessionFor(facts.incarnation), facts, place);
    }
  }

  /**
   * A batch ends: a message that one session gave up may have gone to another within it, and only now goes for good. While
   * reading back messages stay until `settle`: what names them may have been moved behind.
   */
  endBatch(): void {
    for (const id of this.unreferenced) if (this.messages.get(id)?.references === 0) this.dropMessage(id);
    this.unreferenced = [];
  }

  /** Whether the record at this place is what the catalog points at. */
  isLive(facts: Facts, segment: number, offset: number): boolean {
    const place = this.placeOf(facts);
    return place !== null && place.segment === segment && place.offset === offset;
  }

  /** After the last record was read: what is incomplete goes, and is lost. */
  settle(): Losses {
    this.isRecovering = false;
    const losses = new Losses();
    for (const session of [...this.sessions.values()]) {
      for (const [sequence, { place }] of session.sent ?? []) {
        if (session.entries.get(sequence) !== null) continue;
        this.unmark(place);
        session.sent?.delete(sequence);
      }
      if (session.place !== null) continue;
      const { entries, subscriptions } = session;
      // A few left-overs of a session that ended are no loss.
      if (entries.count > 0 || subscriptions !== null) {
        losses.add({ kind: 'session', filters: [...(subscriptions?.keys() ?? [])], messages: entries.count });
      }
      this.forget(session);
    }
    this.loseMessages(losses);
    for (const [id, { references }] of this.messages) if (references === 0) this.dropMessage(id);
    this.endBatch();
    return losses;
  }

  /** Gives up what names a message that was never found. */
  private loseMessages(losses: Losses): void {
    const missing = new Set([...this.messages].filter(([, { place }]) => place === null).map(([id]) => id));
    if (missing.size === 0) return;
    for (const session of this.sessions.values()) {
      for (const { sequence, messageId } of [...session.entries.above(Number.NEGATIVE_INFINITY)]) {
        if (!missing.has(messageId)) continue;
        this.dequeue(session, sequence);
        losses.add({ kind: 'queued', session: session.key ?? '', sequence });
      }
    }
    for (const [topic, { messageId }] of this.retained) {
      if (!missing.has(messageId)) continue;
      this.unretain(topic);
      losses.add({ kind: 'retained', topic });
    }
  }

  /** Forgets whatever stands in a segment that could not be read. */
  forgetSegment(segment: number): void {
    const isIn = (place: Place | null): boolean => place?.segment === segment;
    for (const session of [...this.sessions.values()]) {
      if (isIn(session.place)) this.forget(session);
      else this.forgetPlacesOf(session, isIn);
    }
    for (const [topic, { messageId, ...place }] of this.retained) {
      if (isIn(place) || isIn(this.messagePlace(messageId))) this.unretain(topic);
    }
    this.endBatch();
  }

  // ── Sessions

  private sessionFor(incarnation: number): CatalogSession {
    let session = this.sessions.get(incarnation);
    if (session === undefined) {
      session = new CatalogSession(incarnation);
      this.sessions.set(incarnation, session);
      if (incarnation > this.lastId) this.lastId = incarnation;
    }
    return session;
  }

  private putSession(incarnation: number, key: string, place: Place): void {
    const known = this.sessionsByKey.get(key);
    // Only damage leaves two of them: the later one is the session.
    if (known !== undefined && known.incarnation > incarnation) return;
    if (known !== undefined && known.incarnation < incarnation) this.forget(known);
    const session = this.sessionFor(incarnation);
    this.mark(place);
    this.unmark(session.place);
    // What is left of an ended session has another key: the old one is free for the next.
    if (session.key !== null && this.sessionsByKey.get(session.key) === session) this.sessionsByKey.delete(session.key);
    session.key = key;
    session.place = place;
    this.sessionsByKey.set(key, session);
  }

  private forget(session: CatalogSession): void {
    this.sessions.delete(session.incarnation);
    if (session.key !== null && this.sessionsByKey.get(session.key) === session) this.sessionsByKey.delete(session.key);
    this.unmark(session.place);
    for (const place of session.subscriptions?.values() ?? []) this.unmark(place);
    for (const place of session.received?.values() ?? []) this.unmark(place);
    for (const { place } of session.sent?.values() ?? []) this.unmark(place);
    for (const entry of session.entries.above(Number.NEGATIVE_INFINITY)) {
      this.segments.mark(entry.segment, -entry.length);
      if (entry.messageId !== 0) this.dereference(entry.messageId);
    }
  }

  private applyToSession(
    session: CatalogSession,
    facts: Extract<Facts, { type: 4 | 5 | 7 | 8 | 9 | 10 | 11 }>,
    place: Place,
  ): void {
    switch (facts.type) {
      case RecordType.Queued:
        return this.queue(session, facts, place);
      case RecordType.Sent:
        return this.sent(session, facts, place);
      case RecordType.Settled:
        session.lastSequence = Math.max(session.lastSequence, facts.sequence, facts.floor - 1);
        this.dequeue(session, facts.sequence);
        while (session.entries.first < facts.floor) this.dequeue(session, session.entries.first);
        return;
      case RecordType.Subscribed:
        session.subscriptions ??= new Map();
        return this.putPlace(session.subscriptions, facts.name, place);
      case RecordType.Unsubscribed:
        if (session.subscriptions !== null) this.deletePlace(session.subscriptions, facts.name);
        return;
      case RecordType.Received:
        session.received ??= new Map();
        return this.putPlace(session.received, facts.packetId, place);
      case RecordType.Completed:
        if (session.received !== null) this.deletePlace(session.received, facts.packetId);
    }
  }

  private forgetPlacesOf(session: CatalogSession, isIn: (place: Place | null) => boolean): void {
    for (const [name, place] of session.subscriptions ?? []) {
      if (isIn(place)) this.deletePlace(session.subscriptions as Map<string, Place>, name);
    }
    for (const [packetId, place] of session.received ?? []) {
      if (isIn(place)) this.deletePlace(session.received as Map<number, Place>, packetId);
    }
    for (const entry of [...session.entries.above(Number.NEGATIVE_INFINITY)]) {
      const { sequence, messageId } = entry;
      const isGone = isIn(entry) || isIn(session.sent?.get(sequence)?.place ?? null);
      if (isGone || isIn(this.messagePlace(messageId))) this.dequeue(session, sequence);
    }
  }

  // ── Queues and messages

  private queue(
    session: CatalogSession,
    { sequence, packetId, cost, messageId }: Extract<Facts, { type: typeof RecordType.Queued }>,
    place: Place,
  ): void {
    if (sequence > session.lastSequence) session.lastSequence = sequence;
    this.reference(messageId);
    const old = session.entries.get(sequence);
    session.entries.put({
      sequence,
      segment: place.segment,
      offset: place.offset,
      length: place.length,
      cost,
      messageId,
    });
    this.mark(place);
    if (old !== null) this.dropEntry(old);
    if (packetId !== 0 && session.sent?.has(sequence) !== true) {
      session.sent ??= new Map();
      session.sent.set(sequence, { packetId, released: false, place: null });
    }
  }

  private sent(
    session: CatalogSession,
    { sequence, packetId, released }: Extract<Facts, { type: typeof RecordType.Sent }>,
    place: Place,
  ): void {
    session.lastSequence = Math.max(session.lastSequence, sequence);
    // When reading back, its entry may come later: it was moved.
    if (!this.isRecovering && session.entries.get(sequence) === null) return;
    this.mark(place);
    this.unmark(session.sent?.get(sequence)?.place ?? null);
    session.sent ??= new Map();
    session.sent.set(sequence, { packetId, released, place });
  }

  private dequeue(session: CatalogSession, sequence: number): void {
    const entry = session.entries.get(sequence);
    if (entry !== null) {
      session.entries.delete(sequence);
      this.dropEntry(entry);
    }
    const sent = session.sent?.get(sequence);
    if (sent === undefined) return;
    this.unmark(sent.place);
    session.sent?.delete(sequence);
  }

  private dropEntry(entry: Entry): void {
    this.segments.mark(entry.segment, -entry.length);
    if (entry.messageId !== 0) this.dereference(entry.messageId);
  }

  private putMessage(id: number, place: Place): void {
    if (id > this.lastId) this.lastId = id;
    this.mark(place);
    const known = this.messages.get(id);
    if (known === undefined) this.messages.set(id, { place, references: 0 });
    else {
      this.unmark(known.place);
      known.place = place;
    }
  }

  private reference(id: number): void {
    if (id === 0) return;
    const message = this.messages.get(id);
    if (message === undefined) this.messages.set(id, { place: null, references: 1 });
    else message.references++;
  }

  private dereference(id: number): void {
    const message = this.messages.get(id);
    if (message !== undefined && --message.references === 0 && !this.isRecovering) this.unreferenced.push(id);
  }

  private dropMessage(id: number): void {
    this.unmark(this.messages.get(id)?.place ?? null);
    this.messages.delete(id);
  }

  // ── Retained messages

  private retain(facts: RetainedFacts, place: Place): void {
    this.reference(facts.messageId);
    this.mark(place);
    const old = this.retained.set(facts, place);
    if (old !== null) this.dropRetained(old);
    if (facts.id > this.lastId) this.lastId = facts.id;
  }

  private unretain(topic: string): void {
    const old = this.retained.get(topic);
    if (old === null) return;
    this.retained.delete(topic);
    this.dropRetained(old);
  }

  private dropRetained(old: RetainedPlace): void {
    this.unmark(old);
    if (old.messageId !== 0) this.dereference(old.messageId);
  }

  // ── Places

  private placeOf(facts: Facts): Place | null {
    switch (facts.type) {
      case RecordType.Session:
        return this.sessions.get(facts.incarnation)?.place ?? null;
      case RecordType.Message:
        return this.messagePlace(facts.id);
      case RecordType.Retained:
        return this.retained.get(facts.topic);
      case RecordType.Queued:
        return this.sessions.get(facts.incarnation)?.entries.get(facts.sequence) ?? null;
      case RecordType.Sent:
        return this.sessions.get(facts.incarnation)?.sent?.get(facts.sequence)?.place ?? null;
      case RecordType.Subscribed:
        return this.sessions.get(facts.incarnation)?.subscriptions?.get(facts.name) ?? null;
      case RecordType.Received:
        return this.sessions.get(facts.incarnation)?.received?.get(facts.packetId) ?? null;
      default:
        return null;
    }
  }

  private putPlace<Key>(places: Map<Key, Place>, key: Key, place: Place): void {
    this.mark(place);
    this.unmark(places.get(key) ?? null);
    places.set(key, place);
  }

  private deletePlace<Key>(places: Map<Key, Place>, key: Key): void {
    this.unmark(places.get(key) ?? null);
    places.delete(key);
  }

  private mark(place: Place): void {
    this.segments.mark(place.segment, place.length);
  }

  private unmark(place: Place | null): void {
    if (place !== null) this.segments.mark(place.segment, -place.length);
  }
}
