/**
 * One connection of the suite: it sends what it is told, legal or not, and keeps what arrives until a case takes it. What
 * nobody took is what a case must explain: `leftover` and `refused` look at it. Wire rules are checked on every packet
 * that arrives; an illegal one fails whatever case is waiting.
 */
import type {
  ConnackPacket,
  Packet,
  ProtocolVersion,
  PublishPacket,
  PublishProperties,
  QoS,
  Sender,
  SubscribeProperties,
  SubscriptionRequest,
} from '@pipit/protocol';
import { DecodeError, decodePacket, encodePacket, encodeUtf8, Framer, PacketType, viewOf } from '@pipit/protocol';
import { type Bytes, hexOf } from './bytes.ts';
import type { Link, LinkObserver } from './link.ts';
import { codeWords, expectEqual, Mismatch, words } from './outcome.ts';

export type PacketOf<Type extends PacketType> = Extract<Packet, { type: Type }>;

export interface PublishOptions {
  readonly qos?: QoS;
  readonly retain?: boolean;
  readonly dup?: boolean;
  readonly packetId?: number;
  readonly properties?: PublishProperties;
}

const packetBytesMax = 268_435_460;
const logLinesMax = 40;

export class Peer implements LinkObserver {
  version: ProtocolVersion;
  /** Drops illegal packets unseen: for who hears everything, of other cases too. */
  isEavesdropper = false;
  /** Its CONNACK, once it has one. */
  connack: ConnackPacket | undefined;
  clientId = '';
  /** Everything sent (`>`) and received (`<`), in hexadecimal, from the beginning. */
  readonly log: string[] = [];
  readonly #sender: Sender;
  readonly #timeoutMs: number;
  readonly #framer = new Framer(packetBytesMax);
  #link: Link | undefined;
  #inbox: Packet[] = [];
  #bytes: Uint8Array[] = [];
  #end: string | undefined;
  #illegal: Mismatch | undefined;
  readonly #waiting = new Set<() => void>();
  #lastPacketId = 0;

  constructor(version: ProtocolVersion, sender: Sender, timeoutMs: number) {
    this.version = version;
    this.#sender = sender;
    this.#timeoutMs = timeoutMs;
  }

  set link(link: Link) {
    this.#link = link;
  }

  received(bytes: Uint8Array): void {
    const chunk = bytes.slice();
    this.#framer.feed(chunk, viewOf(chunk), 0, chunk.length);
    try {
      while (this.#illegal === undefined && this.#framer.next()) this.#arrived();
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.#note('<', chunk);
      this.#illegal ??= new Mismatch('a legal packet', `${hexOf(chunk)}: ${error.message}`);
    }
    this.#wake();
  }

  #arrived(): void {
    const { bytes, start, end } = this.#framer;
    const frame = bytes.slice(start, end);
    this.#note('<', frame);
    if (this.#sender === 'server' && (frame[0] as number) >> 4 === PacketType.Connect) this.#readVersion(frame);
    try {
      const sentBy = this.#sender === 'client' ? 'server' : 'client';
      this.#inbox.push(decodePacket(bytes, start, end, this.version, sentBy));
      this.#bytes.push(frame);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      if (this.isEavesdropper) return;
      this.#illegal = new Mismatch('a legal packet', `${hexOf(frame)}: ${error.message}`);
    }
  }

  #readVersion(frame: Uint8Array): void {
    const connect = decodePacket(frame, 0, frame.length, 5, 'client');
    if (connect.type === PacketType.Connect) this.version = connect.version;
  }

  ended(how: string): void {
    this.#end ??= how;
    this.#wake();
  }

  #note(direction: '>' | '<', bytes: Bytes): void {
    if (this.log.length < logLinesMax) this.log.push(`${direction} ${hexOf(bytes)}`);
  }

  sendBytes(bytes: Bytes): void {
    this.#note('>', bytes);
    this.#link?.send(bytes instanceof Uint8Array ? bytes : Uint8Array.from(bytes));
  }

  /** In one write. */
  send(...packets: readonly Packet[]): void {
    const frames = packets.map((packet) => encodePacket(packet, this.version, this.#sender));
    const all = new Uint8Array(frames.reduce((sum, bytes) => sum + bytes.length, 0));
    let at = 0;
    for (const bytes of frames) {
      this.#note('>', bytes);
      all.set(bytes, at);
      at += bytes.length;
    }
    this.#link?.send(all);
  }

  /** A packet identifier this peer has not used yet. */
  nextPacketId(): number {
    return ++this.#lastPacketId;
  }

  /** What arrived and nobody took, and whether the connection is over: words for a report. */
  get seen(): string {
    const end = this.#end === undefined ? [] : [`the connection is over (${this.#end})`];
    const all = [...this.#inbox.map(words), ...end];
    return all.length === 0 ? 'nothing' : all.join('; ');
  }

  /** How the connection ended: `closed`, or an error such as ECONNREFUSED. */
  get end(): string | undefined {
    return this.#end;
  }

  get isOver(): boolean {
    return this.#end !== undefined;
  }

  /** Packets that arrived and nobody took. */
  get untaken(): readonly Packet[] {
    return this.#inbox;
  }

  /** Waits until `ready` gives something other than undefined; a Mismatch once the deadline or the connection is over. */
  async #until<T>(expected: string, ready: () => T | undefined, timeoutMs = this.#timeoutMs): Promise<T> {
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#wake();
    }, timeoutMs);
    try {
      for (;;) {
        const value = ready();
        if (value !== undefined) return value;
        if (this.#illegal !== undefined) throw this.#illegal;
        if (isLate || this.#end !== undefined) {
          throw new Mismatch(expected, isLate ? `${this.seen}, for ${timeoutMs / 1000} s` : this.seen);
        }
        await new Promise<void>((wake) => this.#waiting.add(wake));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  /** The first untaken packet that `matches`; others stay. */
  takeWhere<T extends Packet>(
    expected: string,
    matches: (packet: Packet) => packet is T,
    timeoutMs?: number,
  ): Promise<T>;
  takeWhere(expected: string, matches: (packet: Packet) => boolean, timeoutMs?: number): Promise<Packet>;
  takeWhere(expected: string, matches: (packet: Packet) => boolean, timeoutMs?: number): Promise<Packet> {
    return this.#until(
      expected,
      () => {
        const index = this.#inbox.findIndex(matches);
        if (index === -1) return undefined;
        this.#bytes.splice(index, 1);
        return this.#inbox.splice(index, 1)[0];
      },
      timeoutMs,
    );
  }

  /** The first untaken packet of a type. */
  take<Type extends PacketType>(type: Type, expected: string, timeoutMs?: number): Promise<PacketOf<Type>> {
    const isOfType = (packet: Packet): packet is PacketOf<Type> => packet.type === type;
    return this.takeWhere(expected, isOfType, timeoutMs);
  }

  /** The first untaken packet, whatever it is, with its bytes. */
  takeFirst(expected: string, timeoutMs?: number): Promise<{ packet: Packet; bytes: Uint8Array }> {
    return this.#until(
      expected,
      () => {
        const packet = this.#inbox.shift();
        return packet === undefined ? undefined : { packet, bytes: this.#bytes.shift() as Uint8Array };
      },
      timeoutMs,
    );
  }

  /** The next untaken packet, or undefined when the connection is over. */
  async takeOrEnd(expected: string, timeoutMs?: number): Promise<Packet | undefined> {
    const taken = await this.#until(
      expected,
      () => {
        const packet = this.#inbox.shift();
        if (packet !== undefined) this.#bytes.shift();
        return packet ?? (this.#end === undefined ? undefined : 'end');
      },
      timeoutMs,
    );
    return taken === 'end' ? undefined : taken;
  }

  /** Waits for the other end to close; what arrived stays untaken. */
  async over(expected = 'the connection to be closed', timeoutMs?: number): Promise<void> {
    await this.#until(expected, () => this.#end, timeoutMs);
    if (this.#illegal !== undefined) throw this.#illegal;
  }

  /** Throws a Mismatch when anything is untaken or the connection is over. */
  expectNothing(what = 'nothing more'): void {
    if (this.#illegal !== undefined) throw this.#illegal;
    if (this.#inbox.length > 0 || this.#end !== undefined) throw new Mismatch(what, this.seen);
  }

  /** Closes our half without DISCONNECT and waits until the other end has noticed; gives up waiting after a second. */
  async drop(): Promise<void> {
    this.#link?.finish();
    await this.over(undefined, 1000).catch(() => {});
    this.#link?.cut();
  }

  cut(): void {
    this.#link?.cut();
  }

  /** Sends DISCONNECT, closes our half and waits until the other end has closed too. */
  async disconnect(reasonCode = 0, sessionExpiryInterval?: number): Promise<void> {
    const properties = sessionExpiryInterval === undefined ? {} : { properties: { sessionExpiryInterval } };
    this.send({ type: PacketType.Disconnect, reasonCode, ...properties });
    await this.drop();
  }

  // What follows is of a client only.

  /** PINGREQ and its PINGRESP. */
  async ping(): Promise<void> {
    this.send({ type: PacketType.Pingreq });
    await this.take(PacketType.Pingresp, 'PINGRESP');
  }

  /** Subscribes and returns the reason codes. */
  async subscribe(
    requests: string | readonly Partial<SubscriptionRequest>[],
    qos: QoS = 0,
    properties?: SubscribeProperties,
  ): Promise<number[]> {
    const packetId = this.nextPacketId();
    const list = typeof requests === 'string' ? [{ filter: requests, qos }] : requests;
    this.send({
      type: PacketType.Subscribe,
      packetId,
      subscriptions: list.map((request) => ({
        filter: '',
        qos,
        noLocal: false,
        retainAsPublished: false,
        retainHandling: 0,
        ...request,
      })),
      ...(properties !== undefined && { properties }),
    });
    const suback = await this.take(PacketType.Suback, 'SUBACK');
    expectEqual(suback.packetId, packetId, 'SUBACK with packet identifier');
    return suback.reasonCodes;
  }

  /** Subscribes and insists on being granted just what was asked for. */
  async subscribed(filter: string, qos: QoS = 0, options: Partial<SubscriptionRequest> = {}): Promise<void> {
    const codes = await this.subscribe([{ ...options, filter, qos }]);
    expectEqual(codes, [qos], `SUBACK for ${filter}`);
  }

  async unsubscribe(...filters: readonly string[]): Promise<number[]> {
    const packetId = this.nextPacketId();
    this.send({ type: PacketType.Unsubscribe, packetId, filters: [...filters] });
    const unsuback = await this.take(PacketType.Unsuback, 'UNSUBACK');
    expectEqual(unsuback.packetId, packetId, 'UNSUBACK with packet identifier');
    return unsuback.reasonCodes;
  }

  /** Sends a PUBLISH only; returns its packet identifier. */
  sendPublish(topic: string, payload: string | Uint8Array, options: PublishOptions = {}): number {
    const packet = publishPacket(topic, payload, options);
    if (packet.qos > 0 && packet.packetId === 0) packet.packetId = this.nextPacketId();
    this.send(packet);
    return packet.packetId;
  }

  /** Publishes through the whole exchange; returns the reason code of PUBACK or PUBREC. */
  async publish(topic: string, payload: string | Uint8Array, options: PublishOptions = {}): Promise<number> {
    const packetId = this.sendPublish(topic, payload, options);
    if (packetId === 0) return 0;
    if (options.qos === 1) return (await this.takeAck(PacketType.Puback, packetId)).reasonCode;
    const { reasonCode } = await this.takeAck(PacketType.Pubrec, packetId);
    if (reasonCode < 0x80) {
      this.ack(PacketType.Pubrel, packetId);
      await this.takeAck(PacketType.Pubcomp, packetId);
    }
    return reasonCode;
  }

  /** Publishes and insists on success. */
  async published(topic: string, payload: string | Uint8Array, options: PublishOptions = {}): Promise<void> {
    const code = await this.publish(topic, payload, options);
    if (code >= 0x80) throw new Mismatch(`the PUBLISH to ${topic} to be accepted`, codeWords(code));
  }

  ack(type: AckType, packetId: number, reasonCode = 0): void {
    this.send({ type, packetId, reasonCode } as Packet);
  }

  takeAck<Type extends AckType>(type: Type, packetId: number, timeoutMs?: number): Promise<PacketOf<Type>> {
    const isIt = (packet: Packet): packet is PacketOf<Type> => packet.type === type && packet.packetId === packetId;
    const names = { 4: 'PUBACK', 5: 'PUBREC', 6: 'PUBREL', 7: 'PUBCOMP' } as const;
    return this.takeWhere(`${names[type]} with packet identifier ${packetId}`, isIt, timeoutMs);
  }

  /** The next PUBLISH, not acknowledged. */
  takePublish(expected = 'a PUBLISH', timeoutMs?: number): Promise<PublishPacket> {
    return this.take(PacketType.Publish, expected, timeoutMs);
  }

  /** The next PUBLISH, acknowledged through the whole exchange. */
  async receive(expected?: string, timeoutMs?: number): Promise<PublishPacket> {
    const message = await this.takePublish(expected, timeoutMs);
    await this.acknowledge(message);
    return message;
  }

  async acknowledge(message: PublishPacket): Promise<void> {
    if (message.qos === 1) this.ack(PacketType.Puback, message.packetId);
    if (message.qos !== 2) return;
    this.ack(PacketType.Pubrec, message.packetId);
    await this.takeAck(PacketType.Pubrel, message.packetId);
    this.ack(PacketType.Pubcomp, message.packetId);
  }
}

type AckType =
  | typeof PacketType.Puback
  | typeof PacketType.Pubrec
  | typeof PacketType.Pubrel
  | typeof PacketType.Pubcomp;

/** A SUBSCRIBE of one filter. */
export function subscribePacket(packetId: number, filter: string, qos: QoS = 0): PacketOf<typeof PacketType.Subscribe> {
  const plain = { noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
  return { type: PacketType.Subscribe, packetId, subscriptions: [{ filter, qos, ...plain }] };
}

export function publishPacket(
  topic: string,
  payload: string | Uint8Array,
  { qos = 0, retain = false, dup = false, packetId = 0, properties }: PublishOptions = {},
): PublishPacket {
  return {
    type: PacketType.Publish,
    topic,
    payload: typeof payload === 'string' ? encodeUtf8(payload) : payload,
    qos,
    retain,
    dup,
    packetId,
    ...(properties !== undefined && { properties }),
  };
}

/** The payload as text. */
export function textOf(message: PublishPacket): string {
  return String.fromCharCode(...message.payload);
}
