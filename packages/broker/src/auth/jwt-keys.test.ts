import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { readJwtKeys, readJwtSecret } from './jwt-keys.ts';

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
const ed = generateKeyPairSync('ed25519').publicKey;
const pem = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }).toString();
const jwk = (key: KeyObject, more: object = {}) => ({ ...key.export({ format: 'jwk' }), ...more });
const algorithmsIn = (text: string) => readJwtKeys(text).map(({ algorithms }) => algorithms.join());

test('each kind of key is for the algorithms that fit it, and a secret for none of theirs', () => {
  const rsaAlgorithms = 'RS256,RS384,RS512,PS256,PS384,PS512';
  assert.deepEqual(algorithmsIn(`# keys\n${pem(rsa)}\n${pem(ec)}${pem(ed)}`), [rsaAlgorithms, 'ES256', 'EdDSA']);
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey;
  const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' }).publicKey;
  assert.deepEqual(algorithmsIn(pem(p384) + pem(p521)), ['ES384', 'ES512']);
  assert.deepEqual(readJwtSecret(`${'s'.repeat(32)}\n`).algorithms, ['HS256', 'HS384', 'HS512']);
});

test('JSON Web Keys, one or a set, say their id and may say their algorithm; those for encryption are left out', () => {
  const [one] = readJwtKeys(JSON.stringify(jwk(rsa, { kid: 'a', alg: 'RS256' })));
  assert.deepEqual([one?.keyId, one?.algorithms], ['a', ['RS256']]);
  const set = { keys: [jwk(ec, { kid: 'b' }), jwk(rsa, { use: 'enc' }), jwk(ed, { use: 'sig' })] };
  assert.deepEqual(
    readJwtKeys(JSON.stringify(set)).map(({ keyId, algorithms }) => [keyId, ...algorithms]),
    [
      ['b', 'ES256'],
      [undefined, 'EdDSA'],
    ],
  );
});

test('what cannot be used is refused with its reason', () => {
  const refused: readonly [string, RegExp][] = [
    ['', /no key in it/],
    ['-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n', /cannot be read/],
    ['{', /not JSON/],
    ['{"keys":[]}', /no JSON Web Key/],
    [JSON.stringify({ kty: 'oct', k: 'AAAA' }), /a secret among its keys/],
    [JSON.stringify(jwk(rsa, { alg: 'ES256' })), /does not fit/],
    [JSON.stringify(jwk(rsa, { alg: 'HS256' })), /does not fit/],
    [pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey), /less than 2048 bits/],
    [pem(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey), /no token is signed by/],
    [pem(generateKeyPairSync('x25519').publicKey), /no token is signed by/],
  ];
  for (const [text, reason] of refused) assert.throws(() => readJwtKeys(text), reason);
  assert.throws(() => readJwtSecret('s'.repeat(31)), /less than 32 bytes/);
});
