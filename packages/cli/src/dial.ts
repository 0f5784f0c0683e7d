/** Opens the stream of bytes to a broker: TCP, Unix socket, TLS or WebSocket. */

import { readFileSync } from 'node:fs';
import { connect as connectSocket, isIP } from 'node:net';
import { Duplex } from 'node:stream';
import type { ConnectionOptions as TlsConnectionOptions } from 'node:tls';
import { CommandError, exitCodes, usageError } from './command-error.ts';

/** Paths of PEM files. */
export interface ClientTls {
  /** Default: the authorities Node trusts. */
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  /** Take a certificate that bears another host's name. */
  readonly insecure: boolean;
}

export type Target =
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }
  | { readonly kind: 'tls'; readonly host: string; readonly port: number; readonly tls: ClientTls }
  | { readonly kind: 'unix'; readonly path: string }
  /** Trusts what Node trusts when it is `wss:`. */
  | { readonly kind: 'websocket'; readonly url: string };

/** Rejects with a CommandError. */
export async function dial(target: Target): Promise<Duplex> {
  try {
    return await open(target);
  } catch (error) {
    throw error instanceof CommandError ? error : dialError(error as Error);
  }
}

async function open(target: Target): Promise<Duplex> {
  switch (target.kind) {
    case 'tcp':
      return opened(connectSocket({ host: target.host, port: target.port, noDelay: true }), 'connect');
    case 'unix':
      return opened(connectSocket({ path: target.path }), 'connect');
    case 'tls': {
      const { connect } = await import('node:tls');
      return opened(connect(tlsOptions(target.host, target.port, target.tls)), 'secureConnect');
    }
    case 'websocket':
      return webSocketStream(target.url);
  }
}

function tlsOptions(host: string, port: number, tls: ClientTls): TlsConnectionOptions {
  const { caFile, certFile, keyFile, insecure } = tls;
  return {
    host,
    port,
    ...(isIP(host) === 0 && { servername: host }),
    ...(caFile !== undefined && { ca: readPem(caFile) }),
    ...(certFile !== undefined && { cert: readPem(certFile) }),
    ...(keyFile !== undefined && { key: readPem(keyFile) }),
    ...(insecure && { checkServerIdentity: () => undefined }),
  };
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw usageError(`${path} cannot be read: ${(error as Error).message}.`);
  }
}

function opened(stream: Duplex, event: 'connect' | 'secureConnect'): Promise<Duplex> {
  return new Promise((done, failed) => {
    stream.once('error', failed);
    stream.once(event, () => {
      stream.removeListener('error', failed);
      done(stream);
    });
  });
}

function webSocketStream(url: string): Promise<Duplex> {
  const socket = new WebSocket(url, ['mqtt']);
  socket.binaryType = 'arraybuffer';
  const stream = new Duplex({
    read() {},
    write(chunk: Uint8Array<ArrayBuffer>, _encoding, done) {
      socket.send(chunk);
      done();
    },
    final(done) {
      socket.close();
      done();
    },
    destroy(error, done) {
      socket.close();
      done(error);
    },
  });
  socket.addEventListener('message', ({ data }) => stream.push(new Uint8Array(data as ArrayBuffer)));
  socket.addEventListener('close', () => stream.destroy());
  return new Promise((done, failed) => {
    socket.addEventListener('open', () => done(stream));
    socket.addEventListener('error', () => failed(new Error(`There is no WebSocket at ${url}`)));
  });
}

const sentences: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Connection refused',
  ENOENT: 'No such socket',
  EACCES: 'Permission denied',
  ENOTFOUND: 'Unknown host',
  EAI_AGAIN: 'The host could not be looked up',
  EHOSTUNREACH: 'No route to host',
  ENETUNREACH: 'Network is unreachable',
  ETIMEDOUT: 'Connection timed out',
  ECONNRESET: 'The broker closed the connection',
};

/** Where several addresses were tried, the first error stands for all. */
function dialError(error: Error): CommandError {
  const first = error instanceof AggregateError ? (error.errors[0] as Error) : error;
  const sentence = sentences[(first as NodeJS.ErrnoException).code ?? ''] ?? first.message;
  return new CommandError(`Error: ${sentence}`, exitCodes.failure);
}
