/**
 * Certificates that somebody forgot to renew, made for another host, or made with a short key: X.509 v3, written by hand
 * (RFC 5280) and signed by `node:crypto`, for the tests alone.
 */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface CertificateOptions {
  /** The host it is for. */
  readonly name: string;
  /** Days from now until it expires; negative: that long ago. */
  readonly daysLeft: number;
  /** Of an RSA key; 0: an elliptic curve. */
  readonly rsaBits: number;
  /** Null: by itself. */
  readonly signedBy: Authority | null;
}

/** Paths of PEM files. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

export interface Authority extends CertificateFiles {
  readonly name: string;
  readonly privateKey: KeyObject;
}

const dayMs = 86_400_000;
const commonName = '2.5.4.3';
const basicConstraints = '2.5.29.19';
const subjectAltName = '2.5.29.17';

/** Writes `FILE.pem` and `FILE-key.pem` into a folder. */
export function makeCertificate(folder: string, file: string, options: CertificateOptions): Authority {
  const { name, daysLeft, rsaBits, signedBy } = options;
  const { publicKey, privateKey } =
    rsaBits === 0
      ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
      : generateKeyPairSync('rsa', { modulusLength: rsaBits });
  const issuer = signedBy ?? { name, privateKey };
  const isEc = issuer.privateKey.asymmetricKeyType === 'ec';
  const algorithm = isEc ? sequence(oid('1.2.840.10045.4.3.2')) : sequence(oid('1.2.840.113549.1.1.11'), der(5));
  const notAfter = Date.now() + daysLeft * dayMs;
  const body = sequence(
    der(0xa0, der(2, Uint8Array.of(2))),
    der(2, Uint8Array.of(1, ...randomBytes(8))),
    algorithm,
    distinguishedName(issuer.name),
    sequence(time(Math.min(Date.now(), notAfter) - 100 * dayMs), time(notAfter)),
    distinguishedName(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions(name, signedBy === null))),
  );
  const signature = sign('sha256', body, issuer.privateKey);
  const whole = sequence(body, algorithm, der(3, Uint8Array.of(0), signature));
  const files = { cert: join(folder, `${file}.pem`), key: join(folder, `${file}-key.pem`) };
  const lines = whole.toString('base64').replaceAll(/.{64}(?=.)/g, '$&\n');
  writeFileSync(files.cert, `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`);
  writeFileSync(files.key, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  return { ...files, name, privateKey };
}

function extensions(host: string, isAuthority: boolean): Buffer[] {
  const extension = (id: string, value: Buffer): Buffer => sequence(oid(id), der(4, value));
  const names = extension(subjectAltName, sequence(der(0x82, Buffer.from(host))));
  return isAuthority ? [names, extension(basicConstraints, sequence(der(1, Uint8Array.of(0xff))))] : [names];
}

function distinguishedName(text: string): Buffer {
  return sequence(der(0x31, sequence(oid(commonName), der(12, Buffer.from(text)))));
}

/** GeneralizedTime, without fractions of seconds. */
function time(at: number): Buffer {
  return der(0x18, Buffer.from(new Date(at).toISOString().replaceAll(/[-:T]|\.\d+/g, '')));
}

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  return der(6, Uint8Array.from([first * 40 + second, ...rest].flatMap(base128)));
}

function base128(value: number): number[] {
  const digits = [value & 0x7f];
  for (let left = Math.floor(value / 128); left > 0; left = Math.floor(left / 128))
    digits.unshift(0x80 | (left & 0x7f));
  return digits;
}

function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(0x30, ...parts);
}

/** Tag, length, content. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Uint8Array.of(tag, ...head), content]);
}
