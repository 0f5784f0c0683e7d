/** Opens the stream of bytes to a broker: TCP, Unix socket, TLS or WebSocket. */

import { readdirSync, readFileSync } from 'node:fs';
import { connect as connectSocket, isIP } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { SecureVersion, ConnectionOptions as TlsConnectionOptions } from 'node:tls';
import type { ClientOptions } from 'ws';
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
  /** The oldest to take. */
  readonly version?: TlsVersion;
  readonly alpn?: string;
  /** In the words of OpenSSL. */
  readonly ciphers?: string;
  /** A shared key instead of certificates. */
  readonly psk?: { readonly key: Buffer; readonly identity: string };
}

type WebSocketTarget = Extract<Target, { kind: 'websocket' }>;

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
  /** `tls` is that of `wss:`. */
  | { readonly kind: 'websocket'; readonly url: string; readonly tls: ClientTls; readonly localAddress?: string };

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
      const trust = tlsOptions(target.host, target.tls, getCACertificates);
      const options = { ...addressOf(target), noDelay: true, ...trust };
      return opened(connect(options), 'secureConnect');
    }
    case 'websocket':
      return webSocketStream(target);
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
  const oldest = version?.replace('tlsv', 'TLSv') as SecureVersion | undefined;
  return {
    ...(isIP(host) === 0 && { servername: host }),
    ...(ca !== undefined && { ca }),
    ...(certFile !== undefined && { cert: readPem(certFile) }),
    ...(keyFile !== undefined && { key: readPem(keyFile) }),
    ...(insecure && { checkServerIdentity: () => undefined }),
    ...(trustsAnybody === true && { rejectUnauthorized: false }),
    ...(oldest !== undefined && { minVersion: oldest }),
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

async function webSocketStream({ url, tls, localAddress }: WebSocketTarget): Promise<Duplex> {
  // Not the one of Node itself, which takes no certificates and cannot be told to wait.
  const { createWebSocketStream, WebSocket } = await import('ws');
  const { getCACertificates } = await import('node:tls');
  const { hostname, protocol } = new URL(url);
  const trust = protocol === 'wss:' ? tlsOptions(hostname.replace(/^\[|\]$/g, ''), tls, getCACertificates) : {};
  // The types of `ws` have those of TLS wrong; it hands them on to Node as they are.
  const options = { ...trust, localAddress, perMessageDeflate: false } as unknown as ClientOptions;
  const socket = new WebSocket(url, 'mqtt', options);
  const stream = createWebSocketStream(socket);
  stream.once('end', () => stream.destroy());
  return new Promise((done, failed) => {
    stream.once('error', (error) => failed(webSocketError(error, url)));
    socket.once('open', () => {
      stream.removeAllListeners('error');
      done(stream);
    });
  });
}

/** Somebody answers, but not as a WebSocket; other errors are those of every socket. */
function webSocketError(error: Error, url: string): Error {
  const isOther = /^(Unexpected server response|Server sent|Invalid )/.test(error.message);
  return isOther
    ? new CommandError(`Error: There is no WebSocket at ${url}: ${error.message}`, exitCodes.failure)
    : error;
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

/** Codes of OpenSSL for a certificate whose signer is nobody who is trusted. */
const untrusted =
  /^(UNABLE_TO_(VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT(_LOCALLY)?)|(DEPTH_ZERO_)?SELF_SIGNED_CERT(_IN_CHAIN)?)$/;

/** What is wrong with a stream, without a full stop. */
export function streamProblem(error: Error): string {
  const { code = '' } = error as NodeJS.ErrnoException;
  if (untrusted.test(code)) {
    return `TLS: the certificate of the broker is signed by nobody who is trusted (${code}); name its authority with --cafile`;
  }
  // Where in its sources OpenSSL failed is not told.
  const [, said] = /:SSL routines:[^:]*:([^:]+)/.exec(error.message) ?? [];
  return said === undefined ? error.message : `TLS: ${said}`;
}

/** Where several addresses were tried, the first error stands for all. */
function dialError(error: Error): CommandError {
  const first = error instanceof AggregateError ? (error.errors[0] as Error) : error;
  const { code = '' } = first as NodeJS.ErrnoException;
  const sentence = sentences[code];
  if (sentence !== undefined) return new LostConnectionError(`Error: ${sentence}`, exitCodes.failure);
  return new CommandError(`Error: ${streamProblem(first)}`, exitCodes.failure);
}
