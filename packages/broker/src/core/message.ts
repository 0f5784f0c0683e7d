/**
 * An application message, and its place in the line of one session.
 *
 * A message is one allocation however many queues hold it. Its properties are kept as they go on the wire (5.0 form, without
 * topic alias and subscription identifiers), so that forwarding never decodes them.
 */

import type { QoS } from '@pipit/protocol';
import { copyBytes, noBytes, noView, utf8Length, viewOf } from '@pipit/protocol';
import type { StoredMessage } from './ports.ts';
import type { SharedGroup } from './shared-group.ts';
import type { Topic } from './topic-table.ts';

/** What a message costs in memory beside its bytes, roughly: it counts against byte limits, so that empty ones cost too. */
const messageOverheadBytes = 128;
/** The length in front of a topic's bytes. */
const topicHeadBytes = 2;

/** A message where it lies: its parts are ranges of `bytes`. Either owned (kept as long as wanted) or borrowed for one call. */
export class Message {
  topic: Topic;
  /** As published. */
  qos: QoS = 0;
  retain = false;
  bytes: Uint8Array = noBytes;
  view: DataView = noView;
  propertiesStart = 0;
  propertiesEnd = 0;
  payloadStart = 0;
  payloadEnd = 0;
  /** Offset of the Message Expiry Interval's four bytes; -1 when there is none. */
  expiryAt = -1;
  /** Monotonic milliseconds; Infinity: never. */
  expiresAt = Number.POSITIVE_INFINITY;
  /** Client id of who published it; null when nobody connected did. For No Local. */
  publisher: string | null = null;
  /** Its number in the store; 0 until a change about it was recorded. */
  id = 0;

  constructor(topic: Topic) {
    this.topic = topic;
  }

  get payloadLength(): number {
    return this.payloadEnd - this.payloadStart;
  }

  get propertiesLength(): number {
    return this.propertiesEnd - this.propertiesStart;
  }

  /** What it counts for against limits in bytes. */
  get cost(): number {
    return this.topic.bytes.length + this.propertiesLength + this.payloadLength + messageOverheadBytes;
  }

  /** A copy that owns its bytes. */
  keep(): Message {
    const bytes = new Uint8Array(this.propertiesLength + this.payloadLength);
    return this.copyTo(bytes, viewOf(bytes), 0);
  }

  /** A copy whose properties and payload lie from `at` on in memory that it may share with others: nobody changes them there. */
  copyTo(bytes: Uint8Array, view: DataView, at: number): Message {
    const { propertiesStart, propertiesLength, payloadLength } = this;
    const copy = new Message(this.topic);
    copyBytes(bytes, view, at, this.bytes, this.view, propertiesStart, propertiesLength);
    copyBytes(bytes, view, at + propertiesLength, this.bytes, this.view, this.payloadStart, payloadLength);
    copy.qos = this.qos;
    copy.retain = this.retain;
    copy.bytes = bytes;
    copy.view = view;
    copy.propertiesStart = at;
    copy.propertiesEnd = at + propertiesLength;
    copy.payloadStart = copy.propertiesEnd;
    copy.payloadEnd = copy.payloadStart + payloadLength;
    copy.expiryAt = this.expiryAt < 0 ? -1 : this.expiryAt - propertiesStart + at;
    copy.expiresAt = this.expiresAt;
    copy.publisher = this.publisher;
    copy.id = this.id;
    return copy;
  }

  /** Takes ownership of bytes that are properties[0, propertiesLength) and payload behind them. */
  own(bytes: Uint8Array, propertiesLength: number): void {
    this.bytes = bytes;
    this.view = viewOf(bytes);
    this.propertiesStart = 0;
    this.propertiesEnd = propertiesLength;
    this.payloadStart = propertiesLength;
    this.payloadEnd = bytes.length;
  }

  toStored(recordOffsetMs: number): StoredMessage {
    return {
      id: this.id,
      topic: this.topic.name,
      qos: this.qos,
      retain: this.retain,
      properties: this.bytes.subarray(this.propertiesStart, this.propertiesEnd),
      payload: this.bytes.subarray(this.payloadStart, this.payloadEnd),
      expiryAt: this.expiryAt < 0 ? -1 : this.expiryAt - this.propertiesStart,
      expiresAtClock: this.expiresAt + recordOffsetMs,
      publisher: this.publisher,
    };
  }
}

/** `cost` of a message as a store has it. */
export function storedCost({ topic, properties, payload }: StoredMessage): number {
  return topicHeadBytes + utf8Length(topic) + properties.length + payload.length + messageOverheadBytes;
}

/** A message read back. */
export function messageFromStored(stored: StoredMessage, topic: Topic, recordOffsetMs: number): Message {
  const message = new Message(topic);
  const bytes = new Uint8Array(stored.properties.length + stored.payload.length);
  bytes.set(stored.properties);
  bytes.set(stored.payload, stored.properties.length);
  message.own(bytes, stored.properties.length);
  message.qos = stored.qos;
  message.retain = stored.retain;
  message.expiresAt = stored.expiresAtClock - recordOffsetMs;
  message.publisher = stored.publisher;
  message.id = stored.id;
  message.expiryAt = stored.expiryAt;
  return message;
}

/** One message in the line of one session: waiting, or in flight. */
export class Delivery {
  readonly message: Message;
  readonly qos: QoS;
  /** The RETAIN flag to send. */
  readonly retain: boolean;
  readonly identifiers: readonly number[] | null;
  /** The shared subscription it came by, where it goes back to when this member leaves. */
  readonly group: SharedGroup | null;
  /** Its place in the session's line; rises. */
  sequence = 0;
  packetId = 0;
  /** Acknowledged, dropped or moved: it need not be written any more. */
  isSettled = false;
  /** A record of it was handed to the store. */
  isRecorded = false;
  /** Its PUBLISH went out on an earlier connection, and only PUBREL on this one: it takes none of its Receive Maximum. */
  isUncounted = false;

  constructor(
    message: Message,
    qos: QoS,
    retain: boolean,
    identifiers: readonly number[] | null,
    group: SharedGroup | null,
  ) {
    this.message = message;
    this.qos = qos;
    this.retain = retain;
    this.identifiers = identifiers;
    this.group = group;
  }
}
