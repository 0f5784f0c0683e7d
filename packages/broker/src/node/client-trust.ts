/**
 * Whether a client certificate that was trusted at its handshake still is: by the authorities and revocation lists of now.
 *
 * OpenSSL decides at the handshake (tls-options.ts) and cannot be asked again. This asks what a change of files can change: who
 * signed it, up to a root, and whether any of them is revoked. Not what time changes: the end of a certificate or of a list. What cannot be
 * found out counts against it: a client that went on with an earlier TLS session has not shown its intermediate authorities, unless they
 * are in `ca`.
 */

import { X509Certificate } from 'node:crypto';
import { getCACertificates } from 'node:tls';

/** Certificates between a client's and a root. */
const depthMax = 10;

export class ClientTrust {
  /** Two with the same texts trust the same. */
  readonly #texts: string;
  readonly #ca: string | null;
  readonly #revoked = new Set<string>();
  #authorities: readonly X509Certificate[] | null = null;

  /** PEM that was read and can be used. Default: the authorities Node trusts, who have revoked nothing. */
  constructor(ca?: Buffer, lists: readonly string[] = []) {
    this.#ca = ca?.toString('latin1') ?? null;
    this.#texts = JSON.stringify([this.#ca, lists]);
    for (const list of lists) for (const name of revokedBy(derOf(list))) this.#revoked.add(name);
  }

  isLike(other: ClientTrust | null): boolean {
    return other !== null && this.#texts === other.#texts;
  }

  /** Why a certificate does not count any more; null: it does. */
  objection(certificate: X509Certificate): string | null {
    const shown: X509Certificate[] = [];
    for (let each = certificate.issuerCertificate; each !== undefined; each = each.issuerCertificate) {
      if (shown.length === depthMax) break;
      shown.push(each);
    }
    const words = this.#paths(certificate, shown, 0);
    if (words.includes(null)) return null;
    return words.includes(revoked) ? revoked : untrusted;
  }

  /** For each way up to a root: null when nothing is against it. None: there is no way. */
  #paths(certificate: X509Certificate, shown: readonly X509Certificate[], depth: number): (string | null)[] {
    const authorities = this.#authoritiesOf();
    // A root is trusted because it is in the list; nobody above it could revoke it.
    if (isIssuer(certificate, certificate))
      return authorities.some((each) => each.raw.equals(certificate.raw)) ? [null] : [];
    if (this.#revoked.has(nameIn(certificate.raw))) return [revoked];
    if (depth === depthMax) return [];
    const issuers = [...authorities, ...shown].filter((each) => isIssuer(each, certificate));
    return issuers.flatMap((issuer) => this.#paths(issuer, shown, depth + 1));
  }

  #authoritiesOf(): readonly X509Certificate[] {
    this.#authorities ??= certificatesIn(this.#ca === null ? getCACertificates('default').join('\n') : this.#ca);
    return this.#authorities;
  }
}

const revoked = 'its client certificate was revoked';
const untrusted = 'its client certificate is not trusted any more';

function isIssuer(authority: X509Certificate, certificate: X509Certificate): boolean {
  return certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
}

function certificatesIn(pem: string): X509Certificate[] {
  const found = pem.match(
    /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]+-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g,
  );
  return (found ?? []).flatMap((each) => {
    try {
      return [new X509Certificate(each)];
    } catch {
      // OpenSSL passes it over, too.
      return [];
    }
  });
}

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64');
}

// ── what Node does not tell: DER, X.690; certificates and lists, RFC 5280

/** `bytes[start, end)` is the content of an element. */
interface Element {
  readonly tag: number;
  readonly start: number;
  readonly end: number;
}

const integerTag = 0x02;
const sequenceTag = 0x30;
const contextTag = 0xa0;
const utcTimeTag = 0x17;
const generalizedTimeTag = 0x18;
const bmpStringTag = 0x1e;

/** The elements in bytes[at, end). Throws a RangeError where one does not fit. */
function elements(bytes: Buffer, at: number, end: number): Element[] {
  const found: Element[] = [];
  let next = at;
  while (next < end) {
    const tag = bytes.readUInt8(next);
    const first = bytes.readUInt8(next + 1);
    const more = first < 0x80 ? 0 : first & 0x7f;
    const length = more === 0 ? first : bytes.readUIntBE(next + 2, more);
    const start = next + 2 + more;
    if (start + length > end) throw new RangeError('DER that does not fit');
    found.push({ tag, start, end: start + length });
    next = start + length;
  }
  return found;
}

/** What the outermost element of a signed thing signs. */
function signedPart(bytes: Buffer): Element[] {
  const [outer] = elements(bytes, 0, bytes.length);
  const [body] = outer === undefined ? [] : elements(bytes, outer.start, outer.end);
  return body === undefined ? [] : elements(bytes, body.start, body.end);
}

/** Who issued a certificate, and its number there: by which a list names it. */
function nameIn(certificate: Buffer): string {
  const [serial, , issuer] = signedPart(certificate).filter(({ tag }) => tag !== contextTag);
  if (serial === undefined || issuer === undefined) return '';
  return `${numberIn(certificate, serial)} ${distinguished(certificate, issuer)}`;
}

/** What a list has revoked, each as `nameIn` says it. */
function* revokedBy(list: Buffer): Generator<string> {
  // A version is there from the second on; then come algorithm, issuer, one or two times, and the revoked, if there are any.
  const parts = signedPart(list).filter(
    ({ tag }) => tag !== integerTag && tag !== utcTimeTag && tag !== generalizedTimeTag,
  );
  const [, issuer, entries] = parts;
  if (issuer === undefined || entries?.tag !== sequenceTag) return;
  const name = distinguished(list, issuer);
  for (const { start, end } of elements(list, entries.start, entries.end)) {
    const [serial] = elements(list, start, end);
    if (serial !== undefined) yield `${numberIn(list, serial)} ${name}`;
  }
}

function numberIn(bytes: Buffer, { start, end }: Element): string {
  return bytes.toString('hex', start, end).replace(/^(00)+(?=..)/, '');
}

/** A Name, so that two that RFC 5280 (7.1) calls equal are: whatever kind of string they are, whatever their case and spaces. */
function distinguished(bytes: Buffer, name: Element): string {
  const parts = elements(bytes, name.start, name.end).map(({ start, end }) =>
    elements(bytes, start, end).map((pair) => {
      const [type, value] = elements(bytes, pair.start, pair.end);
      if (type === undefined || value === undefined) return '';
      const content = bytes.subarray(value.start, value.end);
      const text = value.tag === bmpStringTag ? Buffer.from(content).swap16().toString('utf16le') : content.toString();
      return `${bytes.toString('hex', type.start, type.end)}=${text.trim().replace(/\s+/g, ' ').toLowerCase()}`;
    }),
  );
  return JSON.stringify(parts);
}
