/**
 * How the load generator reaches a broker: TCP, TLS 1.3 or WebSocket, all as one kind of link.
 *
 * TCP reads into one buffer shared by all links, as the broker does: the generator must not be what is measured.
 */

import { readFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { viewOf } from '@pipit/protocol';
import type { Transport } from '../scenarios.ts';
import { WebSocketFraming } from './websocket-framing.ts';

export interface Address {
  readonly transport: Transport;
  readonly host: string;
  readonly port: number;
  /** Of the WebSocket endpoint. */
  readonly path: string;
  /** PEM file of the authority that the broker's certificate is checked with; null: the system's. */
  readonly caFile: string | null;
}

export interface LinkOwner {
  /** The link is open. */
  opened(): void;
  /** bytes[start, end) came in; they may be reused after the call. */
  received(bytes: Uint8Array, view: DataView, start: number, end: number): void;
  /** What could not leave at once has left. */
  drained(): void;
  closed(why: string): void;
}

const readBuffer = new Uint8Array(256 * 1024);
const readView = viewOf(readBuffer);

export class Link {
  readonly #socket: Socket;
  readonly #framing: WebSocketFraming | null;
  #why = 'closed by the broker';

  constructor(address: Address, owner: LinkOwner) {
    const framing = address.transport === 'ws' ? new WebSocketFraming(address, owner) : null;
    this.#framing = framing;
    const received = framing ?? owner;
    this.#socket = address.transport === 'tls' ? openTls(address, received) : openTcp(address, received);
    this.#socket.on('drain', () => owner.drained());
    this.#socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#why = error.code ?? error.message;
    });
    this.#socket.on('close', () => owner.closed(this.#why));
    this.#socket.once(address.transport === 'tls' ? 'secureConnect' : 'connect', () => {
      if (framing === null) owner.opened();
      else this.#socket.write(framing.handshake());
    });
  }

  /** Whether everything written has left. */
  get isClear(): boolean {
    return this.#socket.writableLength === 0;
  }

  /** Writes bytes[0, length). True when they have left already and may be reused. */
  write(bytes: Uint8Array, length: number): boolean {
    const framed = this.#framing === null ? bytes.subarray(0, length) : this.#framing.frame(bytes, length);
    this.#socket.write(framed);
    return this.#framing !== null || this.#socket.writableLength === 0;
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

type Received = Pick<LinkOwner, 'received'>;

/** With this mark every write that does not leave at once is followed by 'drain'. */
const drainMark = { writableHighWaterMark: 1 };

function openTcp({ host, port }: Address, receiver: Received): Socket {
  const onread = {
    buffer: readBuffer,
    callback: (length: number) => {
      receiver.received(readBuffer, readView, 0, length);
      return true;
    },
  };
  const options: object = { host, port, noDelay: true, onread, ...drainMark };
  return connectTcp(options as { port: number });
}

function openTls({ host, port, caFile }: Address, receiver: Received): Socket {
  const options = { host, port, minVersion: 'TLSv1.3' as const, ...drainMark };
  const socket = connectTls(caFile === null ? options : { ...options, ca: readFileSync(caFile) });
  socket.setNoDelay(true);
  socket.on('data', (chunk: Uint8Array) => receiver.received(chunk, viewOf(chunk), 0, chunk.length));
  return socket;
}
