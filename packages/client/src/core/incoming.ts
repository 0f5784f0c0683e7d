/** PUBLISH packets from the server: read in place, their topic and alias resolved, QoS 2 told apart, copied once and handed out. */
import type { PublishProperties, QoS } from '@pipit/protocol';
import * as PacketType from '@pipit/protocol/packet-types';
import * as ReasonCode from '@pipit/protocol/reason-codes';
import type { Framer } from './framer.ts';
import type { Interests } from './interests.ts';
import { Message, noProperties } from './message.ts';
import type { ClientLimits } from './options.ts';
import { malformed, PacketReader, violation } from './packet-reader.ts';
import { readProperties } from './properties.ts';
import type { Receipts } from './receipts.ts';
import { type ReceivedTopic, ReceivedTopics } from './received-topics.ts';

/** When we have to read although too much waits, QoS 0 is dropped beyond this many times the limit. */
const dropFactor = 4;

export class Incoming {
  /** For the application, in order. Taken by whoever runs the turn. */
  deliveries: Message[] = [];
  readonly #limits: ClientLimits;
  readonly #interests: Interests;
  readonly #receipts: Receipts;
  readonly #topics = new ReceivedTopics();
  /** What the server has set on this connection: alias → topic. */
  #aliases: ReceivedTopic[] = [];

  constructor(limits: ClientLimits, interests: Interests, receipts: Receipts) {
    this.#limits = limits;
    this.#interests = interests;
    this.#receipts = receipts;
  }

  /** Aliases do not outlive their connection. */
  connected(): void {
    this.#aliases = [];
  }

  /** The PUBLISH that the framer shows. Throws DecodeError. */
  publish({ bytes, view, start, body, end }: Framer, version: 4 | 5): void {
    const flags = (bytes[start] as number) & 0x0f;
    const qos = (flags >> 1) & 3;
    if (qos === 3 || flags === 8 || flags === 9) throw malformed('illegal flags'); // [MQTT-3.3.1-4] [MQTT-3.3.1-2]
    const topicStart = body + 2;
    const topicEnd = topicStart > end ? end : topicStart + view.getUint16(body);
    let at = topicEnd + (qos === 0 ? 0 : 2);
    if (topicStart > end || at > end) throw malformed('it is cut short');
    const packetId = qos === 0 ? 0 : view.getUint16(topicEnd);
    if (qos !== 0 && packetId === 0) throw violation('Packet Identifier is 0'); // [MQTT-2.2.1-3] [MQTT-2.2.1-4]
    let properties: PublishProperties = noProperties;
    let alias = 0;
    // Most have none; a Topic Alias alone is between the server and us. Neither is worth an object.
    if (version === 5 && at < end && bytes[at] === 0) at++;
    else if (version === 5 && at + 3 < end && bytes[at] === 3 && bytes[at + 1] === 0x23) {
      alias = view.getUint16(at + 2);
      if (alias === 0) throw violation('Topic Alias is 0', ReasonCode.TopicAliasInvalid); // [MQTT-3.3.2-8]
      at += 4;
    } else if (version === 5) {
      const reader = new PacketReader(bytes, at, end);
      ({ topicAlias: alias = 0, ...properties } = readProperties(reader, PacketType.Publish));
      at = reader.at;
    }
    const topic = this.#topicOf(bytes, topicStart, topicEnd, alias);
    const receipts = this.#receipts;
    if (qos === 2 && !receipts.isNew(packetId)) return;
    if (qos === 0 && receipts.unconsumedBytes > this.#limits.unconsumedBytesMax * dropFactor) {
      receipts.dropped++;
      return;
    }
    // `bytes` is no Buffer, whose slice would be no copy.
    const message = new Message(
      topic.name,
      bytes.slice(at, end),
      qos as QoS,
      (flags & 1) !== 0,
      flags >= 8,
      properties,
    );
    message.packetId = packetId;
    message.plan = this.#interests.planFor(topic, message);
    receipts.arrived(message);
    this.deliveries.push(message);
  }

  #topicOf(bytes: Uint8Array, start: number, end: number, alias: number): ReceivedTopic {
    if (alias > this.#limits.topicAliasMaximum) {
      throw violation(`Topic Alias ${alias} was not allowed`, ReasonCode.TopicAliasInvalid);
    }
    if (start === end) {
      const known = this.#aliases[alias]; // [MQTT-3.3.2-10]
      if (known !== undefined) return known;
      throw violation('there is neither a Topic Name nor a known Topic Alias'); // [MQTT-4.7.3-1]
    }
    const topic = this.#topics.intern(bytes, start, end);
    if (topic === null) throw violation('illegal Topic Name', ReasonCode.TopicNameInvalid); // [MQTT-3.3.2-2]
    if (alias > 0) this.#aliases[alias] = topic;
    return topic;
  }
}
