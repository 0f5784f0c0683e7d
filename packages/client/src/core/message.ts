/** A message from the server, as the application gets it. Everything in it is a copy of its own. */
import {
  decodePublishProperties,
  decodeUtf8,
  type PublishFrame,
  type PublishProperties,
  type QoS,
} from '@pipit/protocol';
import type { Interest } from './interests.ts';

const aliasPropertyBytes = 3;
const noProperties: PublishProperties = Object.freeze({});

/** Where an acknowledgement that is not automatic goes. */
export interface Acknowledger {
  acknowledge(message: Message, reasonCode: number): void;
}

export class Message {
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: QoS;
  /** It was retained when we subscribed; with `retainAsPublished` also one that was published so just now. */
  readonly retain: boolean;
  /** The server may have sent it before. */
  readonly duplicate: boolean;

  /** @internal The bytes of its properties while they have not been asked for; null when there are none. */
  propertyBytes: Uint8Array | null = null;
  /** @internal 0 with QoS 0. */
  packetId = 0;
  /** @internal The number of the connection it came on. */
  connection = 0;
  /** @internal Who wants it, how many of them have not dealt with it, and how many of those wait for `ack`. */
  plan: readonly Interest[] = [];
  unfinished = 0;
  manual = 0;
  /** @internal What counts against the limit of unconsumed bytes. */
  size = 0;
  isConsumed = false;
  reasonCode = 0;
  acknowledger: Acknowledger | null = null;
  #properties: PublishProperties | null = null;

  constructor(topic: string, payload: Uint8Array, qos: QoS, retain: boolean, duplicate: boolean) {
    this.topic = topic;
    this.payload = payload;
    this.qos = qos;
    this.retain = retain;
    this.duplicate = duplicate;
  }

  /** Those of MQTT 5.0; empty before it. */
  get properties(): PublishProperties {
    if (this.#properties !== null) return this.#properties;
    const bytes = this.propertyBytes;
    if (bytes === null) return noProperties;
    const { topicAlias: _, ...properties } = decodePublishProperties(bytes, 0, bytes.length);
    this.propertyBytes = null;
    this.#properties = properties;
    return properties;
  }

  /** The payload as UTF-8. Throws DecodeError when it is not. */
  text(): string {
    return decodeUtf8(this.payload, 0, this.payload.length, true);
  }

  /** The payload as JSON. Throws DecodeError or SyntaxError. */
  json(): unknown {
    return JSON.parse(this.text());
  }

  /**
   * Says that it is dealt with, where the subscription asks for that (`manualAck`); elsewhere, and a second time, it does
   * nothing. A reason code of 0x80 or above (5.0 only) says that it will not be.
   */
  ack(reasonCode = 0): void {
    const { acknowledger } = this;
    this.acknowledger = null;
    acknowledger?.acknowledge(this, reasonCode);
  }
}

/** The message in a frame, copied, for a topic whose name is known. `bytes` must not be a Buffer: its slice is no copy. */
export function messageOf(frame: PublishFrame, topic: string): Message {
  const { bytes, payloadStart, end, propertiesStart, propertiesEnd, topicAlias } = frame;
  // An alias is between the server and us: a message that has nothing else has no properties.
  if (propertiesEnd - propertiesStart === (topicAlias === 0 ? 0 : aliasPropertyBytes)) {
    return new Message(topic, bytes.slice(payloadStart, end), frame.qos, frame.retain, frame.dup);
  }
  const own = bytes.slice(propertiesStart, end);
  const message = new Message(topic, own.subarray(payloadStart - propertiesStart), frame.qos, frame.retain, frame.dup);
  message.propertyBytes = own.subarray(0, propertiesEnd - propertiesStart);
  return message;
}
