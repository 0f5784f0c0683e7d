/** TCP, TLS and Unix sockets of Node. */
import { connect as connectSocket, isIP, type NetConnectOpts, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import type { Link, LinkOwner, Transport } from '../client/transport.ts';

/** Trust, certificates and keys as Node's `tls.connect` takes them. */
export type TlsOptions = Omit<ConnectionOptions, 'host' | 'port' | 'path' | 'socket'>;

/** What closing may take before the socket is destroyed. */
const closeTimeoutMs = 2_000;

/** A turn is one write: there is nothing to wait for that could go along. */
const sending = { noDelay: true, keepAlive: true } as const;

/**
 * Where every TCP and Unix socket reads into, one after the other: what is kept of it is copied before the next read. A buffer a
 * read would cost more than most reads do.
 */
const readBytes = new Uint8Array(256 * 1024);

/** `mqtt://host[:1883]` */
export const tcp: Transport = {
  open: (url, owner) => plain({ host: hostOf(url), port: Number(url.port || 1883), ...sending }, owner),
};

/** `unix:/path` */
export const unix: Transport = {
  open: (url, owner) => plain({ path: decodeURIComponent(url.pathname) }, owner),
};

function plain(target: NetConnectOpts, owner: LinkOwner): Link {
  const callback = (length: number, buffer: Uint8Array): boolean => {
    owner.received(length === buffer.length ? buffer : buffer.subarray(0, length));
    return true;
  };
  return new SocketLink(connectSocket({ ...target, onread: { buffer: readBytes, callback } }), 'connect', owner);
}

/** `mqtts://host[:8883]` */
export function tls(options: TlsOptions = {}): Transport {
  return {
    open: (url, owner) => {
      const host = hostOf(url);
      const name = isIP(host) === 0 ? { servername: host } : {};
      return new SocketLink(
        connectTls({ host, port: Number(url.port || 8883), ...sending, ...name, ...options }),
        'secureConnect',
        owner,
      );
    },
  };
}

/** A URL has its IPv6 addresses in brackets. */
function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

class SocketLink implements Link {
  readonly #socket: Socket;
  #why = 'The server closed the connection';

  constructor(socket: Socket, event: 'connect' | 'secureConnect', owner: LinkOwner) {
    this.#socket = socket;
    socket.once(event, () => owner.opened());
    socket.on('data', (chunk: Buffer) => {
      owner.received(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length));
    });
    socket.on('drain', () => owner.written());
    socket.on('error', (error) => {
      this.#why = problemOf(error);
    });
    socket.on('close', () => owner.closed(this.#why));
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  write(bytes: Uint8Array): boolean {
    this.#socket.write(bytes);
    return this.#socket.writableLength === 0;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#socket.end();
    this.#socket.resume();
    setTimeout(() => this.#socket.destroy(), closeTimeoutMs).unref();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** Every address of a name was tried: the first failure is the one to tell. Where in its sources OpenSSL failed is not. */
export function problemOf(error: Error): string {
  const { message } = (error instanceof AggregateError ? error.errors[0] : error) as Error;
  const [, reason] = /:SSL routines:[^:]*:([^:]+)/.exec(message) ?? [];
  return reason === undefined ? message : `TLS: ${reason}`;
}
