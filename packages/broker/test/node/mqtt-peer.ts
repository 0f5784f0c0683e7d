/** A client made of a byte stream and the codec: it sends what it is told and hands out packets in the order they came. */

import type { Duplex } from 'node:stream';
import type { Packet, ProtocolVersion, QoS } from '@pipit/protocol';
import { decodePacket, encodePacket, Framer, PacketType, viewOf } from '@pipit/protocol';

export class MqttPeer {
  readonly stream: Duplex;
  readonly #version: ProtocolVersion;
  readonly #framer = new Framer(268_435_455);
  readonly #packets: (Packet | 'end')[] = [];
  readonly #takers: ((packet: Packet | 'end') => void)[] = [];

  constructor(stream: Duplex, version: ProtocolVersion = 5) {
    this.stream = stream;
    this.#version = version;
    stream.on('data', (chunk: Uint8Array) => this.#received(chunk));
    stream.on('error', () => {});
    stream.once('end', () => {
      this.#arrived('end');
      stream.end();
    });
    stream.once('close', () => this.#arrived('end'));
  }

  send(...packets: Packet[]): void {
    this.stream.write(Buffer.concat(packets.map((packet) => encodePacket(packet, this.#version, 'client'))));
  }

  /** The next packet, or `end` when the broker has closed. */
  next(): Promise<Packet | 'end'> {
    const packet = this.#packets.shift();
    return packet === undefined ? new Promise((done) => this.#takers.push(done)) : Promise.resolve(packet);
  }

  connect(clientId: string): Promise<Packet | 'end'> {
    this.send(connectPacket(clientId, this.#version));
    return this.next();
  }

  subscribe(filter: string, qos: QoS = 0): Promise<Packet | 'end'> {
    const subscriptions = [{ filter, qos, noLocal: false, retainAsPublished: false, retainHandling: 0 as const }];
    this.send({ type: PacketType.Subscribe, packetId: 1, subscriptions });
    return this.next();
  }

  publish(topic: string, payload: string, qos: QoS = 0, packetId = 0): void {
    this.send(publishPacket(topic, payload, qos, packetId));
  }

  #received(chunk: Uint8Array): void {
    const framer = this.#framer;
    framer.feed(chunk, viewOf(chunk), 0, chunk.length);
    while (framer.next()) this.#arrived(decodePacket(framer.bytes, framer.start, framer.end, this.#version, 'server'));
  }

  #arrived(packet: Packet | 'end'): void {
    const take = this.#takers.shift();
    if (take === undefined) this.#packets.push(packet);
    else take(packet);
  }
}

export function connectPacket(clientId: string, version: ProtocolVersion): Packet {
  return { type: PacketType.Connect, version, clientId, cleanStart: true, keepAlive: 0 };
}

export function publishPacket(topic: string, payload: string, qos: QoS, packetId: number): Packet {
  return { type: PacketType.Publish, topic, payload: Buffer.from(payload), qos, retain: false, dup: false, packetId };
}

/** What a PUBLISH says, for comparisons; throws on anything else. */
export function publishedBy(packet: Packet | 'end'): { topic: string; payload: string; qos: QoS } {
  if (packet === 'end' || packet.type !== PacketType.Publish) throw new Error(`no PUBLISH: ${JSON.stringify(packet)}`);
  return { topic: packet.topic, payload: Buffer.from(packet.payload).toString(), qos: packet.qos };
}
