/** A message from the server, as the application gets it. Everything in it is a copy of its own. */
import type { PublishProperties, QoS, UserProperty } from '@pipit/protocol';
import * as PacketType from '@pipit/protocol/packet-types';
import { writeAcknowledgement } from './client-packet.ts';
import type { Interest } from './interests.ts';
import { Output } from './output.ts';
import { decodeText } from './text.ts';

export const noProperties: PublishProperties = Object.freeze({});

/** What may go along with a reason code (5.0). */
export interface ReasonProperties {
  readonly reasonString?: string;
  readonly userProperties?: UserProperty[];
}

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
  /** Those of MQTT 5.0; empty before it. */
  readonly properties: PublishProperties;

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
  words: ReasonProperties | null = null;
  acknowledger: Acknowledger | null = null;

  constructor(
    topic: string,
    payload: Uint8Array,
    qos: QoS,
    retain: boolean,
    duplicate: boolean,
    properties = noProperties,
  ) {
    this.topic = topic;
    this.payload = payload;
    this.qos = qos;
    this.retain = retain;
    this.duplicate = duplicate;
    this.properties = properties;
  }

  /** The payload as UTF-8. Throws TypeError when it is not. */
  text(): string {
    return decodeText(this.payload);
  }

  /** The payload as JSON. Throws TypeError or SyntaxError. */
  json(): unknown {
    return JSON.parse(this.text());
  }

  /**
   * Says that it is dealt with, where the subscription asks for that (`manualAck`); elsewhere, and a second time, it does
   * nothing. A reason code of 0x80 or above (5.0 only) says that it will not be, and `words` why. Throws MqttError for what may not be said.
   */
  ack(reasonCode = 0, words: ReasonProperties | null = null): void {
    const { acknowledger } = this;
    const type = this.qos === 2 ? PacketType.Pubrec : PacketType.Puback;
    if (reasonCode !== 0) writeAcknowledgement(new Output(), type, 1, reasonCode, words);
    this.words = words;
    this.acknowledger = null;
    acknowledger?.acknowledge(this, reasonCode);
  }
}
