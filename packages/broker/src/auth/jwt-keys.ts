/** Keys of tokens, from files: PEM (public keys, certificates), JSON Web Keys (RFC 7517), secrets. */

import { createPublicKey, createSecretKey, type JsonWebKeyInput, type KeyObject } from 'node:crypto';
import * as z from 'zod';
import { type JwtAlgorithm, type JwtKey, jwtAlgorithms } from './jwt-options.ts';

/** RFC 7518, 3.2: as long as the hash, at least. */
const secretBytesMin = 32;
const rsaBitsMin = 2_048;

const rsa = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const;
const curves: Readonly<Record<string, readonly JwtAlgorithm[]>> = {
  prime256v1: ['ES256'],
  secp384r1: ['ES384'],
  secp521r1: ['ES512'],
};

const keySchema = z.looseObject({
  kty: z.string(),
  kid: z.string().exactOptional(),
  alg: z.string().exactOptional(),
  use: z.string().exactOptional(),
});
const keySetSchema = z.union([z.looseObject({ keys: z.array(keySchema).min(1) }), keySchema]);

/** The keys in a file: PEM, one JSON Web Key, or a set of them. Throws an Error that says what is wrong. */
export function readJwtKeys(text: string): JwtKey[] {
  if (!text.trimStart().startsWith('{')) {
    const blocks = text.match(/-----BEGIN ([A-Z ]+)-----[^-]+-----END \1-----/g);
    if (blocks === null) throw new Error('has no key in it, neither PEM nor JSON');
    return blocks.map((pem) => publicKey(pem));
  }
  const read = keySetSchema.safeParse(jsonOf(text));
  if (!read.success) throw new Error('is no JSON Web Key and no set of them');
  const keys = 'keys' in read.data ? (read.data.keys as z.infer<typeof keySchema>[]) : [read.data];
  return keys
    .filter(({ use }) => use === undefined || use === 'sig')
    .map((key) => ofJsonWebKey(key as JsonWebKeyInput['key']));
}

/** A secret for HS256, HS384 and HS512: the text of a file, but for a line break at its end. Throws an Error. */
export function readJwtSecret(text: string): JwtKey {
  const secret = Buffer.from(text.replace(/\r?\n$/, ''));
  if (secret.length < secretBytesMin) throw new Error(`has a secret of less than ${secretBytesMin} bytes`);
  return { key: createSecretKey(secret), algorithms: ['HS256', 'HS384', 'HS512'] };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`is not JSON: ${(error as Error).message}`);
  }
}

function ofJsonWebKey(key: JsonWebKeyInput['key']): JwtKey {
  // A secret among public keys is how one is taken for the other.
  if (key.kty === 'oct') throw new Error('has a secret among its keys: it belongs into a file of its own');
  const { kid, alg } = key as { kid?: string; alg?: string };
  const found = publicKey({ key, format: 'jwk' });
  const algorithms = alg === undefined ? found.algorithms : found.algorithms.filter((each) => each === alg);
  if (algorithms.length === 0) throw new Error(`has a key for ${alg}, which does not fit it`);
  return { key: found.key, algorithms, ...(kid !== undefined && { keyId: kid }) };
}

function publicKey(source: string | JsonWebKeyInput): JwtKey {
  let key: KeyObject;
  try {
    key = createPublicKey(source);
  } catch (error) {
    throw new Error(`has a key that cannot be read: ${(error as Error).message}`);
  }
  return { key, algorithms: algorithmsOf(key) };
}

function algorithmsOf(key: KeyObject): readonly JwtAlgorithm[] {
  const { modulusLength = 0, namedCurve = '' } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'rsa':
      if (modulusLength < rsaBitsMin) throw new Error(`has an RSA key of less than ${rsaBitsMin} bits`);
      return rsa;
    case 'ec': {
      const algorithms = curves[namedCurve];
      if (algorithms === undefined) throw new Error(`has a key on ${namedCurve}, which no token is signed by`);
      return algorithms;
    }
    case 'ed25519':
      return jwtAlgorithms.filter((each) => each === 'EdDSA');
    default:
      throw new Error(`has a key of a kind that no token is signed by: ${key.asymmetricKeyType}`);
  }
}
