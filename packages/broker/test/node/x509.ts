/** Certificates and revocation lists made on the spot, also such as no tool would make. They are real: signed, in DER and PEM. */

import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

const clientAuth = '1.3.6.1.5.5.7.3.2';
export const serverAuth = '1.3.6.1.5.5.7.3.1';
const ecdsaWithSha256 = '1.2.840.10045.4.3.2';
const attributes = { CN: '2.5.4.3', O: '2.5.4.10' };

/** Names in their order, each as often as it comes; bytes are put in as they are. */
export type Subject = readonly (readonly [keyof typeof attributes, string | Uint8Array])[];

export interface Made {
  readonly cert: string;
  readonly key: string;
  readonly serial: number;
  readonly subject: Subject;
  readonly keyObject: KeyObject;
}

export interface CertificateOptions {
  readonly subject: Subject;
  /** GeneralNames: `[2, 'name']` is DNS, `[6, …]` a URI, `[1, …]` e-mail. */
  readonly alternativeNames?: readonly (readonly [number, string])[];
  readonly issuer?: Made;
  readonly isAuthority?: boolean;
  readonly purpose?: string;
  /** `YYMMDD`. */
  readonly until?: string;
}

const counter = { serial: 0 };

export function makeCertificate(options: CertificateOptions): Made {
  const {
    subject,
    issuer,
    isAuthority = false,
    purpose = clientAuth,
    until = '491231',
    alternativeNames = [],
  } = options;
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const serial = ++counter.serial;
  const extensions = [
    extension('2.5.29.19', true, isAuthority ? sequence(der(0x01, Buffer.from([0xff]))) : sequence()),
    ...(isAuthority ? [] : [extension('2.5.29.37', false, sequence(objectId(purpose)))]),
    ...(alternativeNames.length === 0
      ? []
      : [
          extension(
            '2.5.29.17',
            false,
            sequence(...alternativeNames.map(([tag, name]) => der(0x80 + tag, Buffer.from(name)))),
          ),
        ]),
  ];
  const body = sequence(
    der(0xa0, integer(2)),
    integer(serial),
    sequence(objectId(ecdsaWithSha256)),
    nameOf(issuer?.subject ?? subject),
    sequence(time('200101'), time(until)),
    nameOf(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  );
  const signer = issuer?.keyObject ?? privateKey;
  const cert = pem('CERTIFICATE', signed(body, signer));
  return {
    cert,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    serial,
    subject,
    keyObject: privateKey,
  };
}

/** What `issuer` has revoked. `asPrintable`: its name is written as a PrintableString, and in capitals, which is the same name. */
export function makeRevocationList(
  issuer: Made,
  revoked: readonly Made[],
  until = '491231',
  asPrintable = false,
): string {
  const entries = revoked.map(({ serial }) => sequence(integer(serial), time('200101')));
  const body = sequence(
    integer(1),
    sequence(objectId(ecdsaWithSha256)),
    asPrintable ? nameOf(issuer.subject, 0x13, (text) => text.toUpperCase()) : nameOf(issuer.subject),
    time('200101'),
    time(until),
    ...(entries.length === 0 ? [] : [sequence(...entries)]),
  );
  return pem('X509 CRL', signed(body, issuer.keyObject));
}

function signed(body: Buffer, key: KeyObject): Buffer {
  const signature = Buffer.concat([Buffer.from([0]), sign('sha256', body, key)]);
  return sequence(body, sequence(objectId(ecdsaWithSha256)), der(0x03, signature));
}

function nameOf(subject: Subject, tag = 0x0c, written = (text: string): string => text): Buffer {
  const parts = subject.map(([name, value]) =>
    der(
      0x31,
      sequence(objectId(attributes[name]), der(tag, Buffer.from(typeof value === 'string' ? written(value) : value))),
    ),
  );
  return sequence(...parts);
}

function extension(id: string, isCritical: boolean, content: Buffer): Buffer {
  const critical = isCritical ? [der(0x01, Buffer.from([0xff]))] : [];
  return sequence(objectId(id), ...critical, der(0x04, content));
}

function time(day: string): Buffer {
  return der(0x17, Buffer.from(`${day}000000Z`));
}

function integer(value: number): Buffer {
  const digits = value.toString(16);
  const bytes = Buffer.from(digits.length % 2 === 0 ? digits : `0${digits}`, 'hex');
  return der(0x02, (bytes[0] as number) > 0x7f ? Buffer.concat([Buffer.from([0]), bytes]) : bytes);
}

function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const base128 = (value: number): number[] => {
    const digits = [value & 0x7f];
    for (let left = value >>> 7; left > 0; left >>>= 7) digits.unshift((left & 0x7f) | 0x80);
    return digits;
  };
  return der(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]));
}

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, ...parts);
}

function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}
