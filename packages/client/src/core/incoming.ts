/** PUBLISH packets from the server: read in place, their topic and alias resolved, QoS 2 told apart, copied once and handed out. */
import { DecodeError, type Framer, PublishFrame, ReceivedAliases } from '@pipit/protocol';
import * as ReasonCode from '@pipit/protocol/reason-codes';
import type { Interests } from './interests.ts';
import { type Message, messageOf } from './message.ts';
import type { ClientLimits } from './options.ts';
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
  readonly #frame = new PublishFrame();
  #aliases = new ReceivedAliases<ReceivedTopic>();

  constructor(limits: ClientLimits, interests: Interests, receipts: Receipts) {
    this.#limits = limits;
    this.#interests = interests;
    this.#receipts = receipts;
  }

  /** Aliases do not outlive their connection. */
  connected(): void {
    this.#aliases = new ReceivedAliases();
  }

  /** The PUBLISH that the framer shows. Throws DecodeError. */
  publish({ bytes, view, start, body, end }: Framer, version: 4 | 5): void {
    const frame = this.#frame;
    frame.read(bytes, view, start, body, end, version, 'server');
    const topic = this.#topicOf(frame);
    const receipts = this.#receipts;
    if (frame.qos === 2 && !receipts.isNew(frame.packetId)) return;
    if (frame.qos === 0 && receipts.unconsumedBytes > this.#limits.unconsumedBytesMax * dropFactor) {
      receipts.dropped++;
      return;
    }
    const message = messageOf(frame, topic.name);
    message.packetId = frame.packetId;
    message.plan = this.#interests.planFor(topic, message);
    receipts.arrived(message);
    this.deliveries.push(message);
  }

  #topicOf(frame: PublishFrame): ReceivedTopic {
    const { bytes, view, topicStart, topicEnd, topicAlias } = frame;
    if (topicAlias > this.#limits.topicAliasMaximum) {
      throw new DecodeError(ReasonCode.TopicAliasInvalid, `PUBLISH: Topic Alias ${topicAlias} was not allowed`, 0);
    }
    if (topicStart === topicEnd) {
      const known = this.#aliases.get(topicAlias); // [MQTT-3.3.2-10]
      if (known !== null) return known;
      throw new DecodeError(ReasonCode.ProtocolError, `PUBLISH: Topic Alias ${topicAlias} was never set`, 0);
    }
    const topic = this.#topics.intern(bytes, view, topicStart, topicEnd);
    if (topic === null) throw new DecodeError(ReasonCode.TopicNameInvalid, 'PUBLISH: illegal Topic Name', 0); // [MQTT-3.3.2-2]
    if (topicAlias > 0) this.#aliases.set(topicAlias, topic);
    return topic;
  }
}
