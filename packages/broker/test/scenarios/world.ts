/**
 * A broker in virtual time, for scenarios: clients speak packets, the clock stands until it is moved, and everything that a
 * client received must be expected, in order, with nothing left over.
 *
 *     const world = new World();
 *     const alice = world.connect({ clientId: 'alice', version: 5 });
 *     alice.send(publish({ topic: 't', qos: 1, packetId: 7 }));
 *     alice.expect(puback(7, ReasonCode.NoMatchingSubscribers));
 *     world.end();   // also fails on anything unexpected anywhere
 *
 * A scenario runs on each of `storeKinds`: without a store, with a double that answers at once, late, or after failures, and with
 * the real log on a simulated disk.
 */

import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import {
  type ConnackProperties,
  type ConnectPacket,
  decodePacket,
  encodePacket,
  Framer,
  type Packet,
  PacketType,
  type ProtocolVersion,
  type PublishPacket,
  viewOf,
} from '@pipit/protocol';
import {
  type AuthenticationRequest,
  type BrokerEvent,
  type Connection,
  Core,
  type CoreOptions,
  type Effect,
  type Limits,
  type LocalMessage,
  type LocalSubscribe,
  type LocalSubscriber,
  type Peer,
  type Verdict,
} from '../../src/core/index.ts';
import { checkInvariants } from '../../src/core/invariants.ts';
import { StoreDouble } from './store-double.ts';

export type StoreKind = 'none' | StoreDouble['kind'];
export const storeKinds: readonly StoreKind[] = ['none', 'instant', 'late', 'failing', 'log'];
const isCold = { retainedBytesInMemoryMax: 0 };
/** Where retained messages are: in memory, or in the store alone as soon as they last. */
export const retainedKinds: readonly (readonly [StoreKind, Partial<Limits>, string])[] = [
  ...storeKinds.map((kind) => [kind, {}, 'in memory'] as const),
  ...storeKinds.slice(1).map((kind) => [kind, isCold, 'cold'] as const),
];

export interface WorldOptions extends Partial<CoreOptions> {
  readonly store?: StoreKind;
  /** Decides on CONNECT and AUTH; undefined: the answer is given later by `answer`. Everybody is let in by default. */
  readonly authority?: (request: AuthenticationRequest) => Verdict | undefined;
  /** Continue on the store of an earlier world: a restart. */
  readonly after?: World;
  /** Internal errors are what the scenario is about: look at the events. Otherwise one ends the scenario. */
  readonly toleratesErrors?: boolean;
  /** How far the wall clock moved between the end of `after` and this start; negative when it was set back. */
  readonly downtimeMs?: number;
}

/** What a scenario may say of a packet: what is left out takes the default of its builder (see packets.ts). */
export class World {
  readonly core: Core;
  readonly events: BrokerEvent[] = [];
  readonly store: StoreDouble | null;
  readonly delivered: { subscriber: LocalSubscriber; token: number; message: LocalMessage }[] = [];
  readonly published = new Map<number, number>();
  readonly questions: { connection: Connection; exchange: number; request: AuthenticationRequest }[] = [];
  readonly clients: Client[] = [];
  now: number;
  readonly wallOffsetMs: number;
  private readonly authority: (request: AuthenticationRequest) => Verdict | undefined;
  private readonly toleratesErrors: boolean;
  /** Turns taken so far: what bounded work is measured in. */
  turns = 0;
  private tokens = 0;
  private opened = 0;

  constructor(options: WorldOptions = {}) {
    const {
      store = 'none',
      authority = () => ({ outcome: 'accept', principal: null }),
      after,
      downtimeMs = 0,
      toleratesErrors = false,
      ...rest
    } = options;
    this.authority = authority;
    this.toleratesErrors = toleratesErrors;
    this.now = after === undefined ? 1_000 : 5_000;
    this.wallOffsetMs =
      after === undefined ? 1_700_000_000_000 : after.now + after.wallOffsetMs + downtimeMs - this.now;
    this.store = store === 'none' ? null : (after?.store ?? new StoreDouble(store));
    this.core = new Core(
      { seed: 1, sysIntervalMs: null, durability: store === 'none' ? 'memory' : 'fsync', ...rest },
      this.now,
      this.wallOffsetMs,
    );
    if (after !== undefined && this.store !== null) for (const _ of this.core.restore(this.store.state(), this.now));
    this.settle();
  }

  /** A raw connection that has sent nothing. */
  open(version: ProtocolVersion = 5, peer: Partial<Peer> = {}): Client {
    const entropy = new Uint8Array(16).fill(++this.opened);
    const whole: Peer = { transport: 'memory', address: `peer-${this.opened}`, listener: 'memory', ...peer };
    const client = new Client(this, version, this.core.opened(whole, entropy, this.now));
    client.connection.tag = client;
    this.clients.push(client);
    this.settle();
    return client;
  }

  /** A client that sent CONNECT and got its CONNACK, which is in `client.connack` and need not be expected. */
  connect(connect: Partial<ConnectPacket> & { clientId: string }, peer: Partial<Peer> = {}): Client {
    const client = this.connecting(connect, peer);
    client.connack = client.take('CONNACK');
    assert.equal(client.connack.type, PacketType.Connack);
    return client;
  }

  /** A client that sent CONNECT, whatever the answer. */
  connecting(connect: Partial<ConnectPacket> & { clientId: string }, peer: Partial<Peer> = {}): Client {
    const version = connect.version ?? 5;
    const client = this.open(version, peer);
    client.send({ type: PacketType.Connect, cleanStart: true, keepAlive: 0, ...connect, version });
    return client;
  }

  /** In-process publish; its reason code once its promise is settled, else undefined. */
  publish(
    topic: string,
    payload = '',
    options: { qos?: 0 | 1 | 2; retain?: boolean; clientId?: string } = {},
  ): () => number | undefined {
    const token = ++this.tokens;
    const { qos = 0, retain = false, ...rest } = options;
    this.core.publish({ topic, payload: text(payload), qos, retain, ...rest }, token, this.now);
    this.settle();
    return () => this.published.get(token);
  }

  subscribe(options: LocalSubscribe): LocalSubscriber {
    const subscriber = this.core.subscribe(options, this.now);
    this.settle();
    return subscriber;
  }

  /** Settles the oldest message handed to in-process code, and returns it. */
  settleLocal(reasonCode = 0): LocalMessage {
    const next = this.delivered.shift();
    assert.ok(next, 'nothing was delivered to in-process code');
    this.core.settled(next.subscriber, next.token, reasonCode, this.now);
    this.settle();
    return next.message;
  }

  /** Gives a verdict on the oldest open question. */
  answer(verdict: Verdict): void {
    const question = this.questions.shift();
    assert.ok(question, 'the authority was not asked');
    this.core.authenticated(question.connection, question.exchange, verdict, this.now);
    this.settle();
  }

  /** Moves the clock, stopping at every deadline on the way. */
  advance(ms: number): void {
    const end = this.now + ms;
    for (let due = this.core.deadline(); due <= end; due = this.core.deadline()) {
      this.now = Math.max(this.now, due);
      this.turn();
      this.settle();
    }
    this.now = end;
    this.settle();
  }

  /** Takes turns until the core has nothing to do at this moment. A late or failing store is waited for. */
  settle(): void {
    for (let turns = 0; ; turns++) {
      assert.ok(turns < 100_000, 'the core does not come to rest');
      const said = this.turn();
      if (said || this.core.deadline() <= this.now) continue;
      if (this.store === null || this.store.isStalled) return;
      if (this.store.answer(this.core, this.now)) continue;
      const { isBroken, isCommitStalled, isPagingStalled } = this.store;
      if (isBroken || isCommitStalled || isPagingStalled || this.core.isQuiet()) return;
      // A failed commit is tried again after its back-off.
      this.now = this.core.deadline();
    }
  }

  /** One turn; true when it had something to say. */
  turn(): boolean {
    this.turns++;
    const { writes, effects } = this.core.take(this.now);
    const said = writes.length > 0 || effects.length > 0;
    for (const connection of writes) (connection.tag as Client).flush();
    for (const effect of [...effects]) this.perform(effect);
    checkInvariants(this.core);
    return said;
  }

  private perform(effect: Effect): void {
    switch (effect.kind) {
      case 'pause':
      case 'resume':
        (effect.connection.tag as Client).isPaused = effect.kind === 'pause';
        return;
      case 'close':
        (effect.connection.tag as Client).isClosed = true;
        return;
      case 'authenticate': {
        const { connection, exchange, request } = effect;
        const verdict = this.authority(request);
        if (verdict === undefined) this.questions.push({ connection, exchange, request });
        else this.core.authenticated(connection, exchange, verdict, this.now);
        return;
      }
      case 'commit':
        this.store?.commit(effect.batch);
        return;
      case 'page':
        this.store?.page(effect.request);
        return;
      case 'fetch':
        this.store?.fetch(effect.request);
        return;
      case 'deliver':
        this.delivered.push({ subscriber: effect.subscriber, token: effect.token, message: effect.message });
        return;
      case 'published':
        this.published.set(effect.token, effect.reasonCode);
        return;
      case 'event':
        if (effect.event.type === 'internal-error' && !this.toleratesErrors) assert.fail(effect.event.error);
        this.events.push(effect.event);
        return;
    }
  }

  /** Takes the events of one type told since the last call. */
  takeEvents<Type extends BrokerEvent['type']>(type: Type): Extract<BrokerEvent, { type: Type }>[] {
    const taken = this.events.filter((event) => event.type === type);
    for (const event of taken) this.events.splice(this.events.indexOf(event), 1);
    return taken as Extract<BrokerEvent, { type: Type }>[];
  }

  /** The end of a scenario: nobody has anything unexpected, and in-process code has nothing unsettled. */
  end(): void {
    this.settle();
    for (const client of this.clients) client.expectNothing();
    assert.equal(this.delivered.length, 0, 'in-process code got more than was expected');
  }
}

export class Client {
  readonly world: World;
  readonly version: ProtocolVersion;
  readonly connection: Connection;
  connack: Packet | null = null;
  isPaused = false;
  isClosed = false;
  /** Do not read: bytes stay unsent. */
  isFrozen = false;
  /** Throw away what comes: for peers that nobody asks what they got. */
  isDeaf = false;
  private frozenBytes = 0;
  private readonly framer = new Framer(268_435_460);
  private readonly inbox: Packet[] = [];

  constructor(world: World, version: ProtocolVersion, connection: Connection) {
    this.world = world;
    this.version = version;
    this.connection = connection;
  }

  /** Sends packets in one piece, and lets the broker come to rest. */
  send(...packets: Packet[]): void {
    this.sendRaw(concat(packets.map((packet) => encodePacket(packet, this.version, 'client'))));
  }

  /** Sends bytes: a Uint8Array or hexadecimal digits. */
  sendRaw(bytes: Uint8Array | string): void {
    const raw =
      typeof bytes === 'string'
        ? Uint8Array.from(bytes.match(/[0-9a-f]{2}/gi) ?? [], (byte) => Number.parseInt(byte, 16))
        : bytes;
    const lent = raw.slice();
    this.world.core.received(this.connection, lent, viewOf(lent), 0, lent.length, this.world.now);
    lent.fill(0xee); // It stays the caller's: whatever the core keeps must be a copy.
    this.world.settle();
  }

  /** Sends a PUBLISH and goes through its flow; `reasonCode` is that of PUBACK or PUBREC. */
  publishWhole(packet: PublishPacket, reasonCode = 0): void {
    const { qos, packetId } = packet;
    this.send(packet);
    if (qos === 1) this.expect({ type: PacketType.Puback, packetId, reasonCode });
    if (qos !== 2) return;
    this.expect({ type: PacketType.Pubrec, packetId, reasonCode });
    if (reasonCode < 0x80) this.releaseWhole(packetId);
  }

  /** The second half of sending at QoS 2. */
  releaseWhole(packetId: number): void {
    this.send({ type: PacketType.Pubrel, packetId, reasonCode: 0 });
    this.expect({ type: PacketType.Pubcomp, packetId, reasonCode: 0 });
  }

  /** Exactly this PUBLISH came; it is acknowledged to the end of its flow. */
  receiveWhole(packet: PublishPacket): void {
    this.expect(packet);
    this.acknowledgeWhole(packet);
  }

  /** Acknowledges a PUBLISH to the end of its flow, in which nothing else may come. */
  acknowledgeWhole({ qos, packetId }: PublishPacket): void {
    if (qos === 1) this.send({ type: PacketType.Puback, packetId, reasonCode: 0 });
    if (qos !== 2) return;
    this.send({ type: PacketType.Pubrec, packetId, reasonCode: 0 });
    this.expect({ type: PacketType.Pubrel, packetId, reasonCode: 0 });
    this.send({ type: PacketType.Pubcomp, packetId, reasonCode: 0 });
  }

  /** The socket is gone without a DISCONNECT. */
  drop(): void {
    this.world.core.closed(this.connection, this.world.now, 'reset');
    this.world.settle();
  }

  freeze(): void {
    this.isFrozen = true;
  }

  /** Reads everything that piled up. */
  thaw(): void {
    this.isFrozen = false;
    this.frozenBytes = 0;
    this.world.core.written(this.connection, null, 0, this.world.now);
    this.world.settle();
  }

  /** Takes what the core wrote. A frozen client's socket takes nothing. */
  flush(): void {
    for (let slab = this.connection.shift(); slab !== null; slab = this.connection.shift()) {
      const bytes = slab.bytes.slice(0, slab.length);
      const { length } = slab;
      if (this.isFrozen) {
        this.frozenBytes += length;
        this.world.core.written(this.connection, null, this.frozenBytes, this.world.now);
      } else this.world.core.written(this.connection, slab, 0, this.world.now);
      if (this.isDeaf) continue;
      this.framer.feed(bytes, viewOf(bytes), 0, length);
      while (this.framer.next()) {
        this.inbox.push(decodePacket(this.framer.bytes, this.framer.start, this.framer.end, this.version, 'server'));
      }
    }
  }

  /** Exactly these packets came, in this order, and nothing else. */
  expect(...packets: Packet[]): void {
    this.world.settle();
    assert.deepEqual(this.inbox.map(comparable), packets.map(comparable));
    this.inbox.length = 0;
  }

  expectNothing(): void {
    this.expect();
  }

  /** The connection was closed by the broker, after exactly these packets. */
  expectClosed(...packets: Packet[]): void {
    this.expect(...packets);
    assert.ok(this.isClosed, 'the connection is still open');
  }

  /** The broker refused the CONNECT with this code, and said nothing else; null: without a CONNACK. */
  expectRefused(reasonCode: number | null, properties: object = {}): void {
    this.expectEnd(PacketType.Connack, reasonCode, properties);
  }

  /** The broker ended the connection: 5.0 is told this reason code, 3.x is not; null: nobody is. */
  expectDisconnected(reasonCode: number | null, properties: object = {}): void {
    this.expectEnd(PacketType.Disconnect, this.version === 5 ? reasonCode : null, properties);
  }

  /** One packet whose Reason String, which is for people, may say anything; then the end. */
  private expectEnd(type: PacketType, reasonCode: number | null, properties: object): void {
    const packets = this.takeAll().map((packet) => {
      const said: ConnackProperties = ('properties' in packet ? packet.properties : undefined) ?? {};
      const { reasonString: _, ...rest } = said;
      return { type: packet.type, reasonCode: 'reasonCode' in packet ? packet.reasonCode : -1, properties: rest };
    });
    assert.deepEqual(packets, reasonCode === null ? [] : [{ type, reasonCode, properties }]);
    assert.ok(this.isClosed, 'the connection is still open');
  }

  /** The next packet, whatever it is. */
  take(what = 'a packet'): Packet {
    this.world.settle();
    const packet = this.inbox.shift();
    assert.ok(packet, `${what} was expected and nothing came`);
    return packet;
  }

  /** What has come so far, still to be expected; nothing is set in motion. */
  peekAll(): readonly Packet[] {
    return this.inbox;
  }

  /** What has come so far, without setting anything in motion. */
  takeNow(): Packet[] {
    return this.inbox.splice(0);
  }

  /** Everything that came, to look at in other ways than one by one. */
  takeAll(): Packet[] {
    this.world.settle();
    return this.inbox.splice(0);
  }
}

/** Packets compare by what they say: payloads as text or hexadecimal, absent properties as none. */
function comparable(packet: Packet): unknown {
  const { properties, ...rest } = packet as Packet & { properties?: object; payload?: Uint8Array };
  const shown =
    properties !== undefined && Object.keys(properties).length > 0
      ? { ...rest, properties: { ...properties } }
      : { ...rest };
  return 'payload' in shown && shown.payload !== undefined ? { ...shown, payload: readable(shown.payload) } : shown;
}

/** Text where it is text, digits where it is not; of long payloads the start and what tells them apart. */
function readable(bytes: Uint8Array): string {
  const start = Buffer.from(bytes.subarray(0, 200));
  if (bytes.length > 200) {
    return `${start.toString('latin1')}… (${bytes.length} bytes, ${createHash('sha1').update(bytes).digest('hex')})`;
  }
  return isUtf8(start) ? start.toString() : start.toString('hex');
}

export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
