/**
 * Every number that bounds the broker: its default, its unit and why it is what it is.
 *
 * Each is a setting (configuration `limits.<name>`). None of them has a magic 0: what is unlimited does not exist.
 */

export interface Limits {
  /** Bytes of a packet before CONNECT was accepted: room for a will and a token, none for a flood. */
  connectPacketBytesMax: number;
  /** Bytes of a packet after that, announced as Maximum Packet Size; ours to receive. */
  packetBytesMax: number;
  /** Milliseconds for all that comes before MQTT: a proxy's header, TLS, WebSocket. */
  handshakeTimeoutMs: number;
  /** Milliseconds from then on without a complete CONNECT, and a CONNECT without its verdict. */
  connectTimeoutMs: number;
  /**
   * Bytes of a client id (0x85 beyond). It is a key of tables for as long as its session lives, and above 16 kB such keys are told
   * apart by their length alone.
   */
  clientIdBytesMax: number;
  /** Network connections at once, CONNECT sent or not. */
  connectionsMax: number;
  /**
   * Network connections from one address, IPv6 ones counted by their first 64 bits. Many devices may share one behind a gateway;
   * what comes from this machine itself is not counted.
   */
  connectionsPerAddressMax: number;
  /** Sockets accepted in a second, twice as many at once: beyond, they are closed before anything is done for them. */
  acceptsPerSecondMax: number;
  /** The same for one address, counted as above: a machine that makes more is broken or hostile. */
  acceptsPerSecondPerAddressMax: number;
  /** Of one principal; a fleet may share a name. Who is nobody in particular is not counted. */
  connectionsPerPrincipalMax: number;
  /** PUBLISH packets a second from one client, twice as many at once: beyond, it is not read for a while. 1,000,000,000: any number. */
  publishesPerSecondMax: number;
  /** The same of bytes of all packets. 2^40: any number. */
  receivedBytesPerSecondMax: number;
  /** Milliseconds a client may be slowed down for in excess of the time it is not, before it is disconnected (0x96). */
  throttledMsMax: number;
  /** How much longer than Keep Alive a silent peer is kept, as a factor [MQTT-3.1.2-22]. */
  keepAliveFactor: number;
  /**
   * Seconds; a longer or absent Keep Alive is lowered to it by Server Keep Alive. Before 5.0 the client cannot be told, and is
   * disconnected when it is silent for longer. 65,535 is no cap at all, not even on 0.
   */
  serverKeepAliveMax: number;
  /** QoS 1 and 2 PUBLISH packets a peer may have open towards us: our Receive Maximum. */
  receiveMaximum: number;
  /** The same towards a peer, unless it asks for less. */
  sendMaximum: number;
  /** Topic aliases a peer may set: our Topic Alias Maximum. */
  topicAliasMaximum: number;
  /** Topic aliases we set towards a peer that allows more. */
  sentTopicAliasMaximum: number;
  /** Bytes of a topic name or filter. */
  topicBytesMax: number;
  /** Levels of a topic name or filter. */
  topicLevelsMax: number;
  /** Subscriptions of one session. */
  subscriptionsPerSessionMax: number;
  /**
   * Bytes of their filters and share names, and 48 for each level: ten thousand of the longest would be 640 MB, and a topic that leads
   * to a million places in the tree of filters takes long to route. Ten thousand of ten levels fit.
   */
  subscriptionBytesPerSessionMax: number;
  /** Filters in one SUBSCRIBE or UNSUBSCRIBE. */
  filtersPerPacketMax: number;
  /** User Properties in one packet, or in one will. */
  userPropertiesMax: number;
  /** Bytes of them, names and values. */
  userPropertyBytesMax: number;
  /** Bytes of one will: topic, properties and payload. */
  willBytesMax: number;
  /** Bytes of all wills: a session has one for as long as it is connected, and for its delay. */
  willBytesTotalMax: number;
  /** Messages waiting for one session, in flight included. */
  queueMessagesMax: number;
  /** Bytes of them (topic, properties and payload). */
  queueBytesMax: number;
  /**
   * Messages waiting for all sessions together, in flight included. A session may add to its own as long as that is not more
   * than what is left of this: one that hoards gets half at most, several get equal parts, and there is always room for others.
   */
  queueMessagesTotalMax: number;
  /** Bytes of them, shared in the same way. Without a store it is memory; with one it is disk. */
  queueBytesTotalMax: number;
  /**
   * Messages of one queue kept in memory when there is a store; the rest is paged in. As many as 200 publishers have open with a
   * window of 100, so that what a subscriber that keeps up is due does not go by the disk.
   */
  queuePrefixMessages: number;
  queuePrefixBytes: number;
  /** The bytes of all of them together, shared as the total is. */
  queuePrefixBytesTotalMax: number;
  /**
   * Milliseconds a queue waits for what cannot be read back from the store. Then what still cannot be, while the disk reads other
   * things, is dropped, and the queue goes on.
   */
  unreadableMsMax: number;
  /** Bytes accepted for one peer and not yet taken by its socket, while the socket drains. */
  unsentBytesMax: number;
  /** The same once the socket has taken nothing for `stalledAfterMs`. */
  unsentBytesStalledMax: number;
  stalledAfterMs: number;
  /** The same for all peers together; beyond it the peer with the most is disconnected. */
  unsentBytesTotalMax: number;
  /** Bytes waiting for a commit on one connection before it is paused. */
  heldBytesMax: number;
  /** Milliseconds acknowledgements may wait for their commit before the connection is closed without them. */
  heldMsMax: number;
  /** Bytes of changes, roughly, that may wait while a commit is under way: then who makes more is paused, or not let in. */
  uncommittedBytesMax: number;
  /** Sessions, connected or not. */
  sessionsMax: number;
  /**
   * Seconds; a longer Session Expiry Interval, or none in 3.x, is lowered to it. 7 days: long enough for who was away over a
   * holiday, and what nobody will ever come for does not fill the disk. 5.0 is told in CONNACK.
   */
  sessionExpiryMax: number;
  /** Retained messages; what would be one too many is refused whole (0x97), so that no stale value is left behind. */
  retainedMessagesMax: number;
  /** Bytes of them, counted as those of a queue and 48 more for each topic level; the same beyond it. */
  retainedBytesMax: number;
  /** Of them, those that one principal set last; a tenth of all, so that one does not keep the others from retaining. */
  retainedMessagesPerPrincipalMax: number;
  retainedBytesPerPrincipalMax: number;
  /** Bytes of them kept in memory when there is a store, counted so and 1 kB more for each; the others are read when they are asked for. */
  retainedBytesInMemoryMax: number;
  /** Seconds a retained message lives at most. */
  retainedExpiryMax: number;
  /** Topics kept interned with their routing plan. All are dropped when full, so a flood of new ones costs time, not memory. */
  internedTopicsMax: number;
  /** Recipients in all routing plans together, for the same reason. */
  plannedRecipientsMax: number;
  /** Deliveries, and bytes written, after which a turn ends and everybody else is served first. */
  turnDeliveriesMax: number;
  turnBytesMax: number;
  /**
   * Chunks that one turn brought, from which it counts as a burst: then connections with nothing but deliveries to say wait for the
   * next turn, which follows at once, because more is coming for them and a write of several messages costs as much as one of one.
   */
  burstInputsMin: number;
  /** Turns that deliveries wait in a burst at most. Acknowledgements never wait: the peer may send anew only after them. */
  burstTurnsMax: number;
  /** Milliseconds in which events of one kind, client and reason are counted into one. */
  eventIntervalMs: number;
  /** Unsettled messages of one in-process subscriber, unless it asks for another number. */
  localWindow: number;
  /** Publishes of one connection that wait for a claim's answer before it is paused. */
  claimedPublishesMax: number;
}

export type LimitName = keyof Limits;

export const defaultLimits: Limits = {
  connectPacketBytesMax: 128 * 1024,
  packetBytesMax: 16 * 1024 * 1024,
  handshakeTimeoutMs: 10_000,
  connectTimeoutMs: 10_000,
  clientIdBytesMax: 1_024,
  connectionsMax: 1_000_000,
  connectionsPerAddressMax: 10_000,
  acceptsPerSecondMax: 10_000,
  acceptsPerSecondPerAddressMax: 500,
  connectionsPerPrincipalMax: 100_000,
  publishesPerSecondMax: 1_000_000_000,
  receivedBytesPerSecondMax: 2 ** 40,
  throttledMsMax: 60_000,
  keepAliveFactor: 1.5,
  serverKeepAliveMax: 65_535,
  receiveMaximum: 1_000,
  sendMaximum: 1_000,
  topicAliasMaximum: 64,
  sentTopicAliasMaximum: 64,
  topicBytesMax: 65_535,
  topicLevelsMax: 128,
  subscriptionsPerSessionMax: 10_000,
  subscriptionBytesPerSessionMax: 8 * 1024 * 1024,
  filtersPerPacketMax: 1_000,
  userPropertiesMax: 128,
  userPropertyBytesMax: 256 * 1024,
  willBytesMax: 128 * 1024,
  willBytesTotalMax: 256 * 1024 * 1024,
  queueMessagesMax: 100_000,
  queueBytesMax: 64 * 1024 * 1024,
  queueMessagesTotalMax: 10_000_000,
  queueBytesTotalMax: 1024 * 1024 * 1024,
  queuePrefixMessages: 20_000,
  queuePrefixBytes: 16 * 1024 * 1024,
  queuePrefixBytesTotalMax: 256 * 1024 * 1024,
  unreadableMsMax: 60_000,
  unsentBytesMax: 64 * 1024 * 1024,
  unsentBytesStalledMax: 1024 * 1024,
  stalledAfterMs: 1_000,
  unsentBytesTotalMax: 512 * 1024 * 1024,
  heldBytesMax: 1024 * 1024,
  heldMsMax: 30_000,
  uncommittedBytesMax: 64 * 1024 * 1024,
  sessionsMax: 1_000_000,
  sessionExpiryMax: 7 * 24 * 3600,
  retainedMessagesMax: 10_000_000,
  retainedBytesMax: 1024 * 1024 * 1024,
  retainedMessagesPerPrincipalMax: 1_000_000,
  retainedBytesPerPrincipalMax: 128 * 1024 * 1024,
  retainedBytesInMemoryMax: 64 * 1024 * 1024,
  retainedExpiryMax: 100 * 365 * 24 * 3600,
  internedTopicsMax: 65_536,
  plannedRecipientsMax: 4_000_000,
  turnDeliveriesMax: 20_000,
  turnBytesMax: 8 * 1024 * 1024,
  burstInputsMin: 16,
  burstTurnsMax: 3,
  eventIntervalMs: 10_000,
  localWindow: 100,
  claimedPublishesMax: 1_000,
};
