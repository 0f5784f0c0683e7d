/** A TLS server that listens nowhere: it is handed the sockets of a listener. */

import { createServer, type Server } from 'node:tls';
import { ListenError } from './listen-error.ts';
import type { TlsOptions } from './tls-options.ts';
import { secureContextOptions } from './tls-options.ts';

/** Reads the certificate. Throws a ListenError; `url` is what it names. */
export function tlsServer(options: TlsOptions, handshakeTimeoutMs: number, url: string): Server {
  const { clientCertificate = 'none' } = options;
  const settings = {
    ...secureContextOptions(options),
    // Only so that Node's own does not come before ours.
    handshakeTimeout: 2 * handshakeTimeoutMs,
    requestCert: clientCertificate !== 'none',
    // Node would cut them off without a word; the listener does it, and tells.
    rejectUnauthorized: false,
  };
  try {
    return createServer(settings);
  } catch (error) {
    throw new ListenError(`The TLS settings of ${url} cannot be used: ${(error as Error).message}.`, { cause: error });
  }
}
