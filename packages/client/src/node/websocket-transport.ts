/** WebSocket in Node, by `ws`: reading can be paused, and TLS and HTTP headers can be set, which the web's own cannot. */
import { type ClientOptions, WebSocket } from 'ws';
import type { Link, LinkOwner, Transport } from '../client/transport.ts';
import { problemOf, type TlsOptions } from './socket-transport.ts';

export type WebSocketOptions = Pick<ClientOptions, 'headers' | 'origin'>;

const subprotocol = 'mqtt'; // [MQTT-6.0.0-3]
const closeTimeoutMs = 2_000;
const normalClosure = 1000;
const unsupportedData = 1003;

/** `ws://host[:80]/path` and `wss://host[:443]/path`. `options` go to `ws`: those of TLS among them. */
export function webSocket(options: WebSocketOptions & TlsOptions = {}): Transport {
  return {
    open: (url, owner) => {
      const target = new URL(url);
      // Those are the words of CONNECT, not of HTTP.
      target.username = '';
      target.password = '';
      // The types of `ws` have those of TLS wrong; it hands them on to Node as they are.
      const settings = { ...options, perMessageDeflate: false } as unknown as ClientOptions;
      return new WebSocketLink(new WebSocket(target, subprotocol, settings), owner);
    },
  };
}

class WebSocketLink implements Link {
  readonly #socket: WebSocket;
  #why = 'The server closed the connection';

  constructor(socket: WebSocket, owner: LinkOwner) {
    this.#socket = socket;
    socket.binaryType = 'nodebuffer';
    socket.on('open', () => owner.opened());
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      if (isBinary) return owner.received(new Uint8Array(data.buffer, data.byteOffset, data.length));
      this.#why = 'The server sent text on a WebSocket: MQTT is binary';
      socket.close(unsupportedData);
    });
    socket.on('error', (error) => {
      this.#why = problemOf(error);
    });
    socket.on('close', () => owner.closed(this.#why));
    this.#written = () => owner.written();
  }

  readonly #written: () => void;

  get unsentBytes(): number {
    return this.#socket.bufferedAmount;
  }

  write(bytes: Uint8Array): boolean {
    // Masking copies them.
    this.#socket.send(bytes, this.unsentBytes > 0 ? this.#written : undefined);
    return true;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.close(normalClosure);
    setTimeout(() => this.#socket.terminate(), closeTimeoutMs).unref();
  }

  destroy(): void {
    this.#socket.terminate();
  }
}
