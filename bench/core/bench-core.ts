/**
 * A core without sockets: clients are connections whose bytes are put in by hand, and whose output is thrown away.
 * Time stands still, since nothing here waits for it.
 */

import { type Connection, Core } from '@pipit/broker/core';
import type { Packet, ProtocolVersion, QoS } from '@pipit/protocol';
import { encodePacket, PacketType, viewOf } from '@pipit/protocol';

const peer = { transport: 'tcp', address: '127.0.0.1:1', listener: 'bench' } as const;
const entropy = new Uint8Array(16);
const acceptance = { outcome: 'accept', principal: null } as const;

export class BenchCore {
  readonly core = new Core({ seed: 1, sysIntervalMs: null }, 0, 0);
  /** Bytes that went out. */
  bytesOut = 0;
  #packetId = 0;

  connect(clientId: string, version: ProtocolVersion = 4): Connection {
    const connection = this.core.opened(peer, entropy, 0);
    const connect = { type: PacketType.Connect, version, clientId, cleanStart: true, keepAlive: 0 } as const;
    this.put(connection, chunkOf([encodePacket(connect, version, 'client')]));
    this.settle();
    return connection;
  }

  subscribe(connection: Connection, filters: readonly string[], qos: QoS = 0): void {
    const subscriptions = filters.map((filter) => {
      return { filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    });
    this.#send(connection, { type: PacketType.Subscribe, packetId: this.#nextPacketId(), subscriptions });
  }

  unsubscribe(connection: Connection, filters: string[]): void {
    this.#send(connection, { type: PacketType.Unsubscribe, packetId: this.#nextPacketId(), filters });
  }

  /** Bytes that came in on a connection. */
  put(connection: Connection, { bytes, view }: Chunk): void {
    this.core.received(connection, bytes, view, 0, bytes.length, 0);
  }

  /** The same, and the turn after them. */
  received(connection: Connection, chunk: Chunk): void {
    this.put(connection, chunk);
    this.turn();
  }

  /** One turn; true when it had something to do. */
  turn(): boolean {
    const { core } = this;
    const { writes, effects } = core.take(0);
    for (const connection of writes) {
      for (let slab = connection.shift(); slab !== null; slab = connection.shift()) {
        this.bytesOut += slab.length;
        core.written(connection, slab, 0, 0);
      }
    }
    for (const effect of effects) {
      if (effect.kind === 'authenticate') core.authenticated(effect.connection, effect.exchange, acceptance, 0);
      else if (effect.kind === 'close') throw new Error(`${effect.connection.clientId} was closed`);
    }
    return writes.length + effects.length > 0;
  }

  settle(): void {
    while (this.turn() || !this.core.isQuiet());
  }

  #send(connection: Connection, packet: Packet): void {
    this.put(connection, chunkOf([encodePacket(packet, connection.version, 'client')]));
  }

  #nextPacketId(): number {
    this.#packetId = (this.#packetId % 0xffff) + 1;
    return this.#packetId;
  }
}

/** Bytes as they come from a socket. */
export interface Chunk {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** PUBLISH packets of QoS 0 with 64 bytes of payload, one for each topic, as one chunk. */
export function publishChunk(topics: readonly string[]): Chunk {
  const payload = new Uint8Array(64);
  const packets = topics.map((topic) => {
    const packet = {
      type: PacketType.Publish,
      topic,
      payload,
      qos: 0,
      retain: false,
      dup: false,
      packetId: 0,
    } as const;
    return encodePacket(packet, 4, 'client');
  });
  return chunkOf(packets);
}

/** Packets, one behind the other. */
export function chunkOf(packets: readonly Uint8Array[]): Chunk {
  const bytes = new Uint8Array(Buffer.concat(packets));
  return { bytes, view: viewOf(bytes) };
}

/** CPU microseconds that `work` takes, of all threads: the garbage collector's are among them. */
export function cpuUs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

/** Bytes in use after everything unreachable is gone: objects and the memory of typed arrays. */
export function liveBytes(): number {
  const collect = globalThis.gc;
  if (collect === undefined) throw new Error('run with --expose-gc');
  // What a finished backing store held is given back one collection later.
  for (let i = 0; i < 3; i++) collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** The least of several measurements of the same: what disturbed the others is not what is asked for. */
export function least(rounds: number, measure: () => number): number {
  return Math.min(...Array.from({ length: rounds }, measure));
}
