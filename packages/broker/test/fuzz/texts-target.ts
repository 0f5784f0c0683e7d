/**
 * What is read as text or as a header by something other than the codec: files of the operator, and what strangers send before MQTT.
 * Each may be refused in its own way; anything else that is thrown is a failure, as is one that another way of cutting shows.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import type { Features, Target } from '../../../protocol/test/fuzz/target.ts';
import { AclFileError, parseAcl } from '../../src/auth/acl-file.ts';
import { readJwtKeys } from '../../src/auth/jwt-keys.ts';
import { AddressRanges, hostOf } from '../../src/auth/network-address.ts';
import { PasswordFileError, parsePasswords } from '../../src/auth/password-file.ts';
import { scramStep } from '../../src/auth/scram.ts';
import { parseConfiguration } from '../../src/node/config-file.ts';
import { ConfigurationError } from '../../src/node/config-settings.ts';
import { forwardedAddress, isForeignOrigin } from '../../src/node/handshake-rules.ts';
import { readMosquittoConf } from '../../src/node/mosquitto-conf.ts';
import { proxyHeader } from '../../src/node/proxy-header.ts';

export interface TextInput {
  readonly format: string;
  /** Each character is a byte. */
  readonly text: string;
  /** Where it is cut in two, for what comes in pieces. */
  readonly cut: number;
}

interface Format {
  readonly seeds: readonly string[];
  /** What became of it, for the counts. Throws what must not be. */
  read(text: string, cut: number): string;
}

function refusedBy(...errors: readonly (new (...args: never[]) => Error)[]): (read: () => unknown) => string {
  return (read) => {
    try {
      read();
      return 'taken';
    } catch (error) {
      if (errors.some((each) => error instanceof each)) return 'refused';
      throw error;
    }
  };
}

const peer = { transport: 'tcp', address: '192.0.2.1:1', listener: 'l' } as const;
const question = {
  kind: 'auth',
  clientId: 'c',
  username: null,
  password: null,
  method: 'SCRAM-SHA-256',
  version: 5,
  peer,
};
const signature = '\r\n\r\n\0\r\nQUIT\n';
const passwordHash = `$scrypt$${'a'.repeat(22)}$${'b'.repeat(43)}`;

export const formats: Readonly<Record<string, Format>> = {
  proxy: {
    seeds: [
      'PROXY TCP4 192.0.2.1 192.0.2.2 50123 1883\r\nrest',
      'PROXY TCP6 2001:db8::1 ::1 1 65535\r\n',
      'PROXY UNKNOWN ffff::1 x 1 2\r\n',
      `${signature}\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\0\x01\0\x02rest`,
      `${signature}\x21\x21\0\x24${'\x20'.repeat(32)}\0\x01\0\x02`,
      `${signature}\x20\0\0\0`,
    ],
    read: (text, cut) => {
      const bytes = Buffer.from(text, 'latin1');
      const whole = proxyHeader(bytes);
      const part = proxyHeader(bytes.subarray(0, cut));
      if (part === 'bad') assert.equal(whole, 'bad', 'what is bad stays bad');
      else if (part !== 'more') assert.deepEqual(whole, part, 'what is whole stays what it is');
      if (whole === 'more') assert.ok(bytes.length < 4_200, 'it comes to an end');
      if (typeof whole === 'string') return whole;
      assert.ok(whole.end > 0 && whole.end <= bytes.length);
      if (whole.address !== null) assert.ok(hostOf(whole.address).length > 0);
      return 'taken';
    },
  },
  passwords: {
    seeds: [`ada:${passwordHash}\nbob:$6$c2FsdA==$aGFzaA==\n# no\n`, 'ada:$7$101$c2FsdA==$aGFzaA==', ':', 'a:b:c\n\n'],
    read: (text) => refusedBy(PasswordFileError)(() => parsePasswords(text)),
  },
  acl: {
    seeds: [
      'topic read a/#\nuser ada\ntopic write b/+\npattern readwrite devices/%c/%u/#\ntopic deny x\n',
      'topic readwrite a b c\n# no\n',
      'user\ntopic',
    ],
    read: (text) => refusedBy(AclFileError)(() => parseAcl(text)),
  },
  yaml: {
    seeds: [
      'listeners:\n  - { type: tcp, port: 1883 }\nlimits:\n  receiveMaximum: 100\nlogLevel: warn\n',
      'permissions:\n  - { effect: deny, action: publish, filter: a/#, reasonCode: 0x87 }\ngroups:\n  a: [b]\n',
      'a: &x [*x, *x]\n',
      'a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b]\n',
      'banned:\n  - { type: address, value: 203.0.113.0/24, until: 2030-01-31T12:00:00Z }\na: !!binary x\n',
      '<<: { limits: null }\n__proto__: { a: 1 }\n',
    ],
    read: (text) => refusedBy(ConfigurationError)(() => parseConfiguration(text, 'f')),
  },
  mosquitto: {
    seeds: [
      'listener 1883 127.0.0.1\nallow_anonymous true\nmax_keepalive 60\npersistence false\n',
      'per_listener_settings true\nlistener 8883\ncertfile a\nkeyfile b\nuse_identity_as_username true\nmount_point x/\n',
      'bind_address ::1\nport 1\nmax_queued_messages 0\nlog_type all\npid_file /x\ninclude_dir /nowhere\n',
      'bridge x\naddress y\nplugin z\npsk_hint h\n',
    ],
    read: (text) => refusedBy(ConfigurationError)(() => readInFile(text)),
  },
  'jwt-keys': {
    seeds: [
      '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}]}',
      '{"kty":"oct","k":"AAAA"}',
      '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n',
    ],
    read: (text) => refusedBy(Error)(() => readJwtKeys(text)),
  },
  scram: {
    seeds: [
      'n,,n=ada,r=fyko+d2lbbFgONRv9qkxdawL',
      'y,a=ada,n=ada,r=x',
      'p=tls-unique,,n=a,r=b',
      'n,,n=a=2Cb=3D,r=x,e=f',
    ],
    read: (text) => {
      const data = Buffer.from(text, 'latin1');
      const ask = (memory: unknown): ReturnType<typeof scramStep> =>
        scramStep({ ...question, data, memory } as unknown as Parameters<typeof scramStep>[0], () => null);
      const first = ask(null);
      if (first.outcome !== 'continue') return first.outcome;
      const last = ask((first as { memory?: unknown }).memory);
      assert.equal(last.outcome, 'refuse', 'nobody without a password gets in');
      return 'continue';
    },
  },
  headers: {
    seeds: [
      '192.0.2.1, 10.0.0.1',
      '[2001:db8::1]:50123',
      '192.0.2.1:80,unknown',
      'https://app.example:8443',
      'null',
      ',',
    ],
    read: (text) => {
      const headers = { 'x-forwarded-for': text, origin: text, host: text };
      const request = { headers } as unknown as IncomingMessage;
      for (const kind of ['any', 'loopback', 'same-host'] as const) isForeignOrigin(request, { kind });
      assert.equal(
        isForeignOrigin(request, { kind: 'listed', origins: new Set(['https://x']) }),
        text.toLowerCase() !== 'https://x',
      );
      const address = forwardedAddress(request, new AddressRanges(['10.0.0.0/8']));
      if (address !== null && address !== 'bad') assert.ok(hostOf(address).length > 0);
      return address === 'bad' ? 'bad' : 'taken';
    },
  },
};

/** mosquitto.conf is read with what it includes, and so from a file. */
function readInFile(text: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'pipit-fuzz-'));
  try {
    writeFileSync(join(folder, 'mosquitto.conf'), text, 'latin1');
    readMosquittoConf(join(folder, 'mosquitto.conf'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

type Change = readonly [kind: number, at: number, length: number, piece: string];

const pieces = fc.oneof(
  fc.constantFrom(
    '\0',
    '\r\n',
    '\n',
    ' ',
    '\t',
    ':',
    ',',
    '$',
    '%',
    '#',
    '+',
    '/',
    '"',
    "'",
    '\\',
    '{',
    '}',
    '[',
    ']',
    '&',
    '*',
    '!',
    '|',
    '>',
    '-',
    '=',
    '\xff',
    '\xef\xbb\xbf',
  ),
  fc.constantFrom(
    '65535',
    '65536',
    '-1',
    '99999999999999999999',
    '0x',
    '1e309',
    '.inf',
    'null',
    'true',
    '::',
    '%c',
    'a'.repeat(5_000),
    ' '.repeat(2_000),
    '['.repeat(500),
  ),
  fc.string({ unit: 'binary', maxLength: 20 }).map((text) => text.replace(/[^\0-\xff]/g, '?')),
);
const change: fc.Arbitrary<Change> = fc.tuple(fc.nat(4), fc.nat(400), fc.nat(30), pieces);

function changed(text: string, [kind, where, length, piece]: Change): string {
  const at = where % (text.length + 1);
  const [before, after] = [text.slice(0, at), text.slice(at)];
  if (kind === 0) return before + piece + after;
  if (kind === 1) return before + after.slice(length);
  if (kind === 2) return before + piece + after.slice(piece.length);
  if (kind === 3) return before + after.slice(0, length).repeat(3) + after;
  return before;
}

export const textsTarget: Target<TextInput, TextInput> = {
  name: 'texts',
  weight: 1,
  arbitrary: (kept) => {
    const fresh = fc
      .constantFrom(...Object.entries(formats))
      .chain(([format, { seeds }]) =>
        fc
          .tuple(fc.constantFrom(...seeds), fc.array(change, { maxLength: 6 }), fc.nat(300))
          .map(([seed, changes, cut]) => ({ format, text: changes.reduce(changed, seed), cut })),
      );
    if (kept.length === 0) return fresh;
    const again = fc
      .tuple(fc.constantFrom(...kept), change)
      .map(([input, how]) => ({ ...input, text: changed(input.text, how) }));
    return fc.oneof({ weight: 9, arbitrary: fresh }, { weight: 1, arbitrary: again });
  },
  run: ({ format, text, cut }, features: Features) => {
    const { read } = formats[format] as Format;
    features.add(`${format} ${read(text, cut)}`);
  },
  keep: (input) => input,
  restore: (kept) => kept,
};
