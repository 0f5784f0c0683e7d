/**
 * The message being routed, and the bytes it becomes.
 *
 * A PUBLISH is encoded at most once per form (3.x or 5.0, with or without packet id), and the form equal to the input is the
 * input's own bytes: each recipient gets a copy with its first byte and packet id patched in. Only what differs for one
 * recipient (subscription identifiers, an alias, a counted-down expiry, mapped names) is encoded for it alone (`writeMessage`).
 *
 * There is one publication, reused: it is valid for one routing and borrows the input's bytes. Whoever keeps the message
 * takes `keep()`, which is one copy for all.
 */

import { copyBytes, noBytes, noView, type PublishFrame, type QoS, viewOf } from '@pipit/protocol';
import type { Connection } from './connection.ts';
import type { DropReason } from './events.ts';
import { Message } from './message.ts';
import { Slab } from './slab.ts';
import type { State } from './state.ts';
import type { Topic, TopicTable } from './topic-table.ts';

/** Payloads from this size travel by reference: one copy for all readers, however slow they are. */
const referenceBytesMin = 32 * 1024;

/** Messages in flight up to this size share blocks of that one: memory of its own costs each as much as 300 bytes, and a `malloc`. */
const sharedBytesMax = 256;
const blockBytes = 1024;

/** What is kept of the buffer that forms are encoded in, from one message to the next. */
const scratchBytesMax = 1024 * 1024;

const publishType = 3;
const aliasIdentifier = 0x23;
const subscriptionIdentifier = 0x0b;

/** The bytes of a form: up to the payload's end, or to its start when the payload goes by reference. */
class Form {
  bytes: Uint8Array = noBytes;
  view: DataView = noView;
  start = 0;
  length = 0;
  /** Offset of the packet id from the start. */
  packetIdAt = 0;
}

export class Publication {
  message: Message;
  /** The size of the packet in each form, and its bytes. 0: version 3.x, 1: 3.x with packet id, 2: 5.0, 3: 5.0 with packet id. */
  private readonly forms: readonly Form[] = [new Form(), new Form(), new Form(), new Form()];
  private made = 0;
  private kept: Message | null = null;
  private inFlight: Message | null = null;
  /** Where the next message in flight goes, and from where on there is room. */
  private block = new Slab(noBytes, noView);
  private now = 0;
  private readonly borrowed: Message;
  private scratch = new Slab(noBytes, noView);

  constructor(topics: TopicTable) {
    this.borrowed = new Message(topics.internName('-') as Topic);
    this.message = this.borrowed;
  }

  /** Takes a PUBLISH as it came in on a connection, for `topic` as the broker knows it. */
  fromFrame(frame: PublishFrame, topic: Topic, connection: Connection, now: number): void {
    const message = this.borrowed;
    message.topic = topic;
    message.qos = frame.qos;
    message.retain = frame.retain;
    message.bytes = frame.bytes;
    message.view = frame.view;
    message.propertiesStart = frame.propertiesStart;
    message.propertiesEnd = frame.propertiesEnd;
    message.payloadStart = frame.payloadStart;
    message.payloadEnd = frame.end;
    message.expiryAt = frame.messageExpiryAt;
    message.expiresAt =
      frame.messageExpiryInterval < 0 ? Number.POSITIVE_INFINITY : now + frame.messageExpiryInterval * 1000;
    message.publisher = connection.clientId;
    message.id = 0;
    this.begin(message, null, now);
    if (frame.topicAlias > 0) this.cutAlias(frame.topicAliasAt);
    else if (connection.mapping === null) this.useInput(frame, connection.version === 5);
  }

  /** Takes a message that is owned already: a will, an in-process publish, one that changes its shared group member. */
  fromMessage(message: Message, now: number): void {
    this.begin(message, message, now);
  }

  private begin(message: Message, kept: Message | null, now: number): void {
    this.message = message;
    this.kept = kept;
    this.inFlight = null;
    this.now = now;
    this.made = 0;
    if (this.scratch.bytes.length > scratchBytesMax) this.scratch = new Slab(noBytes, noView);
    this.scratch.length = 0;
  }

  /** The message for keeping: one copy, however many ask. */
  keep(): Message {
    if (this.kept === null) {
      this.kept = (this.inFlight ?? this.message).keep();
      this.message = this.kept;
    }
    return this.kept;
  }

  /**
   * The message for keeping while it is in flight: a small one lies in one block with others, which lasts as long as any of
   * them. What may stay for long has to `keep`.
   */
  keepInFlight(): Message {
    const { message, block } = this;
    const length = message.propertiesLength + message.payloadLength;
    if (this.kept !== null || length > sharedBytesMax) return this.keep();
    if (this.inFlight !== null) return this.inFlight;
    if (block.length + length > block.bytes.length) {
      const bytes = new Uint8Array(blockBytes);
      this.block = new Slab(bytes, viewOf(bytes));
    }
    this.inFlight = message.copyTo(this.block.bytes, this.block.view, this.block.length);
    this.block.length += length;
    return this.inFlight;
  }

  /** The message for encoding it once more in this turn: kept only if its payload will be referred to. */
  forOne(): Message {
    return this.isReferenced ? this.keep() : this.message;
  }

  get isReferenced(): boolean {
    return this.message.payloadLength >= referenceBytesMin;
  }

  /** Bytes of the packet for this connection's version. */
  size(isV5: boolean, qos: QoS): number {
    const form = this.form(isV5, qos > 0);
    return this.isReferenced ? form.length + this.message.payloadLength : form.length;
  }

  /** Writes the packet as all recipients of this form get it. */
  write(state: State, connection: Connection, qos: QoS, retain: boolean, packetId: number, waits: boolean): void {
    const form = this.form(connection.version === 5, qos > 0);
    const { length } = form;
    const slab = connection.reserve(state, length, waits);
    const at = slab.length - length;
    copyBytes(slab.bytes, slab.view, at, form.bytes, form.view, form.start, length);
    slab.view.setUint8(at, (publishType << 4) | (qos << 1) | (retain ? 1 : 0));
    if (qos > 0) slab.view.setUint16(at + form.packetIdAt, packetId);
    if (this.isReferenced) connection.refer(state, payloadOf(this.keep()), waits);
    state.metrics.publishesSent.count(qos, this.message.payloadLength);
  }

  private form(isV5: boolean, withPacketId: boolean): Form {
    const index = (isV5 ? 2 : 0) + (withPacketId ? 1 : 0);
    if ((this.made & (1 << index)) === 0) this.encode(index, isV5, withPacketId);
    return this.forms[index] as Form;
  }

  private useInput(frame: PublishFrame, isV5: boolean): void {
    const index = (isV5 ? 2 : 0) + (frame.qos > 0 ? 1 : 0);
    const form = this.forms[index] as Form;
    form.bytes = frame.bytes;
    form.view = frame.view;
    form.start = frame.start;
    form.length = (this.isReferenced ? frame.payloadStart : frame.end) - frame.start;
    form.packetIdAt = frame.packetIdAt - frame.start;
    this.made = 1 << index;
  }

  private encode(index: number, isV5: boolean, withPacketId: boolean): void {
    const { message } = this;
    const layout = layOut(message, message.topic.bytes.length, isV5, withPacketId, 0);
    const length = layout.size - (this.isReferenced ? message.payloadLength : 0);
    const start = this.scratch.length;
    const form = this.forms[index] as Form;
    if (start + length > this.scratch.bytes.length) {
      const bytes = new Uint8Array(Math.max(4096, 2 * (start + length)));
      this.scratch = new Slab(bytes, new DataView(bytes.buffer));
      form.start = 0;
    } else form.start = start;
    const { scratch } = this;
    scratch.length = form.start + length;
    form.bytes = scratch.bytes;
    form.view = scratch.view;
    form.length = length;
    const head = putHead(scratch, form.start, layout, 0, message.topic.bytes, message.topic.view);
    form.packetIdAt = head - form.start;
    const at = putProperties(scratch, head + (withPacketId ? 2 : 0), message, isV5, layout.propertiesLength);
    if (isV5) putExpiry(scratch.view, at - message.propertiesLength, message, this.now);
    if (!this.isReferenced) {
      copyBytes(
        scratch.bytes,
        scratch.view,
        at,
        message.bytes,
        message.view,
        message.payloadStart,
        message.payloadLength,
      );
    }
    this.made |= 1 << index;
  }

  /** Takes the publisher's alias out of the properties: it means nothing to anybody else. */
  private cutAlias(at: number): void {
    const { message } = this;
    const end = at + 3;
    if (at === message.propertiesStart) message.propertiesStart = end;
    else if (end === message.propertiesEnd) message.propertiesEnd = at;
    else {
      // In the middle: what is kept must be in one piece, and the input's bytes are not ours to move.
      const whole = message.bytes.subarray(message.propertiesStart, message.payloadEnd);
      const bytes = new Uint8Array(whole.length - 3);
      const before = at - message.propertiesStart;
      bytes.set(whole.subarray(0, before));
      bytes.set(whole.subarray(before + 3), before);
      const propertiesStart = message.propertiesStart;
      if (message.expiryAt >= 0) message.expiryAt -= propertiesStart + (message.expiryAt > at ? 3 : 0);
      message.own(bytes, message.propertiesLength - 3);
    }
  }
}

interface Layout {
  /** Of the whole packet. */
  readonly size: number;
  readonly remainingLength: number;
  readonly propertiesLength: number;
}

/** Sizes of a PUBLISH. `topicBytes` counts the two length bytes; `extra` are bytes of properties beside the message's own. */
function layOut(message: Message, topicBytes: number, isV5: boolean, withPacketId: boolean, extra: number): Layout {
  const propertiesLength = isV5 ? message.propertiesLength + extra : 0;
  const properties = isV5 ? integerSize(propertiesLength) + propertiesLength : 0;
  const remainingLength = topicBytes + (withPacketId ? 2 : 0) + properties + message.payloadLength;
  return { size: 1 + integerSize(remainingLength) + remainingLength, remainingLength, propertiesLength };
}

/** Writes fixed header and topic; returns where the packet id goes. */
function putHead(
  slab: Slab,
  start: number,
  layout: Layout,
  flags: number,
  topic: Uint8Array,
  topicView: DataView,
): number {
  slab.view.setUint8(start, (publishType << 4) | flags);
  const at = putInteger(slab.view, start + 1, layout.remainingLength);
  copyBytes(slab.bytes, slab.view, at, topic, topicView, 0, topic.length);
  return at + topic.length;
}

/** Writes the properties of the message, with their length in front; returns what comes next. */
function putProperties(slab: Slab, start: number, message: Message, isV5: boolean, propertiesLength: number): number {
  if (!isV5) return start;
  const at = putInteger(slab.view, start, propertiesLength);
  const length = message.propertiesLength;
  if (length > 0) copyBytes(slab.bytes, slab.view, at, message.bytes, message.view, message.propertiesStart, length);
  return at + length;
}

/** What one recipient's copy has that others have not. */
export interface Envelope {
  readonly qos: QoS;
  readonly retain: boolean;
  readonly dup: boolean;
  readonly packetId: number;
  readonly identifiers: readonly number[] | null;
  /** For the open batch. */
  readonly waits: boolean;
}

/**
 * Encodes a message for one connection alone: expiry counted down, subscription identifiers, aliases and mapped names put in.
 * False when it does not fit the peer's Maximum Packet Size, or its name does not exist for the peer: nothing was written.
 */
export function writeMessage(state: State, connection: Connection, message: Message, envelope: Envelope): boolean {
  const isV5 = connection.version === 5;
  const { qos, identifiers, waits } = envelope;
  const topic = connection.mapping === null ? message.topic : mapOut(state, connection, message.topic);
  if (topic === null) return false;
  const aliases = isV5 ? connection.sentAliases : null;
  const known = aliases?.known(topic) ?? 0;
  let alias = known;
  const ids = isV5 ? identifiers : null;
  const extraOf = (aliasUsed: number) => (aliasUsed > 0 ? 3 : 0) + identifiersSize(ids);
  let layout = layOut(message, known > 0 ? 2 : topic.bytes.length, isV5, qos > 0, extraOf(known));
  if (layout.size > connection.packetBytesMax) return false; // [MQTT-3.1.2-24]
  // What waits for its own batch may be overtaken: the packet that sets an alias must not be.
  if (aliases !== null && known === 0 && !waits) {
    const withAlias = layOut(message, topic.bytes.length, isV5, qos > 0, extraOf(1));
    if (withAlias.size <= connection.packetBytesMax) alias = aliases.assign(topic);
    if (alias > 0) layout = withAlias;
  }
  const isReferenced = message.payloadLength >= referenceBytesMin;
  const length = layout.size - (isReferenced ? message.payloadLength : 0);
  const slab = connection.reserve(state, length, waits);
  const flags = (envelope.dup ? 8 : 0) | (qos << 1) | (envelope.retain ? 1 : 0);
  const name = known > 0 ? emptyName : topic;
  let at = putHead(slab, slab.length - length, layout, flags, name.bytes, name.view);
  if (qos > 0) {
    slab.view.setUint16(at, envelope.packetId);
    at += 2;
  }
  at = putProperties(slab, at, message, isV5, layout.propertiesLength);
  if (isV5) {
    putExpiry(slab.view, at - message.propertiesLength, message, state.now);
    at = putExtras(slab.view, at, alias, ids);
  }
  if (isReferenced) connection.refer(state, payloadOf(message), waits);
  else copyBytes(slab.bytes, slab.view, at, message.bytes, message.view, message.payloadStart, message.payloadLength);
  state.metrics.publishesSent.count(qos, message.payloadLength);
  return true;
}

/** Why `writeMessage` wrote nothing. */
export function unsendable({ mapping }: Connection, message: Message): DropReason {
  return mapping !== null && mapping.topicOut(message.topic.name) === null ? 'unmapped' : 'packet-too-large';
}

const emptyName = { bytes: new Uint8Array(2), view: new DataView(new ArrayBuffer(2)) };

/** The time since it was received is taken off [MQTT-3.3.2-6]; never below 0, and whole seconds round up. */
function putExpiry(view: DataView, propertiesAt: number, message: Message, now: number): void {
  if (message.expiryAt < 0) return;
  const secondsLeft = Math.min(0xffff_ffff, Math.max(0, Math.ceil((message.expiresAt - now) / 1000)));
  view.setUint32(propertiesAt + message.expiryAt - message.propertiesStart, secondsLeft);
}

function mapOut(state: State, connection: Connection, topic: Topic): Topic | null {
  const name = connection.mapping?.topicOut(topic.name) ?? null;
  return name === null ? null : state.topics.internName(name);
}

function identifiersSize(identifiers: readonly number[] | null): number {
  if (identifiers === null) return 0;
  let size = 0;
  for (const identifier of identifiers) size += 1 + integerSize(identifier);
  return size;
}

function putExtras(view: DataView, start: number, alias: number, identifiers: readonly number[] | null): number {
  let at = start;
  if (alias > 0) {
    view.setUint8(at, aliasIdentifier);
    view.setUint16(at + 1, alias);
    at += 3;
  }
  for (const identifier of identifiers ?? []) {
    view.setUint8(at, subscriptionIdentifier);
    at = putInteger(view, at + 1, identifier);
  }
  return at;
}

function payloadOf(message: Message): Uint8Array {
  return message.bytes.subarray(message.payloadStart, message.payloadEnd);
}

function integerSize(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4;
}

function putInteger(view: DataView, start: number, value: number): number {
  let at = start;
  let rest = value;
  for (; rest >= 0x80; rest >>= 7) view.setUint8(at++, (rest & 0x7f) | 0x80);
  view.setUint8(at, rest);
  return at + 1;
}
