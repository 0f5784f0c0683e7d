/** Opens the stream of bytes to a broker: TCP, Unix socket, TLS or WebSocket. */

import { readdirSync, readFileSync } from 'node:fs';
import { connect as connectSocket, isIP } from 'node:net';
import { join } from 'node:path';
import { Duplex } from 'node:stream';
import type { SecureVersion, ConnectionOptions as TlsConnectionOptions } from 'node:tls';
import { CommandError, exitCodes, LostConnectionError, usageError } from './command-error.ts';

export type TlsVersion = 'tlsv1.1' | 'tlsv1.2' | 'tlsv1.3';

/** Files are PEM. */
export interface ClientTls {
  /** Default: the authorities Node trusts. */
  readonly caFile?: string;
  /** All files of this folder besides. */
  readonly caFolder?: string;
  /** Whom the operating system trusts besides. */
  readonly trustsSystem?: true;
  readonly certFile?: string;
  readonly keyFile?: string;
  /** Take a certificate that bears another host's name. */
  readonly insecure: boolean;
  /** Take any certificate at all. */
  readonly trustsAnybody?: true;
  readonly version?: TlsVersion;
  readonly alpn?: string;
  /** In the words of OpenSSL. */
  readonly ciphers?: string;
  /** A shared key instead of certificates. */
  readonly psk?: { readonly key: Buffer; readonly identity: string };
}

interface Address {
  readonly host: string;
  readonly port: number;
  /** Of this machine. */
  readonly localAddress?: string;
}

export type Target =
  | ({ readonly kind: 'tcp' } & Address)
  | ({ readonly kind: 'tls'; readonly tls: ClientTls } & Address)
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
      return opened(connectSocket({ ...addressOf(target), noDelay: true }), 'connect');
    case 'unix':
      return opened(connectSocket({ path: target.path }), 'connect');
    case 'tls': {
      const { connect, getCACertificates } = await import('node:tls');
      const options = tlsOptions(target.host, target.tls, getCACertificates);
      return opened(connect({ ...addressOf(target), noDelay: true, ...options }), 'secureConnect');
    }
    case 'websocket':
      return webSocketStream(target.url);
  }
}

function addressOf({ host, port, localAddress }: Address): Address {
  return { host, port, ...(localAddress !== undefined && { localAddress }) };
}

type Authorities = (type: 'default' | 'system') => readonly string[];

/** Options of `tls.connect` beside the address. `authorities`: its `getCACertificates`. Throws a CommandError for files that cannot be read. */
export function tlsOptions(host: string, tls: ClientTls, authorities: Authorities): TlsConnectionOptions {
  const { certFile, keyFile, insecure, trustsAnybody, version, alpn, ciphers, psk } = tls;
  const ca = trusted(tls, authorities);
  const only = version?.replace('tlsv', 'TLSv') as SecureVersion | undefined;
  return {
    ...(isIP(host) === 0 && { servername: host }),
    ...(ca !== undefined && { ca }),
    ...(certFile !== undefined && { cert: readPem(certFile) }),
    ...(keyFile !== undefined && { key: readPem(keyFile) }),
    ...(insecure && { checkServerIdentity: () => undefined }),
    ...(trustsAnybody === true && { rejectUnauthorized: false }),
    ...(only !== undefined && { minVersion: only, maxVersion: only }),
    ...(alpn !== undefined && { ALPNProtocols: [alpn] }),
    ...(ciphers !== undefined && { ciphers }),
    ...(psk !== undefined && {
      ciphers: ciphers ?? 'PSK',
      // Certificates, which Node would look at, come with later versions only.
      maxVersion: 'TLSv1.2',
      checkServerIdentity: () => undefined,
      pskCallback: () => ({ psk: psk.key, identity: psk.identity }),
    }),
  };
}

/** Undefined: whom Node trusts. */
function trusted({ caFile, caFolder, trustsSystem }: ClientTls, authorities: Authorities): string[] | undefined {
  const files = [...(caFile === undefined ? [] : [caFile]), ...(caFolder === undefined ? [] : filesOf(caFolder))].map(
    (path) => readPem(path).toString(),
  );
  if (trustsSystem === true) return [...files, ...authorities('system')];
  return files.length === 0 ? undefined : files;
}

function filesOf(folder: string): string[] {
  try {
    const names = readdirSync(folder).filter((name) => /\.(pem|crt|cer)$/i.test(name));
    return names.map((name) => join(folder, name));
  } catch (error) {
    throw usageError(`${folder} cannot be read: ${(error as Error).message}.`);
  }
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
    socket.addEventListener('error', () =>
      failed(new LostConnectionError(`Error: There is no WebSocket at ${url}`, exitCodes.failure)),
    );
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
  const { code = '', reason } = first as NodeJS.ErrnoException & { readonly reason?: string };
  const sentence = sentences[code];
  if (sentence !== undefined) return new LostConnectionError(`Error: ${sentence}`, exitCodes.failure);
  const problem = code.startsWith('ERR_SSL') ? `TLS: ${reason ?? first.message}` : first.message;
  return new CommandError(`Error: ${problem}`, exitCodes.failure);
}
