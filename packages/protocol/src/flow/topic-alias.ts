/**
 * Topic aliases of one network connection (MQTT 5.0, 3.3.2.3.4). They never outlive it.
 *
 * `Topic` is whatever the caller uses for a topic: the broker's interned object, a client's string. It must compare by identity.
 */

/** Aliases the peer has set in its PUBLISH packets: alias → topic. */
export class ReceivedAliases<Topic> {
  private topics: (Topic | null)[] = [];

  /** The alias must have been checked against the maximum announced. */
  set(alias: number, topic: Topic): void {
    while (this.topics.length <= alias) this.topics.push(null);
    this.topics[alias] = topic;
  }

  get(alias: number): Topic | null {
    return this.topics[alias] ?? null;
  }
}

/** Aliases we set towards the peer: the first topics that ask for one keep it until the connection ends. */
export class SentAliases<Topic> {
  private readonly aliases = new Map<Topic, number>();
  /** The peer's Topic Alias Maximum. */
  private readonly maximum: number;

  constructor(maximum: number) {
    this.maximum = maximum;
  }

  /** The alias the peer knows for this topic, or 0. */
  known(topic: Topic): number {
    return this.aliases.get(topic) ?? 0;
  }

  /** A new alias for this topic, to be sent together with its name; 0 when the peer allows no more [MQTT-3.1.2-26]. */
  assign(topic: Topic): number {
    if (this.aliases.size >= this.maximum) return 0;
    const alias = this.aliases.size + 1;
    this.aliases.set(topic, alias);
    return alias;
  }
}
