/**
 * What one run of one case stands on: names of its own, connections to the broker, fences that prove silence, and the
 * ways a broker may refuse. Everything opened or left in the broker here is closed and cleared by `clear`.
 */
import type {
  ConnackPacket,
  ConnackProperties,
  ConnectPacket,
  ConnectProperties,
  Packet,
  ProtocolVersion,
  PublishPacket,
  Will,
} from '@pipit/protocol';
import { PacketType, ReasonCode } from '@pipit/protocol';
import { type Bytes, field, frame, hex, uint16 } from './bytes.ts';
import { openLink } from './link.ts';
import { codeWords, expectEqual, Mismatch, NotApplicable, words } from './outcome.ts';
import { Peer, textOf } from './peer.ts';

/** What the operator can tell about the broker, for statements that need it to be set up in some way. */
export interface Facts {
  readonly username?: string;
  readonly password?: string;
  /** The same broker by WebSocket. */
  readonly webSocketUrl?: string;
  /** Credentials it refuses. */
  readonly rejected?: { readonly username: string; readonly password: string };
  /** A client id it refuses. */
  readonly rejectedClientId?: string;
  /** A topic that the clients of the suite may neither publish to nor subscribe to. */
  readonly deniedTopic?: string;
  /** An enhanced authentication of one challenge: what opens it, the right answer, and a wrong one. */
  readonly enhanced?: {
    readonly method: string;
    readonly data: Uint8Array;
    readonly answer: Uint8Array;
    readonly wrongAnswer: Uint8Array;
  };
  readonly insecure?: boolean;
}

export interface BenchOptions {
  readonly url: string;
  readonly version: ProtocolVersion;
  readonly facts: Facts;
  /** What CONNACK said to a 5.0 client without wishes. */
  readonly connack: ConnackProperties;
  /** The versions the broker serves. */
  readonly served: readonly ProtocolVersion[];
  readonly timeoutMs: number;
  /** Unlike any other running case's, 12 characters at most. */
  readonly name: string;
}

export interface ClientOptions {
  readonly clientId?: string;
  /** Keeps its session: Clean Start 0 with an expiry of ten minutes, or Clean Session 0. */
  readonly durable?: boolean;
  /** Overrides what `durable` says. */
  readonly cleanStart?: boolean;
  readonly expiry?: number;
  readonly keepAlive?: number;
  readonly will?: Will;
  readonly properties?: ConnectProperties;
  readonly username?: string;
  readonly password?: Uint8Array;
  readonly url?: string;
  /** Another version than the case's. */
  readonly version?: ProtocolVersion;
}

const durableExpiry = 600;
const keepAlive = 60;
const nudgeMs = 500;
export const anyErrorCode = (code: number): boolean => code >= 0x80;

export class Bench {
  readonly version: ProtocolVersion;
  readonly facts: Facts;
  readonly connack: ConnackProperties;
  readonly served: readonly ProtocolVersion[];
  readonly url: string;
  readonly timeoutMs: number;
  readonly peers: Peer[] = [];
  readonly #name: string;
  readonly #durable = new Set<string>();
  readonly #retained = new Set<string>();
  #count = 0;

  constructor({ url, version, facts, connack, served, timeoutMs, name }: BenchOptions) {
    this.url = url;
    this.version = version;
    this.facts = facts;
    this.connack = connack;
    this.served = served;
    this.timeoutMs = timeoutMs;
    this.#name = name;
  }

  // Names

  /** A client id nobody else uses: letters and digits, 23 at most. */
  clientId(): string {
    return `${this.#name}${++this.#count}`;
  }

  /** A topic nobody else uses. */
  topic(...levels: readonly string[]): string {
    return [this.#name, `t${++this.#count}`, ...levels].join('/');
  }

  /** A topic that may be left retained: it is cleared at the end. */
  retainedTopic(...levels: readonly string[]): string {
    this.needsRetain();
    return this.willBeRetained(this.topic(...levels));
  }

  willBeRetained(topic: string): string {
    this.#retained.add(topic);
    return topic;
  }

  // What the broker can

  needs(fact: keyof Facts, why: string): void {
    if (this.facts[fact] === undefined) throw new NotApplicable(`the suite was not told ${why}`);
  }

  needsVersion(version: ProtocolVersion): void {
    if (!this.served.includes(version)) throw new NotApplicable(`the broker does not serve level ${version}`);
  }

  needsQoS(qos: 0 | 1 | 2): void {
    const maximum = this.connack.maximumQoS;
    if (maximum !== undefined && maximum < qos) throw new NotApplicable(`CONNACK says Maximum QoS ${maximum}`);
  }

  needsRetain(): void {
    if (this.connack.retainAvailable === false) throw new NotApplicable('CONNACK says Retain Available 0');
  }

  needsWildcards(): void {
    if (this.connack.wildcardSubscriptionAvailable === false) {
      throw new NotApplicable('CONNACK says Wildcard Subscription Available 0');
    }
  }

  needsShared(): void {
    if (this.connack.sharedSubscriptionAvailable === false) {
      throw new NotApplicable('CONNACK says Shared Subscription Available 0');
    }
  }

  needsIdentifiers(): void {
    if (this.connack.subscriptionIdentifierAvailable === false) {
      throw new NotApplicable('CONNACK says Subscription Identifier Available 0');
    }
  }

  // Connections

  /** A connection on which nothing was sent yet. */
  open({ version = this.version, url = this.url }: { version?: ProtocolVersion; url?: string } = {}): Peer {
    const peer = new Peer(version, 'client', this.timeoutMs);
    this.peers.push(peer);
    peer.link = openLink(url, { insecure: this.facts.insecure === true }, peer);
    return peer;
  }

  connectPacket(options: ClientOptions = {}): ConnectPacket {
    const { clientId = this.clientId(), durable = false, version = this.version, will } = options;
    const { username, password } = this.facts;
    const expiry = options.expiry ?? (durable ? durableExpiry : undefined);
    const properties = {
      ...(version === 5 && expiry !== undefined && { sessionExpiryInterval: expiry }),
      ...options.properties,
    };
    const secret = options.password ?? (password === undefined ? undefined : new TextEncoder().encode(password));
    const user = options.username ?? username;
    return {
      type: PacketType.Connect,
      version,
      clientId,
      cleanStart: options.cleanStart ?? !durable,
      keepAlive: options.keepAlive ?? keepAlive,
      ...(user !== undefined && { username: user }),
      ...(secret !== undefined && { password: secret }),
      ...(will !== undefined && { will }),
      ...(Object.keys(properties).length > 0 && { properties }),
    };
  }

  /** A client that has been accepted. */
  async client(options: ClientOptions = {}): Promise<Peer> {
    const peer = this.open(options);
    await this.connect(peer, this.connectPacket(options));
    return peer;
  }

  /** Sends CONNECT on an open connection and insists on being accepted. */
  async connect(peer: Peer, packet: ConnectPacket): Promise<ConnackPacket> {
    const mayStay = !packet.cleanStart || (packet.properties?.sessionExpiryInterval ?? 0) > 0;
    if (mayStay && packet.clientId !== '') this.#durable.add(packet.clientId);
    peer.clientId = packet.clientId;
    peer.send(packet);
    const { packet: first } = await peer.takeFirst('CONNACK');
    if (first.type !== PacketType.Connack || first.reasonCode !== 0) throw new Mismatch('CONNACK 0x00', words(first));
    peer.connack = first;
    return first;
  }

  /** A client subscribed to one filter. */
  async subscriber(filter: string, qos: 0 | 1 | 2 = 0, options: ClientOptions = {}): Promise<Peer> {
    const peer = await this.client(options);
    await peer.subscribed(filter, qos);
    return peer;
  }

  // Silence

  /**
   * Proves that nothing is on its way to `peer`: a marker published after everything else arrives, then PINGRESP, and
   * nothing besides. `publisher`: who published before, so that the marker comes behind what it published.
   */
  async silence(peer: Peer, publisher?: Peer, what = 'nothing more'): Promise<void> {
    await this.fence(peer, publisher);
    peer.expectNothing(what);
  }

  /** As `silence`, but leaves what arrived before the marker untaken. */
  async fence(peer: Peer, publisher?: Peer): Promise<void> {
    const topic = this.topic('fence');
    await peer.subscribe(topic, 0);
    const from = publisher ?? (await this.client({ version: peer.version }));
    from.sendPublish(topic, 'fence');
    await peer.takeWhere(
      'the marker message',
      (packet) => packet.type === PacketType.Publish && (packet.topic === topic || textOf(packet) === 'fence'),
    );
    await peer.ping();
  }

  /** The payloads `peer` is sent up to a marker, in order, each acknowledged. */
  async received(peer: Peer, publisher?: Peer): Promise<PublishPacket[]> {
    const messages: PublishPacket[] = [];
    const topic = this.topic('fence');
    await peer.subscribe(topic, 0);
    const from = publisher ?? (await this.client({ version: peer.version }));
    from.sendPublish(topic, 'fence');
    for (;;) {
      const message = await peer.takePublish('a message or the marker behind all messages');
      if (message.topic === topic) break;
      await peer.acknowledge(message);
      messages.push(message);
    }
    // QoS 1 and 2 may come behind a marker of QoS 0, but not behind what answers our last acknowledgement.
    for (let isMore = true; isMore; ) {
      await peer.ping();
      const late = peer.untaken.filter((packet) => packet.type === PacketType.Publish).length;
      for (let i = 0; i < late; i++) messages.push(await peer.receive());
      isMore = late > 0;
    }
    return messages;
  }

  /** Waits `seconds`; only for what the broker's own clock decides. */
  wait(seconds: number): Promise<void> {
    return new Promise((done) => setTimeout(done, seconds * 1000));
  }

  // Refusals

  /**
   * The broker must cut `peer` off: in 5.0 with DISCONNECT or without, before 5.0 without. `isCode`: the codes a DISCONNECT
   * may have; `isAnswer`: other packets that refuse as well and let the connection live.
   */
  async refused(
    peer: Peer,
    what: string,
    {
      isCode = anyErrorCode,
      isAnswer,
    }: { isCode?: (code: number) => boolean; isAnswer?: (packet: Packet) => boolean } = {},
  ): Promise<void> {
    const expected = `the connection to be closed: ${what}`;
    // Who is not cut off soon is asked whether the connection goes on, rather than waited for.
    const nudge = setTimeout(() => peer.send({ type: PacketType.Pingreq }), nudgeMs);
    const packet = await peer.takeOrEnd(expected).finally(() => clearTimeout(nudge));
    if (packet === undefined || isAnswer?.(packet) === true) return;
    const isFitting = packet.type === PacketType.Disconnect && peer.version === 5 && isCode(packet.reasonCode);
    if (!isFitting) throw new Mismatch(expected, words(packet));
    const next = await peer.takeOrEnd(expected);
    if (next !== undefined) throw new Mismatch(`nothing after DISCONNECT: ${what}`, words(next));
  }

  /** Sends each of some bytes as an accepted client of its own, and expects to be cut off each time. */
  async refuses(
    inputs: Readonly<Record<string, Bytes>>,
    options: { isCode?: (code: number) => boolean; isAnswer?: (packet: Packet) => boolean } = {},
  ): Promise<void> {
    await this.each(Object.entries(inputs), async ([what, bytes]) => {
      const peer = await this.client();
      peer.sendBytes(bytes);
      await this.refused(peer, what, options);
      peer.cut();
    });
  }

  /**
   * Sends each of some CONNECTs on a connection of its own; none may be accepted. 5.0: CONNACK of 0x80 or above or none;
   * before: no CONNACK, or one with a return code among `returnCodes`. Then the connection must be closed.
   */
  async refusesConnect(
    inputs: Readonly<Record<string, Bytes>>,
    { returnCodes = [] as readonly number[], isCode = anyErrorCode } = {},
  ): Promise<void> {
    await this.each(Object.entries(inputs), async ([what, bytes]) => {
      const peer = this.open();
      peer.sendBytes(bytes);
      await this.connectRefused(peer, what, { returnCodes, isCode });
    });
  }

  async connectRefused(
    peer: Peer,
    what: string,
    { returnCodes = [] as readonly number[], isCode = anyErrorCode } = {},
  ): Promise<ConnackPacket | undefined> {
    const expected = `CONNECT to be refused: ${what}`;
    const packet = await peer.takeOrEnd(expected);
    if (packet === undefined) return undefined;
    const isFitting =
      packet.type === PacketType.Connack &&
      (peer.version === 5 ? isCode(packet.reasonCode) : returnCodes.includes(packet.reasonCode));
    if (!isFitting) throw new Mismatch(expected, words(packet));
    expectEqual(packet.sessionPresent, false, `Session Present in a refusal (${what})`);
    const next = await peer.takeOrEnd(`the connection to be closed after CONNACK ${codeWords(packet.reasonCode)}`);
    if (next !== undefined) throw new Mismatch(`nothing after a refusing CONNACK: ${what}`, words(next));
    return packet;
  }

  /** Does something for each item, a few at a time. Throws the first Mismatch, which tells how many others there were. */
  async each<T>(items: readonly T[], work: (item: T) => Promise<void>, atOnce = 8): Promise<void> {
    const waiting = items[Symbol.iterator]();
    const failures: Mismatch[] = [];
    const worker = async (): Promise<void> => {
      for (const item of waiting) {
        await work(item).catch((error) => {
          if (!(error instanceof Mismatch)) throw error;
          failures.push(error);
        });
      }
    };
    await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
    const [first, ...others] = failures;
    if (first === undefined) return;
    if (others.length === 0) throw first;
    const more = others.map(({ expected }) => expected.replace(/^.*: /, '')).join(', ');
    throw new Mismatch(first.expected, `${first.seen} (and ${others.length} more of ${items.length}: ${more})`);
  }

  // The end

  /** Lets go of all connections, ends all sessions, clears all retained messages. */
  async clear(): Promise<void> {
    for (const peer of this.peers) peer.cut();
    const tasks = [...this.#durable].map(async (clientId) => {
      const peer = await this.client({ clientId, cleanStart: true });
      await peer.disconnect();
    });
    if (this.#retained.size > 0) tasks.push(this.#clearRetained());
    await Promise.allSettled(tasks);
    for (const peer of this.peers) peer.cut();
  }

  async #clearRetained(): Promise<void> {
    const peer = await this.client();
    for (const topic of this.#retained) peer.sendPublish(topic, '', { retain: true });
    await peer.ping();
    await peer.disconnect();
  }
}

/** CONNECT written by hand, each part replaceable: the parts a legal one of this version has. */
export function connectBytes(
  version: ProtocolVersion,
  clientId: string,
  part: {
    readonly name?: Bytes;
    readonly level?: number;
    readonly flags?: number;
    readonly properties?: Bytes;
    readonly payload?: Bytes;
  } = {},
): Uint8Array {
  return frame(
    0x10,
    part.name ?? field(version === 3 ? 'MQIsdp' : 'MQTT'),
    [part.level ?? version, part.flags ?? 0x02],
    uint16(keepAlive),
    part.properties ?? (version === 5 ? hex('00') : []),
    part.payload ?? field(clientId),
  );
}

/** Reason codes for a packet that cannot be read: Malformed Packet, Protocol Error, or unspecified. */
function isMalformedCode(code: number): boolean {
  return (
    code === ReasonCode.MalformedPacket || code === ReasonCode.ProtocolError || code === ReasonCode.UnspecifiedError
  );
}

/** As `isMalformedCode`, or one code that says more. */
export function orCode(...codes: readonly number[]): (code: number) => boolean {
  return (code) => isMalformedCode(code) || codes.includes(code);
}
