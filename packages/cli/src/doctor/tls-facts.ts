/** What the TLS side of a broker looks like: looked at with connections of their own, on which nothing is said. */

import {
  type ConnectionOptions,
  checkServerIdentity,
  connect,
  type DetailedPeerCertificate,
  getCACertificates,
  type TLSSocket,
} from 'node:tls';
import type { ClientTls } from '../dial.ts';
import { tlsOptions } from '../dial.ts';
import type { CertificateFacts, Finding, TlsFacts } from './doctor-report.ts';
import { within } from './probe.ts';

export interface TlsAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: ClientTls;
}

const dayMs = 86_400_000;
const daysLeftMin = 30;
const rsaBitsMin = 2048;

/** Rejects with a CommandError, or with what TLS itself has to say. */
export async function tlsFacts(address: TlsAddress, timeoutMs: number, now: Date): Promise<TlsFacts> {
  const socket = await handshake(address, {}, timeoutMs);
  try {
    const leaf = socket.getPeerCertificate(true);
    const chain = chainOf(leaf).map((certificate) => factsOf(certificate, now));
    const untrusted = socket.authorizationError as Error | string | null | undefined;
    const mismatch = chain.length === 0 ? undefined : checkServerIdentity(address.host, leaf);
    const problem = untrusted ? trustProblem(untrusted, chain, address) : (mismatch?.message ?? null);
    const { standardName } = socket.getCipher();
    return { protocol: socket.getProtocol() ?? 'unknown', cipher: standardName, chain, problem };
  } finally {
    socket.destroy();
  }
}

/** Whether it takes a version of TLS that nobody should use any more. */
export async function takesOldTls(address: TlsAddress, timeoutMs: number): Promise<boolean> {
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
  try {
    const socket = await handshake(address, old, timeoutMs);
    socket.destroy();
    return true;
  } catch {
    return false;
  }
}

export function tlsFindings({ protocol, chain, problem }: TlsFacts, takesOld: boolean): Finding[] {
  const findings: Finding[] = [];
  const add = (level: Finding['level'], id: string, text: string): void => {
    findings.push({ level, id, text });
  };
  const [leaf] = chain;
  if (problem !== null) add('problem', 'certificate', `Clients that look at its certificate refuse it: ${problem}.`);
  if (leaf !== undefined && leaf.daysLeft >= 0 && leaf.daysLeft < daysLeftMin) {
    add('warning', 'certificate-expires', `The certificate expires in ${leaf.daysLeft} days: renew it.`);
  }
  if (isShort(leaf)) {
    add('warning', 'key-size', `The key of the certificate has ${leaf?.bits} bits: make one of ${rsaBitsMin} or more.`);
  }
  if (takesOld) add('warning', 'old-tls', 'It still takes TLS 1.0 or 1.1, which are broken: allow 1.2 and 1.3 only.');
  if (protocol === 'TLSv1.2')
    add('note', 'no-tls-1.3', 'It does not speak TLS 1.3, which connects in one round trip less.');
  return findings;
}

function isShort(leaf: CertificateFacts | undefined): boolean {
  return leaf !== undefined && leaf.bits !== null && leaf.bits < rsaBitsMin;
}

function handshake({ host, port, tls }: TlsAddress, more: ConnectionOptions, timeoutMs: number): Promise<TLSSocket> {
  const options = { ...tlsOptions(host, tls, getCACertificates), ...more };
  // Nothing is said on it: it is looked at, whoever it is.
  const socket = connect({ host, port, ...options, rejectUnauthorized: false, checkServerIdentity: () => undefined });
  const done = new Promise<TLSSocket>((opened, failed) => {
    socket.once('secureConnect', () => opened(socket));
    socket.on('error', failed);
  });
  return within(done, timeoutMs).catch((error: unknown) => {
    socket.destroy();
    throw error;
  });
}

function trustProblem(error: Error | string, chain: readonly CertificateFacts[], { tls }: TlsAddress): string {
  const code = typeof error === 'string' ? error : ((error as NodeJS.ErrnoException).code ?? error.message);
  const [leaf] = chain;
  if (code === 'CERT_HAS_EXPIRED') return `it expired on ${leaf?.validTo}`;
  // OpenSSL says so, and Node has no name for it.
  if (code === 'UNSPECIFIED' && isShort(leaf)) return `its key of ${leaf?.bits} bits is too short to be trusted`;
  const isSelfSigned = leaf !== undefined && leaf.subject === leaf.issuer;
  if (isSelfSigned) return 'it is signed by itself and by nobody who is trusted';
  const whom = tls.caFile ?? tls.caFolder ?? 'the authorities that Node trusts';
  return `it is not signed by ${whom} (${code}); name its authority with --cafile, if that is one of yours`;
}

function chainOf(leaf: DetailedPeerCertificate): DetailedPeerCertificate[] {
  const chain: DetailedPeerCertificate[] = [];
  // A root is its own issuer; with a shared key there is no certificate at all.
  for (let each = leaf; each?.subject !== undefined && !chain.includes(each); each = each.issuerCertificate)
    chain.push(each);
  return chain.filter((each, i) => i === 0 || each.fingerprint256 !== chain[i - 1]?.fingerprint256);
}

function factsOf(certificate: DetailedPeerCertificate, now: Date): CertificateFacts {
  const { subject, issuer, subjectaltname, valid_from, valid_to, modulus, bits } = certificate;
  return {
    subject: nameOf(subject),
    issuer: nameOf(issuer),
    names: subjectaltname ?? '',
    validFrom: new Date(valid_from).toISOString(),
    validTo: new Date(valid_to).toISOString(),
    daysLeft: Math.floor((new Date(valid_to).getTime() - now.getTime()) / dayMs),
    bits: modulus === undefined ? null : (bits ?? null),
  };
}

function nameOf(subject: object): string {
  return Object.entries(subject)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(', ');
}
