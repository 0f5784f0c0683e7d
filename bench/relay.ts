/**
 * A yardstick: what Node's sockets allow, with hardly any broker. It answers CONNECT and SUBSCRIBE, finds exact topics in a
 * Map, hands everything to filters that end in `#`, and copies bytes. MQTT 3.1.1, QoS 0 and 1; no check, no window, no state.
 *
 *     node --conditions=pipit-source bench/relay.ts [PORT]     prints its port
 */

import { type AddressInfo, createServer, type Socket } from 'node:net';
import { copyBytes, Framer, noBytes, noView, PacketType, viewOf } from '@pipit/protocol';

const bufferBytesMin = 4096;

class Peer {
  readonly framer = new Framer(256 * 1024 * 1024);
  readonly #socket: Socket;
  readonly #relay: Relay;
  out: Uint8Array = noBytes;
  view: DataView = noView;
  used = 0;
  packetId = 0;
  isDirty = false;

  constructor(socket: Socket, relay: Relay) {
    this.#socket = socket;
    this.#relay = relay;
  }

  /** Room for `length` bytes; returns where it begins in `out`. */
  reserve(length: number): number {
    if (!this.isDirty) {
      this.isDirty = true;
      this.#relay.dirty(this);
    }
    const at = this.used;
    this.used += length;
    if (this.used > this.out.length) {
      const grown = new Uint8Array(Math.max(bufferBytesMin, this.used, 2 * this.out.length));
      grown.set(this.out.subarray(0, at));
      this.out = grown;
      this.view = viewOf(grown);
    }
    return at;
  }

  say(...bytes: number[]): void {
    const at = this.reserve(bytes.length);
    this.out.set(bytes, at);
  }

  flush(): void {
    this.isDirty = false;
    const { used } = this;
    this.used = 0;
    this.#socket.write(this.out.subarray(0, used));
    // What the kernel did not take at once still lies in it.
    if (this.#socket.writableLength > 0) this.out = noBytes;
  }
}

class Relay {
  readonly #exact = new Map<string, Peer[]>();
  readonly #everything: Peer[] = [];
  #dirty: Peer[] = [];

  arrived(socket: Socket): void {
    const peer = new Peer(socket, this);
    socket.on('data', (chunk: Buffer) => {
      peer.framer.feed(chunk, viewOf(chunk), 0, chunk.length);
      while (peer.framer.next()) this.#handle(peer);
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      for (const peers of [this.#everything, ...this.#exact.values()]) {
        const index = peers.indexOf(peer);
        if (index >= 0) peers.splice(index, 1);
      }
    });
  }

  dirty(peer: Peer): void {
    if (this.#dirty.push(peer) === 1) setImmediate(() => this.#flush());
  }

  #flush(): void {
    const turn = this.#dirty;
    this.#dirty = [];
    for (const peer of turn) peer.flush();
  }

  #handle(peer: Peer): void {
    const { bytes, view, start, body, end } = peer.framer;
    switch ((bytes[start] as number) >> 4) {
      case PacketType.Connect:
        return peer.say(PacketType.Connack << 4, 2, 0, 0);
      case PacketType.Subscribe: {
        this.#subscribe(peer, textOf(bytes, body + 4, end - 1));
        return peer.say(PacketType.Suback << 4, 3, bytes[body] as number, bytes[body + 1] as number, 0);
      }
      case PacketType.Publish: {
        const topicEnd = body + 2 + view.getUint16(body);
        const isQos1 = ((bytes[start] as number) & 2) !== 0;
        if (isQos1) {
          peer.say(PacketType.Puback << 4, 2, bytes[topicEnd] as number, bytes[topicEnd + 1] as number);
        }
        const packetIdAt = isQos1 ? topicEnd - start : -1;
        for (const each of this.#exact.get(textOf(bytes, body + 2, topicEnd)) ?? [])
          pass(each, peer.framer, packetIdAt);
        for (const each of this.#everything) pass(each, peer.framer, packetIdAt);
        return;
      }
      default:
    }
  }

  #subscribe(peer: Peer, filter: string): void {
    if (filter.endsWith('#')) this.#everything.push(peer);
    else this.#exact.set(filter, [...(this.#exact.get(filter) ?? []), peer]);
  }
}

/** Copies the packet the framer shows. */
function pass(to: Peer, { bytes, view, start, end }: Framer, packetIdAt: number): void {
  const at = to.reserve(end - start);
  copyBytes(to.out, to.view, at, bytes, view, start, end - start);
  if (packetIdAt < 0) return;
  to.packetId = (to.packetId % 0xffff) + 1;
  to.view.setUint16(at + packetIdAt, to.packetId);
}

function textOf(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
}

const relay = new Relay();
const server = createServer({ noDelay: true }, (socket) => relay.arrived(socket));
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => console.log((server.address() as AddressInfo).port));
