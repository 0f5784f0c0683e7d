/**
 * A client of the load: one that publishes or one that subscribes. Packets are written from a template and read where they
 * lie; nothing is allocated for a message. It is not the client library, with which `pipit bench` measures: it has to cost less than
 * the brokers it is to tell apart.
 *
 * The payload says who sent it (4 bytes), its number with that sender (4 bytes) and when, in milliseconds of
 * `performance.now()` (8 bytes). So the two ends must be in one process.
 */

import type { Packet, ProtocolVersion, QoS } from '@pipit/protocol';
import {
  copyBytes,
  decodePacket,
  encodePacket,
  Framer,
  PacketType,
  PublishFrame,
  reasonCodeName,
  viewOf,
} from '@pipit/protocol';
import type { Scenario } from '../scenarios.ts';
import type { Ledger } from './ledger.ts';
import { type Address, Link, type LinkOwner } from './transport.ts';

export const payloadBytesMin = 16;
const packetBytesMax = 256 * 1024 * 1024;
const sessionExpirySeconds = 3600;
const bufferBytesMin = 64 * 1024;

/** Buffers to write from: each belongs to a link until it has left. All have the same size. */
export class WriteBuffers {
  readonly capacity: number;
  readonly #free: WriteBuffer[] = [];

  constructor(capacity: number) {
    this.capacity = Math.max(bufferBytesMin, capacity);
  }

  take(): WriteBuffer {
    return this.#free.pop() ?? new WriteBuffer(this.capacity);
  }

  give(buffer: WriteBuffer): void {
    this.#free.push(buffer);
  }
}

export class WriteBuffer {
  readonly bytes: Uint8Array;
  readonly view: DataView;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
    this.view = viewOf(this.bytes);
  }
}

/** What a peer tells the load. */
export interface LoadOwner {
  /** A publisher may send again, or a delivery has arrived. */
  wake(): void;
  /** The connection ended by itself. */
  lost(why: string): void;
  /** One delivery came in, `at` by the clock of the stamps. */
  delivered(at: number, sentAt: number): void;
  acknowledged(publisher: Publisher): void;
}

export interface Identity {
  readonly clientId: string;
  readonly cleanStart: boolean;
  /** The session outlives the connection. */
  readonly isDurable: boolean;
}

abstract class Peer implements LinkOwner {
  readonly ready: Promise<void>;
  protected readonly owner: LoadOwner;
  protected readonly version: ProtocolVersion;
  protected readonly framer = new Framer(packetBytesMax);
  protected link: Link;
  readonly #buffers: WriteBuffers;
  readonly #identity: Identity;
  #settleReady: { done: () => void; failed: (error: Error) => void } | null = null;
  #isOver = false;
  /** The answers to the chunk being read. */
  #answers: WriteBuffer | null = null;
  #answerLength = 0;

  protected constructor(
    address: Address,
    version: ProtocolVersion,
    identity: Identity,
    buffers: WriteBuffers,
    owner: LoadOwner,
  ) {
    this.owner = owner;
    this.version = version;
    this.#identity = identity;
    this.#buffers = buffers;
    this.ready = new Promise((done, failed) => {
      this.#settleReady = { done, failed };
    });
    this.link = new Link(address, this);
  }

  opened(): void {
    const { clientId, cleanStart, isDurable } = this.#identity;
    const properties = isDurable && this.version === 5 ? { sessionExpiryInterval: sessionExpirySeconds } : undefined;
    const packet = { type: PacketType.Connect, version: this.version, clientId, cleanStart, keepAlive: 0 } as const;
    this.send(properties === undefined ? packet : { ...packet, properties });
  }

  received(bytes: Uint8Array, view: DataView, start: number, end: number): void {
    const { framer } = this;
    const now = performance.now();
    framer.feed(bytes, view, start, end);
    while (framer.next()) this.handle((framer.bytes[framer.start] as number) >> 4, now);
    this.#flushAnswers();
    this.owner.wake();
  }

  drained(): void {
    this.owner.wake();
  }

  closed(why: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    if (this.#settleReady === null) this.owner.lost(why);
    else this.#settleReady.failed(new Error(`A client could not connect: ${why}`));
  }

  /** Says goodbye and leaves. */
  leave(): void {
    this.#isOver = true;
    this.send({ type: PacketType.Disconnect, reasonCode: 0 });
    this.link.destroy();
  }

  protected abstract handle(type: number, now: number): void;

  protected send(packet: Packet): void {
    const bytes = encodePacket(packet, this.version, 'client');
    this.link.write(bytes, bytes.length);
  }

  /** The packets of the handshake, which are rare: decoded whole. Throws when the broker refuses. */
  protected decode(): Packet {
    const { bytes, start, end } = this.framer;
    const packet = decodePacket(bytes, start, end, this.version, 'server');
    if (packet.type === PacketType.Connack && packet.reasonCode !== 0) {
      throw new Error(`The broker refused a client: ${reasonCodeName(packet.reasonCode)}`);
    }
    if (packet.type === PacketType.Disconnect)
      throw new Error(`The broker disconnected a client: ${packet.reasonCode}`);
    return packet;
  }

  protected becomeReady(): void {
    this.#settleReady?.done();
    this.#settleReady = null;
  }

  protected answer(head: number, packetId: number): void {
    if (this.#answers !== null && this.#answerLength + 4 > this.#answers.bytes.length) this.#flushAnswers();
    this.#answers ??= this.#buffers.take();
    this.#answers.view.setUint32(this.#answerLength, (head << 24) | (2 << 16) | packetId);
    this.#answerLength += 4;
  }

  protected write(buffer: WriteBuffer, length: number): void {
    if (this.link.write(buffer.bytes, length)) this.#buffers.give(buffer);
  }

  #flushAnswers(): void {
    if (this.#answers === null) return;
    this.write(this.#answers, this.#answerLength);
    this.#answers = null;
    this.#answerLength = 0;
  }
}

export class Publisher extends Peer {
  readonly #number: number;
  readonly #window: number;
  readonly #qos: QoS;
  /** For each of its topics. */
  readonly #templates: readonly Template[];
  readonly #out: WriteBuffers;
  sent = 0;
  inFlight = 0;
  #packetId = 0;
  /** In the load's line of those who may send. */
  isWaiting = false;

  constructor(
    address: Address,
    scenario: Scenario,
    number: number,
    topics: readonly string[],
    identity: Identity,
    buffers: WriteBuffers,
    owner: LoadOwner,
  ) {
    super(address, scenario.version, identity, buffers, owner);
    this.#number = number;
    this.#window = scenario.window;
    this.#qos = scenario.qos;
    this.#out = buffers;
    this.#templates = topics.map((topic) => publishTemplate(scenario, topic));
  }

  get isReady(): boolean {
    return this.link.isClear && this.room > 0;
  }

  /** Messages that may be sent now. */
  get room(): number {
    return this.#qos === 0 ? Number.MAX_SAFE_INTEGER : this.#window - this.inFlight;
  }

  /** Sends messages with one stamp in one write. */
  publish(count: number, at: number): void {
    const buffer = this.#out.take();
    let start = 0;
    for (let i = 0; i < count; i++) {
      const { bytes, view, packetIdAt, payloadStart } = this.#templates[this.sent % this.#templates.length] as Template;
      copyBytes(buffer.bytes, buffer.view, start, bytes, view, 0, bytes.length);
      if (this.#qos > 0) {
        this.#packetId = (this.#packetId % 0xffff) + 1;
        buffer.view.setUint16(start + packetIdAt, this.#packetId);
      }
      const payloadAt = start + payloadStart;
      buffer.view.setUint32(payloadAt, this.#number);
      buffer.view.setUint32(payloadAt + 4, this.sent++);
      buffer.view.setFloat64(payloadAt + 8, at);
      start += bytes.length;
    }
    if (this.#qos > 0) this.inFlight += count;
    this.write(buffer, start);
  }

  protected handle(type: number): void {
    switch (type) {
      case PacketType.Puback:
      case PacketType.Pubcomp:
        this.inFlight--;
        this.owner.acknowledged(this);
        return;
      case PacketType.Pubrec:
        this.answer((PacketType.Pubrel << 4) | 2, this.framer.view.getUint16(this.framer.body));
        return;
      default:
        if (this.decode().type === PacketType.Connack) this.becomeReady();
    }
  }
}

export class Subscriber extends Peer {
  readonly ledger: Ledger;
  readonly #filter: string;
  readonly #qos: QoS;
  readonly #payloadBytes: number;

  constructor(
    address: Address,
    scenario: Scenario,
    filter: string,
    identity: Identity,
    ledger: Ledger,
    buffers: WriteBuffers,
    owner: LoadOwner,
  ) {
    super(address, scenario.version, identity, buffers, owner);
    this.ledger = ledger;
    this.#filter = filter;
    this.#qos = scenario.qos;
    this.#payloadBytes = scenario.payloadBytes;
  }

  protected handle(type: number, now: number): void {
    const { framer } = this;
    switch (type) {
      case PacketType.Publish:
        return this.#take(now);
      case PacketType.Pubrel:
        return this.answer(PacketType.Pubcomp << 4, framer.view.getUint16(framer.body));
      default: {
        const packet = this.decode();
        if (packet.type === PacketType.Connack) this.#subscribe();
        else if (packet.type === PacketType.Suback) {
          if ((packet.reasonCodes[0] as number) >= 0x80) throw new Error(`The broker refused ${this.#filter}`);
          this.becomeReady();
        }
      }
    }
  }

  #subscribe(): void {
    const filter = { filter: this.#filter, qos: this.#qos, noLocal: false, retainAsPublished: false } as const;
    this.send({ type: PacketType.Subscribe, packetId: 1, subscriptions: [{ ...filter, retainHandling: 0 }] });
  }

  #take(now: number): void {
    const { view, bytes, start, body, end } = this.framer;
    const payloadAt = end - this.#payloadBytes;
    this.ledger.record(view.getUint32(payloadAt), view.getUint32(payloadAt + 4));
    this.owner.delivered(now, view.getFloat64(payloadAt + 8));
    const qos = ((bytes[start] as number) >> 1) & 3;
    if (qos === 0) return;
    const packetId = view.getUint16(body + 2 + view.getUint16(body));
    this.answer((qos === 1 ? PacketType.Puback : PacketType.Pubrec) << 4, packetId);
  }
}

/** The bytes of a PUBLISH, and where in them the packet id (-1: none) and the payload are. */
interface Template {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly packetIdAt: number;
  readonly payloadStart: number;
}

function publishTemplate({ version, qos, payloadBytes, userProperties }: Scenario, topic: string): Template {
  const payload = new Uint8Array(Math.max(payloadBytesMin, payloadBytes)).fill(0x78);
  const properties = Array.from({ length: userProperties }, (_, i) => [`property-${i}`, `value of ${i}`] as const);
  const packet = {
    type: PacketType.Publish,
    topic,
    payload,
    qos,
    retain: false,
    dup: false,
    packetId: qos === 0 ? 0 : 1,
  };
  const bytes = encodePacket(
    properties.length === 0 ? packet : { ...packet, properties: { userProperties: properties } },
    version,
    'client',
  );
  const framer = new Framer(packetBytesMax);
  framer.feed(bytes, viewOf(bytes), 0, bytes.length);
  framer.next();
  const frame = new PublishFrame();
  frame.read(bytes, viewOf(bytes), 0, framer.body, bytes.length, version, 'client');
  return { bytes, view: viewOf(bytes), packetIdAt: frame.packetIdAt, payloadStart: frame.payloadStart };
}
