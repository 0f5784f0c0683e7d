/**
 * Records: how each change is written, and what is read back of it.
 *
 * A record is read in two depths: its *facts* are what the catalog needs to know of it and cost no payload; everything else is
 * decoded when it is paged in or loaded. Sessions are named by their incarnation in all records but their own. A message that
 * one record of a batch needs stands inside that record (message id 0 in its facts); one that several need has a record of its
 * own, before them, and is named by its id. Formats are described by the writing functions; what is read must be as written,
 * else RangeError.
 */

import type { QoS } from '@pipit/protocol';
import {
  type Change,
  type StoredDelivery,
  type StoredMessage,
  type StoredSession,
  type StoredSubscription,
  storedCost,
} from '../core/index.ts';
import type { ByteReader, ByteWriter } from './bytes.ts';
import { finishFrame, startFrame } from './frame.ts';

/** Numbers in files: never to be given another meaning. */
export const RecordType = {
  Commit: 1,
  Session: 2,
  SessionEnded: 3,
  Subscribed: 4,
  Unsubscribed: 5,
  Message: 6,
  Queued: 7,
  Sent: 8,
  Settled: 9,
  Received: 10,
  Completed: 11,
  Retained: 12,
  Unretained: 13,
} as const;

/** What ends a batch and makes it count. */
export interface Commit {
  readonly type: typeof RecordType.Commit;
  readonly batch: number;
  readonly wall: number;
  readonly clock: number;
  /** The highest id of a message or incarnation ever used. */
  readonly lastId: number;
  /** The records of the batch: how many, and in how many bytes right before this record. */
  readonly records: number;
  readonly bytes: number;
  /** The number of the segment it was written to: a file that was renamed, or brought from elsewhere, is found out by it. */
  readonly segment: number;
  /** Where the batch before this one ended. What lies between there and the start of this one was never made to last. */
  readonly previousSegment: number;
  readonly previousEnd: number;
}

export type Facts =
  | { readonly type: typeof RecordType.Session; readonly incarnation: number; readonly key: string }
  | { readonly type: typeof RecordType.SessionEnded; readonly incarnation: number }
  | { readonly type: typeof RecordType.Subscribed; readonly incarnation: number; readonly name: string }
  | { readonly type: typeof RecordType.Unsubscribed; readonly incarnation: number; readonly name: string }
  | { readonly type: typeof RecordType.Message; readonly id: number }
  | {
      readonly type: typeof RecordType.Queued;
      readonly incarnation: number;
      readonly sequence: number;
      readonly packetId: number;
      readonly cost: number;
      /** 0: the message stands inside. */
      readonly messageId: number;
    }
  | {
      readonly type: typeof RecordType.Sent;
      readonly incarnation: number;
      readonly sequence: number;
      readonly packetId: number;
      readonly released: boolean;
    }
  | {
      readonly type: typeof RecordType.Settled;
      readonly incarnation: number;
      readonly sequence: number;
      /** Every sequence below is settled too: mends what damage did to older records. */
      readonly floor: number;
    }
  | { readonly type: typeof RecordType.Received; readonly incarnation: number; readonly packetId: number }
  | { readonly type: typeof RecordType.Completed; readonly incarnation: number; readonly packetId: number }
  | RetainedFacts
  | { readonly type: typeof RecordType.Unretained; readonly topic: string };

export interface RetainedFacts {
  readonly type: typeof RecordType.Retained;
  readonly topic: string;
  /** 0: the message stands inside. */
  readonly messageId: number;
  readonly expiresAtClock: number;
  readonly cost: number;
  readonly id: number;
  readonly principal: string | null;
}

const flagRetain = 4;
const flagExpires = 8;
const flagPublisher = 16;
const flagNoLocal = 4;
const flagAsPublished = 8;
const flagGroup = 16;
const flagIdentifiers = 32;
const flagPrincipal = 1;
const flagWill = 2;
const flagRights = 4;

/** The name of a subscription within its session. */
export function subscriptionName(filter: string, shareName: string | undefined): string {
  return shareName === undefined ? filter : `$share/${shareName}/${filter}`;
}

// ── Writing

export function writeCommit(writer: ByteWriter, commit: Omit<Commit, 'type'>): void {
  const start = startFrame(writer, RecordType.Commit);
  writer.integer(commit.batch);
  writer.number(commit.wall);
  writer.number(commit.clock);
  writer.integer(commit.lastId);
  writer.integer(commit.records);
  writer.integer(commit.bytes);
  writer.integer(commit.segment);
  writer.integer(commit.previousSegment);
  writer.integer(commit.previousEnd);
  finishFrame(writer, start);
}

export function writeSession(writer: ByteWriter, session: StoredSession): Facts {
  const { incarnation, key, clientId, principal, will, rights } = session;
  const start = startFrame(writer, RecordType.Session);
  writer.integer(incarnation);
  writer.text(key);
  writer.text(clientId);
  writer.uint8(
    (principal === null ? 0 : flagPrincipal) | (will === null ? 0 : flagWill) | (rights === undefined ? 0 : flagRights),
  );
  if (principal !== null) writer.text(principal);
  writer.number(session.expirySeconds);
  writer.number(session.closedAtClock);
  if (rights !== undefined) writer.text(rights);
  if (will !== null) {
    writer.number(will.delaySeconds);
    writeMessageFields(writer, will.message);
  }
  finishFrame(writer, start);
  return { type: RecordType.Session, incarnation, key };
}

export function writeSubscribed(writer: ByteWriter, incarnation: number, subscription: StoredSubscription): Facts {
  const { filter, shareName, qos, noLocal, retainAsPublished, identifier } = subscription;
  const start = startFrame(writer, RecordType.Subscribed);
  writer.integer(incarnation);
  writer.text(filter);
  writer.uint8(
    qos |
      (noLocal ? flagNoLocal : 0) |
      (retainAsPublished ? flagAsPublished : 0) |
      (shareName === undefined ? 0 : flagGroup),
  );
  if (shareName !== undefined) writer.text(shareName);
  writer.integer(identifier);
  finishFrame(writer, start);
  return { type: RecordType.Subscribed, incarnation, name: subscriptionName(filter, shareName) };
}

/** A message of its own, for several records that name it. */
export function writeMessage(writer: ByteWriter, message: StoredMessage): Facts {
  const start = startFrame(writer, RecordType.Message);
  writeMessageFields(writer, message);
  finishFrame(writer, start);
  return { type: RecordType.Message, id: message.id };
}

export function writeQueued(
  writer: ByteWriter,
  incarnation: number,
  delivery: StoredDelivery,
  isInline: boolean,
): Facts {
  const { sequence, packetId, message, qos, retain, identifiers, group } = delivery;
  const messageId = isInline ? 0 : message.id;
  const cost = storedCost(message);
  const expires = !isInline && Number.isFinite(message.expiresAtClock);
  const start = startFrame(writer, RecordType.Queued);
  writer.integer(incarnation);
  writer.integer(sequence);
  writer.integer(packetId);
  writer.integer(cost);
  writer.integer(messageId);
  writer.uint8(
    qos |
      (retain ? flagRetain : 0) |
      (expires ? flagExpires : 0) |
      (group === null ? 0 : flagGroup) |
      (identifiers === null ? 0 : flagIdentifiers),
  );
  if (expires) writer.number(message.expiresAtClock);
  if (group !== null) writer.text(group);
  if (identifiers !== null) {
    writer.integer(identifiers.length);
    for (const identifier of identifiers) writer.integer(identifier);
  }
  if (isInline) writeMessageFields(writer, message);
  finishFrame(writer, start);
  return { type: RecordType.Queued, incarnation, sequence, packetId, cost, messageId };
}

/** Whose it is stands last: in older logs nothing does, and then it is nobody's. */
export function writeRetained(writer: ByteWriter, change: RetainedChange, isInline: boolean): Facts {
  const { topic, message, expiresAtClock, principal } = change;
  const { id } = message;
  const messageId = isInline ? 0 : id;
  const cost = storedCost(message);
  const start = startFrame(writer, RecordType.Retained);
  writer.text(topic);
  writer.integer(messageId);
  writer.number(expiresAtClock);
  writer.integer(cost);
  if (isInline) writeMessageFields(writer, message);
  if (principal !== null) writer.text(principal);
  finishFrame(writer, start);
  return { type: RecordType.Retained, topic, messageId, expiresAtClock, cost, id, principal };
}

type RetainedChange = Extract<Change, { kind: 'retained' }>;

/** Changes that say no more than their facts. */
type ShortFacts = Exclude<Facts, { type: 2 | 4 | 6 | 7 | 12 }>;

export function writeShort(writer: ByteWriter, facts: ShortFacts): Facts {
  const start = startFrame(writer, facts.type);
  if (facts.type === RecordType.Unretained) writer.text(facts.topic);
  else writer.integer(facts.incarnation);
  if (facts.type === RecordType.Unsubscribed) writer.text(facts.name);
  else if (facts.type === RecordType.Sent || facts.type === RecordType.Settled) writer.integer(facts.sequence);
  if (facts.type === RecordType.Settled) writer.integer(facts.floor);
  else if (facts.type === RecordType.Sent) writer.integer(facts.packetId * 2 + (facts.released ? 1 : 0));
  else if (facts.type === RecordType.Received || facts.type === RecordType.Completed) writer.integer(facts.packetId);
  finishFrame(writer, start);
  return facts;
}

function writeMessageFields(writer: ByteWriter, message: StoredMessage): void {
  const { publisher, expiresAtClock } = message;
  const expires = Number.isFinite(expiresAtClock);
  writer.integer(message.id);
  writer.uint8(
    message.qos |
      (message.retain ? flagRetain : 0) |
      (expires ? flagExpires : 0) |
      (publisher === null ? 0 : flagPublisher),
  );
  writer.text(message.topic);
  if (expires) writer.number(expiresAtClock);
  if (publisher !== null) writer.text(publisher);
  writer.integer(message.expiryAt + 1);
  writer.run(message.properties);
  writer.run(message.payload);
}

// ── Reading

export function readCommit(reader: ByteReader): Commit {
  return {
    type: RecordType.Commit,
    batch: reader.integer(),
    wall: reader.number(),
    clock: reader.number(),
    lastId: reader.integer(),
    records: reader.integer(),
    bytes: reader.integer(),
    segment: reader.integer(),
    previousSegment: reader.integer(),
    previousEnd: reader.integer(),
  };
}

/** What the catalog needs of a record of this type, whose body the reader has entered. Not for commits. */
export function readFacts(type: number, reader: ByteReader): Facts {
  switch (type) {
    case RecordType.Session:
      return { type, incarnation: reader.integer(), key: reader.text() };
    case RecordType.SessionEnded:
      return { type, incarnation: reader.integer() };
    case RecordType.Subscribed: {
      const incarnation = reader.integer();
      const { filter, shareName } = readSubscription(reader);
      return { type, incarnation, name: subscriptionName(filter, shareName) };
    }
    case RecordType.Unsubscribed:
      return { type, incarnation: reader.integer(), name: reader.text() };
    case RecordType.Message:
      return { type, id: reader.integer() };
    case RecordType.Queued:
      return readQueuedFacts(reader);
    case RecordType.Sent: {
      const incarnation = reader.integer();
      const sequence = reader.integer();
      const state = reader.integer();
      return { type, incarnation, sequence, packetId: Math.floor(state / 2), released: state % 2 === 1 };
    }
    case RecordType.Settled:
      return { type, incarnation: reader.integer(), sequence: reader.integer(), floor: reader.integer() };
    case RecordType.Received:
    case RecordType.Completed:
      return { type, incarnation: reader.integer(), packetId: reader.integer() };
    case RecordType.Retained:
      return readRetainedFacts(reader);
    case RecordType.Unretained:
      return { type, topic: reader.text() };
    default:
      throw new RangeError(`records of type ${type} are unknown to this version`);
  }
}

type QueuedFacts = Extract<Facts, { type: typeof RecordType.Queued }>;

function readQueuedFacts(reader: ByteReader): QueuedFacts {
  const type = RecordType.Queued;
  const incarnation = reader.integer();
  const sequence = reader.integer();
  const packetId = reader.integer();
  return { type, incarnation, sequence, packetId, cost: reader.integer(), messageId: reader.integer() };
}

export function readSession(reader: ByteReader): StoredSession {
  const incarnation = reader.integer();
  const key = reader.text();
  const clientId = reader.text();
  const flags = reader.uint8();
  const principal = (flags & flagPrincipal) === 0 ? null : reader.text();
  const expirySeconds = reader.number();
  const closedAtClock = reader.number();
  const rights = (flags & flagRights) === 0 ? {} : { rights: reader.text() };
  const will = (flags & flagWill) === 0 ? null : { delaySeconds: reader.number(), message: readMessage(reader) };
  return { key, clientId, principal, incarnation, expirySeconds, ...rights, will, closedAtClock };
}

/** Behind the incarnation. */
export function readSubscription(reader: ByteReader): StoredSubscription {
  const filter = reader.text();
  const flags = reader.uint8();
  const shareName = (flags & flagGroup) === 0 ? undefined : reader.text();
  return {
    filter,
    shareName,
    qos: (flags & 3) as QoS,
    noLocal: (flags & flagNoLocal) !== 0,
    retainAsPublished: (flags & flagAsPublished) !== 0,
    identifier: reader.integer(),
  };
}

/**
 * A delivery without the state it is in; its message, or the id of the record that holds it. Its lifetime is its own: earlier
 * versions wrote that of a retained message into the one they share.
 */
export interface QueuedRecord {
  readonly expiresAtClock: number;
  readonly delivery: Omit<StoredDelivery, 'message' | 'packetId' | 'released'>;
  readonly message: StoredMessage | number;
}

export function readQueued(reader: ByteReader): QueuedRecord {
  const { sequence, messageId } = readQueuedFacts(reader);
  const flags = reader.uint8();
  const expiresAtClock = (flags & flagExpires) === 0 ? Number.POSITIVE_INFINITY : reader.number();
  const group = (flags & flagGroup) === 0 ? null : reader.text();
  const identifiers =
    (flags & flagIdentifiers) === 0 ? null : Array.from({ length: reader.integer() }, () => reader.integer());
  const delivery = { sequence, qos: (flags & 3) as QoS, retain: (flags & flagRetain) !== 0, identifiers, group };
  if (messageId !== 0) return { delivery, message: messageId, expiresAtClock };
  const message = readMessage(reader);
  return { delivery, message, expiresAtClock: message.expiresAtClock };
}

function readRetainedFacts(reader: ByteReader): RetainedFacts {
  const type = RecordType.Retained;
  const topic = reader.text();
  const messageId = reader.integer();
  const expiresAtClock = reader.number();
  const cost = reader.integer();
  const id = messageId === 0 ? skipMessage(reader) : messageId;
  const principal = reader.isAtEnd ? null : reader.text();
  return { type, topic, messageId, expiresAtClock, cost, id, principal };
}

export interface RetainedRecord {
  readonly topic: string;
  readonly expiresAtClock: number;
  readonly message: StoredMessage | number;
}

export function readRetained(reader: ByteReader): RetainedRecord {
  const topic = reader.text();
  const messageId = reader.integer();
  const expiresAtClock = reader.number();
  reader.integer(); // The cost.
  return { topic, expiresAtClock, message: messageId === 0 ? readMessage(reader) : messageId };
}

/** Passes over the fields of a message; its id. */
function skipMessage(reader: ByteReader): number {
  const id = reader.integer();
  const flags = reader.uint8();
  reader.skipText();
  if ((flags & flagExpires) !== 0) reader.number();
  if ((flags & flagPublisher) !== 0) reader.skipText();
  reader.integer();
  reader.run();
  reader.run();
  return id;
}

/** The message with the lifetime it has here. */
export function lastingUntil(message: StoredMessage, expiresAtClock: number): StoredMessage {
  return message.expiresAtClock === expiresAtClock ? message : { ...message, expiresAtClock };
}

export function readMessage(reader: ByteReader): StoredMessage {
  const id = reader.integer();
  const flags = reader.uint8();
  return {
    id,
    topic: reader.text(),
    qos: (flags & 3) as QoS,
    retain: (flags & flagRetain) !== 0,
    expiresAtClock: (flags & flagExpires) === 0 ? Number.POSITIVE_INFINITY : reader.number(),
    publisher: (flags & flagPublisher) === 0 ? null : reader.text(),
    expiryAt: reader.integer() - 1,
    properties: reader.run(),
    payload: reader.run(),
  };
}
