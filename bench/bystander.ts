/** A client beside the load, on a plain socket: it is there, subscribes and unsubscribes, or stops reading. MQTT 3.1.1. */

import { connect, type Socket } from 'node:net';
import { encodePacket, Framer, type Packet, PacketType, viewOf } from '@pipit/protocol';
import type { Address } from './load/transport.ts';

const packetBytesMax = 1024 * 1024;

export class Bystander {
  readonly #socket: Socket;
  readonly #framer = new Framer(packetBytesMax);
  #asked = 0;
  #answered = 0;
  #heard = (): void => {};
  #failure: Error | null = null;

  constructor({ host, port }: Address, clientId: string) {
    this.#socket = connect({ host, port, noDelay: true });
    this.#socket.on('data', (chunk: Uint8Array) => this.#read(chunk));
    this.#socket.on('error', (error) => this.#fail(error));
    this.#socket.on('close', () => this.#fail(new Error(`${clientId} lost its connection`)));
    this.#ask({ type: PacketType.Connect, version: 4, clientId, cleanStart: true, keepAlive: 600 });
  }

  /** Resolves when everything asked for has been answered, subscriptions with yes. */
  async answers(): Promise<void> {
    while (this.#answered < this.#asked && this.#failure === null)
      await new Promise<void>((heard) => {
        this.#heard = heard;
      });
    if (this.#failure !== null) throw this.#failure;
  }

  /** Of all that was asked. */
  get answered(): number {
    return this.#answered;
  }

  subscribe(filter: string): void {
    const subscription = { filter, qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
    this.#ask({ type: PacketType.Subscribe, packetId: this.#packetId(), subscriptions: [subscription] });
  }

  unsubscribe(filter: string): void {
    this.#ask({ type: PacketType.Unsubscribe, packetId: this.#packetId(), filters: [filter] });
  }

  /** Reads nothing more. */
  freeze(): void {
    this.#socket.pause();
  }

  leave(): void {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }

  #packetId(): number {
    return (this.#asked % 0xffff) + 1;
  }

  #ask(packet: Packet): void {
    this.#asked++;
    this.#socket.write(encodePacket(packet, 4, 'client'));
  }

  #read(chunk: Uint8Array): void {
    const framer = this.#framer;
    framer.feed(chunk, viewOf(chunk), 0, chunk.length);
    while (framer.next()) {
      const type = (framer.bytes[framer.start] as number) >> 4;
      if (type === PacketType.Publish) continue;
      this.#answered++;
      const isRefused = type === PacketType.Suback && (framer.bytes[framer.end - 1] as number) >= 0x80;
      if (isRefused) this.#fail(new Error('A subscription was refused'));
    }
    if (this.#answered === this.#asked) this.#heard();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#heard();
  }
}
