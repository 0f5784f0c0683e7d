/** A TLS server that listens nowhere: it is handed the sockets of a listener. */

import { createServer, type Server } from 'node:tls';
import { ClientTrust } from './client-trust.ts';
import { ListenError } from './listen-error.ts';
import type { TlsOptions } from './tls-options.ts';
import { secureContextOptions } from './tls-options.ts';

export interface TlsSide {
  readonly server: Server;
  /** Whose client certificates count; null: none are asked for. */
  readonly trust: ClientTrust | null;
}

/** Reads the certificates. Throws a ListenError; `url` is what it names. */
export function tlsServer(options: TlsOptions, handshakeTimeoutMs: number, url: string): TlsSide {
  const { clientCertificate = 'none' } = options;
  const read = secureContextOptions(options);
  const settings = {
    ...read,
    // Only so that Node's own does not come before ours.
    handshakeTimeout: 2 * handshakeTimeoutMs,
    requestCert: clientCertificate !== 'none',
    // Node would cut them off without a word; the listener does it, and tells.
    rejectUnauthorized: false,
  };
  try {
    const trust = clientCertificate === 'none' ? null : new ClientTrust(read.ca, read.crl);
    return { server: createServer(settings), trust };
  } catch (error) {
    throw new ListenError(`The TLS settings of ${url} cannot be used: ${(error as Error).message}.`, { cause: error });
  }
}
