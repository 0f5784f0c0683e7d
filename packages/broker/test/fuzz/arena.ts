/**
 * A broker in virtual time among peers that may send anything: the core, a store double, an authority, and sockets that stop
 * reading, stop being read and go away. After every turn the invariants hold, and everything the broker writes is a packet
 * that the peer's version knows and that is no larger than the peer allows.
 */

import assert from 'node:assert/strict';
import {
  decodePacket,
  Framer,
  type Packet,
  PacketType,
  type ProtocolVersion,
  type PublishPacket,
  packetTypeName,
  viewOf,
} from '@pipit/protocol';
import type { Features } from '../../../protocol/test/fuzz/target.ts';
import { type BrokerEvent, type Connection, Core, type Effect, type LocalSubscriber } from '../../src/core/index.ts';
import { checkInvariants } from '../../src/core/invariants.ts';
import { StoreDouble } from '../scenarios/store-double.ts';
import { Authority } from './authority.ts';
import { checkBounds, chunkBytesMax } from './bounds.ts';
import { smallLimits } from './limits.ts';
import type { Script } from './script.ts';

export class Socket {
  readonly connection: Connection;
  isClosed = false;
  isFrozen = false;
  isPaused = false;
  unsentBytes = 0;
  /** What the broker does not read now: it stays with the peer, as with TCP. */
  pending: Uint8Array[] = [];
  readonly framer = new Framer(0x1000_0004);
  readonly onPacket: (packet: Packet) => void;

  constructor(connection: Connection, onPacket: (packet: Packet) => void) {
    this.connection = connection;
    this.onPacket = onPacket;
    connection.tag = this;
  }
}

export class Arena {
  readonly core: Core;
  readonly store: StoreDouble | null;
  readonly authority = new Authority();
  readonly delivered: { readonly subscriber: LocalSubscriber; readonly token: number }[] = [];
  now = 1_000;
  private opened = 0;
  private resumed: Socket[] = [];
  readonly features: Features;

  constructor({ store, turnDeliveriesMax }: Script, features: Features) {
    this.features = features;
    this.store = store === 'none' ? null : new StoreDouble(store);
    const limits = { ...smallLimits, turnDeliveriesMax };
    const options = {
      seed: 1,
      sysIntervalMs: null,
      durability: store === 'none' ? ('memory' as const) : ('fsync' as const),
      limits,
    };
    this.core = new Core(options, this.now, 1_700_000_000_000);
  }

  /** The disk answers: what lasts can be acknowledged. */
  get storeFlows(): boolean {
    return this.store === null || !(this.store.isStalled || this.store.isBroken || this.store.isPagingBroken);
  }

  open(isHonest: boolean, onPacket: (packet: Packet) => void = () => {}): Socket {
    const entropy = new Uint8Array(16).fill(++this.opened);
    const address = `${isHonest ? 'honest' : 'hostile'}-${this.opened}`;
    const connection = this.core.opened({ transport: 'memory', address, listener: 'memory' }, entropy, this.now);
    const socket = new Socket(connection, onPacket);
    this.settle();
    return socket;
  }

  /** The peer sends; what the broker does not want to read waits. */
  send(socket: Socket, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += chunkBytesMax) socket.pending.push(bytes.slice(at, at + chunkBytesMax));
    this.feed(socket);
    this.settle();
  }

  private feed(socket: Socket): void {
    while (!socket.isPaused && !socket.isClosed) {
      const bytes = socket.pending.shift();
      if (bytes === undefined) return;
      const lent = bytes.slice();
      this.core.received(socket.connection, lent, viewOf(lent), 0, lent.length, this.now);
      lent.fill(0xee); // It stays the caller's.
      this.turn();
    }
  }

  drop(socket: Socket): void {
    socket.pending = [];
    this.core.closed(socket.connection, this.now, 'reset');
    this.settle();
  }

  thaw(socket: Socket): void {
    socket.isFrozen = false;
    socket.unsentBytes = 0;
    this.core.written(socket.connection, null, 0, this.now);
    this.settle();
  }

  advance(ms: number): void {
    const end = this.now + ms;
    for (let due = this.core.deadline(); due <= end; due = this.core.deadline()) {
      this.now = Math.max(this.now, due);
      this.settle();
      // A disk that does not answer leaves the deadline of a retry where it is.
      if (this.core.deadline() <= this.now) break;
    }
    this.now = Math.max(this.now, end);
    this.settle();
  }

  /** Takes turns until the core has nothing to do at this moment; a disk that is late, or fails now and then, is waited for. */
  settle(): void {
    for (let turns = 0; ; turns++) {
      assert.ok(turns < 20_000, 'the core comes to rest');
      if (this.turn() || this.core.deadline() <= this.now) continue;
      const { store } = this;
      if (store === null || store.isStalled) break;
      if (store.answer(this.core, this.now)) continue;
      if (!this.storeFlows || this.core.isQuiet()) break;
      this.now = Math.max(this.now, this.core.deadline());
    }
    checkBounds(this.core);
  }

  private turn(): boolean {
    const { writes, effects } = this.core.take(this.now);
    const said = writes.length > 0 || effects.length > 0;
    for (const connection of writes) this.flush(connection.tag as Socket);
    for (const effect of effects) this.perform(effect);
    checkInvariants(this.core);
    const { resumed } = this;
    this.resumed = [];
    for (const socket of resumed) this.feed(socket);
    return said;
  }

  private flush(socket: Socket): void {
    const { connection, framer } = socket;
    for (let slab = connection.shift(); slab !== null; slab = connection.shift()) {
      const bytes = slab.bytes.slice(0, slab.length);
      if (socket.isFrozen) socket.unsentBytes += bytes.length;
      this.core.written(connection, socket.isFrozen ? null : slab, socket.unsentBytes, this.now);
      framer.feed(bytes, viewOf(bytes), 0, bytes.length);
      while (framer.next()) {
        const packet = decodePacket(framer.bytes, framer.start, framer.end, versionOf(connection, framer), 'server');
        for (const code of codesOf(packet)) this.features.add(`out ${packetTypeName(packet.type)}${code}`);
        assert.ok(framer.end - framer.start <= connection.packetBytesMax, 'no packet is larger than the peer takes');
        const { properties = {} } = packet as PublishPacket;
        assert.ok(
          (properties.userProperties?.length ?? 0) <= smallLimits.userPropertiesMax,
          'User Properties have a limit',
        );
        socket.onPacket(packet);
      }
    }
  }

  private perform(effect: Effect): void {
    switch (effect.kind) {
      case 'pause':
      case 'resume': {
        const socket = effect.connection.tag as Socket;
        socket.isPaused = effect.kind === 'pause';
        this.features.add(effect.kind);
        if (effect.kind === 'resume') this.resumed.push(socket);
        return;
      }
      case 'close':
        (effect.connection.tag as Socket).isClosed = true;
        return;
      case 'authenticate': {
        const verdict = this.authority.ask(effect);
        if (verdict === undefined) return;
        this.features.add(`verdict ${effect.request.kind} ${verdict.outcome}`);
        this.core.authenticated(effect.connection, effect.exchange, verdict, this.now);
        return;
      }
      case 'commit':
        this.store?.commit(effect.batch);
        return;
      case 'page':
        this.features.add('page');
        this.store?.page(effect.request);
        return;
      case 'fetch':
        this.features.add('fetch');
        this.store?.fetch(effect.request);
        return;
      case 'deliver':
        this.delivered.push(effect);
        return;
      case 'published':
        return;
      case 'event':
        this.hear(effect.event);
    }
  }

  private hear(event: BrokerEvent): void {
    if (event.type === 'internal-error') assert.fail(event.error);
    this.features.add(`event ${event.type}${detailOf(event)}`);
  }
}

/** A CONNECT of a level above 5 is refused in the words of 5.0 [MQTT-3.1.2-2]. */
function versionOf({ version }: Connection, { bytes, start, end }: Framer): ProtocolVersion {
  return bytes[start] === PacketType.Connack << 4 && end - start > 4 ? 5 : version;
}

function codesOf(packet: Packet): readonly string[] {
  const codes = 'reasonCodes' in packet ? packet.reasonCodes : 'reasonCode' in packet ? [packet.reasonCode] : [];
  return codes.length === 0 ? [''] : codes.map((code) => ` ${code.toString(16).padStart(2, '0')}`);
}

function detailOf(event: BrokerEvent): string {
  const by = 'by' in event ? ` by ${event.by}` : '';
  if ('reasonCode' in event) return `${by} ${event.reasonCode.toString(16).padStart(2, '0')}`;
  return event.type === 'dropped' || event.type === 'session-ended' ? ` ${event.reason}` : by;
}
