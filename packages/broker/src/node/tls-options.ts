/** TLS for a listener: reading what was configured, and what a client certificate says about its owner. */

import { constants, createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContextOptions, type TLSSocket } from 'node:tls';
import type { Peer } from '../core/index.ts';
import { ListenError } from './listen-error.ts';

export interface TlsOptions {
  /** The certificate and, behind it, its chain, in PEM: a file's path, or its bytes. */
  readonly cert: string | Uint8Array;
  /** Its private key, the same. */
  readonly key: string | Uint8Array;
  readonly passphrase?: string;
  /** Whose client certificates are trusted, in PEM; default: the authorities Node trusts. */
  readonly ca?: string | Uint8Array;
  /** What those authorities have revoked, in PEM: a list for each of them, or nobody's certificate counts. Default: none. */
  readonly crl?: string | Uint8Array;
  /** Default `none`. `request`: a client may show one; one that does not verify is refused in either case. */
  readonly clientCertificate?: 'none' | 'request' | 'require';
  /** Default `TLSv1.2`. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3';
  /** OpenSSL's list; default: Node's. */
  readonly ciphers?: string;
}

/** What was read, as Node takes it. */
export type ReadContext = Omit<SecureContextOptions, 'ca' | 'crl'> & { readonly ca?: Buffer; readonly crl?: string[] };

/** Reads and checks everything, so that a mistake is told at the start and not at the first handshake. Throws ListenError. */
export function secureContextOptions(options: TlsOptions): ReadContext {
  const cert = readPem('certificate', options.cert);
  const key = readPem('private key', options.key);
  const ca = options.ca === undefined ? undefined : readPem('certificate authority', options.ca);
  const crl = options.crl === undefined ? undefined : readPem('revocation list', options.crl);
  const { passphrase, ciphers, minVersion = 'TLSv1.2' } = options;
  const certificate = attempt(`The certificate ${nameOf(options.cert)} is not a PEM certificate`, () => {
    return new X509Certificate(cert);
  });
  const privateKey = attempt(`The private key ${nameOf(options.key)} cannot be read`, () => {
    return createPrivateKey(passphrase === undefined ? { key } : { key, passphrase });
  });
  if (ca !== undefined) {
    attempt(`The certificate authority ${nameOf(options.ca)} is not a PEM certificate`, () => new X509Certificate(ca));
  }
  const lists = crl === undefined ? undefined : revocationLists(crl, options.crl);
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new ListenError(
      `The private key ${nameOf(options.key)} does not belong to the certificate ${nameOf(options.cert)}.`,
    );
  }
  return {
    cert,
    key,
    minVersion,
    // A handshake costs us more than who asks for it: one a connection.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    ...(passphrase !== undefined && { passphrase }),
    ...(ca !== undefined && { ca }),
    ...(lists !== undefined && { crl: lists }),
    ...(ciphers !== undefined && { ciphers }),
  };
}

/**
 * The certificate the peer showed: `null` when it showed none. `error` says why one cannot be trusted.
 */
export function clientCertificate(socket: TLSSocket): { certificate: Peer['certificate']; error: string } | null {
  const shown = socket.getPeerX509Certificate();
  if (shown === undefined) return null;
  const error = socket.authorized ? '' : String(socket.authorizationError);
  // Of an empty one Node says undefined, whatever its types say.
  const subject = (shown.subject as string | undefined)?.split('\n').join(',') ?? '';
  const commonName = shown.toLegacyObject().subject.CN;
  return {
    certificate: {
      commonName: typeof commonName === 'string' ? commonName : '',
      subject,
      fingerprint: shown.fingerprint256,
      alternativeNames: alternativeNames(shown.subjectAltName),
    },
    error,
  };
}

/** `DNS:a, URI:"b, c"` → two names. Node quotes what has a comma or a quote in it, as JSON does. */
export function alternativeNames(text: string | undefined): string[] {
  const found: string[] = [];
  for (const [, kind = '', plain, quoted] of (text ?? '').matchAll(
    /([A-Za-z ]+):(?:([^,"]*)|("(?:[^"\\]|\\.)*"))(?:, |$)/g,
  )) {
    found.push(`${kind}:${quoted === undefined ? plain : JSON.parse(quoted)}`);
  }
  return found;
}

/** One by one: of several in one text Node takes the first and says nothing of the others. */
function revocationLists(pem: Buffer, source: TlsOptions['crl']): string[] {
  const lists = pem.toString('latin1').match(/-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g) ?? [];
  const complaint = `The revocation list ${nameOf(source)} is not a PEM revocation list`;
  if (lists.length === 0) throw new ListenError(`${complaint}.`);
  attempt(complaint, () => createSecureContext({ crl: lists }));
  return lists;
}

function readPem(what: string, source: string | Uint8Array): Buffer {
  if (typeof source !== 'string') return Buffer.from(source);
  return attempt(`The ${what} ${source} cannot be read`, () => readFileSync(source));
}

function nameOf(source: string | Uint8Array | undefined): string {
  return typeof source === 'string' ? source : '(given as bytes)';
}

function attempt<T>(complaint: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new ListenError(`${complaint}: ${reasonOf(error)}.`, { cause: error });
  }
}

function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'EACCES') return 'permission denied';
  if (code === 'EISDIR') return 'it is a folder';
  return message;
}
