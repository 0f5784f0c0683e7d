/**
 * Topics we publish to, validated and encoded once. Bounded: when the table is full all are forgotten and made again.
 *
 * Which of them have an alias is known per connection: a topic gets one when it is used a second time, so that a topic used
 * once (a request's own) takes none away.
 */
import { topicNameProblem, viewOf } from '@pipit/protocol';
import * as ReasonCode from '@pipit/protocol/reason-codes';
import { notAllowed } from './failure.ts';
import { encodeText } from './text.ts';

const topicsMax = 4096;

export class SentTopic {
  readonly name: string;
  /** The name as it goes on the wire: two bytes of length, then its UTF-8. */
  readonly bytes: Uint8Array;
  /** The connection it was last published on, as a number. */
  usedOn = 0;

  constructor(name: string, text: Uint8Array) {
    this.name = name;
    this.bytes = new Uint8Array(text.length + 2);
    viewOf(this.bytes).setUint16(0, text.length);
    this.bytes.set(text, 2);
  }
}

export class SentTopics {
  readonly #topics = new Map<string, SentTopic>();
  #last: SentTopic | null = null;
  /** Those the server knows on this connection; the first topics that ask for one keep it. */
  readonly #aliases = new Map<SentTopic, number>();
  #aliasMaximum = 0;
  #connection = 1;

  /** Throws MqttError for what is no topic name. */
  get(name: string): SentTopic {
    if (this.#last?.name === name) return this.#last;
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      const problem = topicNameProblem(name, Number.POSITIVE_INFINITY);
      if (problem !== undefined) throw notAllowed(problem, ReasonCode.TopicNameInvalid); // [MQTT-3.3.2-2]
      if (this.#topics.size >= topicsMax) this.#topics.clear();
      topic = new SentTopic(name, encodeText(name));
      this.#topics.set(name, topic);
    }
    this.#last = topic;
    return topic;
  }

  /** A new connection, whose server takes this many aliases: those of the last one are void. */
  connected(aliasMaximum: number): void {
    this.#connection++;
    this.#aliases.clear();
    this.#aliasMaximum = aliasMaximum;
  }

  /** The alias the server knows this topic by; 0: none. */
  alias(topic: SentTopic): number {
    return this.#aliases.get(topic) ?? 0;
  }

  /** A new alias, to be sent with the name; 0 when the topic is new here or the server allows no more [MQTT-3.2.2-17]. */
  newAlias(topic: SentTopic): number {
    const isFirst = topic.usedOn !== this.#connection;
    topic.usedOn = this.#connection;
    if (isFirst || this.#aliases.size >= this.#aliasMaximum) return 0;
    this.#aliases.set(topic, this.#aliases.size + 1);
    return this.#aliases.size;
  }
}
