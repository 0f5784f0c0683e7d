import assert from 'node:assert/strict';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { test } from 'node:test';
import { encodeUtf8, ReasonCode } from '@pipit/protocol';
import type { AuthenticationRequest, Verdict } from '../core/index.ts';
import { hashPassword, type PasswordHash, parsePasswordHash } from './password-hash.ts';
import { scramMethod, scramStep } from './scram.ts';

function request(data: string | null, memory: unknown = null, username: string | null = null): AuthenticationRequest {
  return {
    kind: memory === null ? 'connect' : 'continue',
    peer: { transport: 'tcp', address: '192.0.2.1:1', listener: '' },
    version: 5,
    clientId: 'c',
    username,
    password: null,
    method: scramMethod,
    data: data === null ? null : encodeUtf8(data),
    userProperties: [],
    principal: null,
    memory,
  };
}

const textOf = (data: Uint8Array | null | undefined) => Buffer.from(data ?? []).toString();

function continued(verdict: Verdict): { text: string; memory: unknown } {
  assert.ok(verdict.outcome === 'continue', JSON.stringify(verdict));
  return { text: textOf(verdict.data), memory: verdict.memory ?? null };
}

function assertRefused(verdict: Verdict): void {
  assert.ok(verdict.outcome === 'refuse', JSON.stringify(verdict));
  assert.equal(verdict.reasonCode, ReasonCode.NotAuthorized);
}

/** RFC 7677, section 3: the password is `pencil`. */
const salt = Buffer.from('W22ZaJ0SNY7soEsUEjb6gQ==', 'base64');
const ourNonce = '%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0';
const salted = pbkdf2Sync('pencil', salt, 4096, 32, 'sha256');
const clientKey = createHmac('sha256', salted).update('Client Key').digest();
const published: PasswordHash = {
  kind: 'scram-sha-256',
  salt,
  hash: createHash('sha256').update(clientKey).digest(),
  serverKey: createHmac('sha256', salted).update('Server Key').digest(),
  iterations: 4096,
  cost: { N: 0, r: 0, p: 0 },
};
const find = (name: string) => (name === 'user' ? published : null);
const proof =
  'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=';
const begin = (data: string, username: string | null = null) =>
  scramStep(request(data, null, username), find, () => ourNonce);

test('the exchange of RFC 7677', () => {
  const { text, memory } = continued(begin('n,,n=user,r=rOprNGfwEbeRWgbNEkqO'));
  assert.equal(text, `r=rOprNGfwEbeRWgbNEkqO${ourNonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096`);
  const verdict = scramStep(request(proof, memory), find);
  assert.ok(verdict.outcome === 'accept');
  assert.equal(verdict.principal, 'user');
  assert.equal(textOf(verdict.data), 'v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=');
});

test('a proof that is wrong, of another exchange, or with another channel binding', () => {
  const { memory } = continued(begin('n,,n=user,r=rOprNGfwEbeRWgbNEkqO'));
  const other = continued(scramStep(request('n,,n=user,r=rOprNGfwEbeRWgbNEkqO'), find));
  for (const message of [
    proof.replace('p=d', 'p=e'),
    proof.replace('biws', 'eSws'),
    proof.replace('p=dHzb', 'p='),
    proof.replace('$k0', '$k1'),
    'v=1',
    '',
  ]) {
    assertRefused(scramStep(request(message, memory), find));
  }
  assertRefused(scramStep(request(proof, other.memory), find));
});

test('a name that nobody has is asked as any other, with the same salt each time, and refused at the end', () => {
  const [one, two] = [begin('n,,n=eve,r=abc'), begin('n,,n=eve,r=abc')].map(continued) as [
    { text: string; memory: unknown },
    { text: string; memory: unknown },
  ];
  assert.equal(one.text, two.text);
  assert.match(one.text, /^r=abc.*,s=[^,]{24},i=8192$/);
  assertRefused(
    scramStep(request(`c=biws,r=abc${ourNonce},p=${Buffer.alloc(32).toString('base64')}`, one.memory), find),
  );
});

test('a first message that is not legal, binds a channel, or speaks for somebody else', () => {
  for (const message of [
    '',
    'n,,n=,r=a',
    'n,,n=user',
    'p=tls-exporter,,n=user,r=a',
    'n,a=other,n=user,r=a',
    'n,,n=us=er,r=a',
    'n,,m=x,n=user,r=a',
  ]) {
    assertRefused(begin(message));
  }
  assertRefused(begin('n,,n=user,r=a', 'ada'));
  continued(begin('n,a=user,n=user,r=a', 'user'));
});

test('without data in CONNECT the client is asked for it', () => {
  assert.deepEqual(scramStep(request(null), find), { outcome: 'continue', data: null });
});

test('a name with a comma, and a password made here', async () => {
  const stored = parsePasswordHash(await hashPassword('scram-sha-256', encodeUtf8('pencil'), salt));
  assert.equal(stored.serverKey?.length, 32);
  const asked: string[] = [];
  const { memory } = continued(
    scramStep(
      request('n,,n=a=2Cb=3D,r=x'),
      (name) => {
        asked.push(name);
        return stored;
      },
      () => 'y',
    ),
  );
  assert.deepEqual(asked, ['a,b=']);
  const key = createHmac('sha256', pbkdf2Sync('pencil', salt, stored.iterations, 32, 'sha256'))
    .update('Client Key')
    .digest();
  const message = `n=a=2Cb=3D,r=x,r=xy,s=${salt.toString('base64')},i=${stored.iterations},c=biws,r=xy`;
  const signature = createHmac('sha256', stored.hash).update(message).digest();
  const proven = Buffer.from(key.map((byte, index) => byte ^ (signature[index] ?? 0))).toString('base64');
  const verdict = scramStep(request(`c=biws,r=xy,p=${proven}`, memory), find);
  assert.equal(verdict.outcome, 'accept');
});
