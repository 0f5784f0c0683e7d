/**
 * Passwords at rest: Pipit's own form (scrypt, RFC 7914) and those of Mosquitto's password files, as they are.
 *
 *     $scrypt$N=16384,r=8,p=1$SALT$HASH        ours
 *     $scram-sha-256$i=8192$SALT$STORED$SERVER  ours, for SCRAM and for plain passwords alike (RFC 5802, 3)
 *     $7$ITERATIONS$SALT$HASH                  Mosquitto: PBKDF2 with HMAC-SHA-512
 *     $6$SALT$HASH                             Mosquitto: SHA-512 of password and salt
 *
 * SALT, HASH, STORED and SERVER are Base64. Everything slow runs off the main thread.
 */

import { createHash, createHmac, pbkdf2, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

export interface PasswordHash {
  readonly kind: 'scrypt' | 'scram-sha-256' | 'pbkdf2-sha512' | 'sha512';
  readonly salt: Buffer;
  /** What scrypt, PBKDF2 or SHA-512 gave; for SCRAM the StoredKey. */
  readonly hash: Buffer;
  /** Only for SCRAM. */
  readonly serverKey: Buffer | null;
  readonly iterations: number;
  readonly cost: { readonly N: number; readonly r: number; readonly p: number };
}

const deriveScrypt: (password: Uint8Array, salt: Buffer, length: number, options: ScryptOptions) => Promise<Buffer> =
  promisify(scrypt);
const derivePbkdf2 = promisify(pbkdf2);

/** What scrypt may cost at most in a file: 128 × N × r bytes of memory. */
const memoryBytesMax = 256 * 1024 * 1024;
const iterationsMax = 10_000_000;
const noCost = { N: 0, r: 0, p: 0 };

/** What `hashPassword` takes; 16 MB and about 50 ms of one core. */
export const defaultCost = { N: 16_384, r: 8, p: 1 } as const;
export const scramIterations = 8_192;

/** Reads one of the forms above. Throws an Error that says what is wrong with it. */
export function parsePasswordHash(text: string): PasswordHash {
  const [empty, kind, ...parts] = text.split('$');
  if (empty !== '' || kind === undefined) throw new Error('is not a password hash: it does not begin with $');
  switch (kind) {
    case 'scrypt':
      return parseScrypt(parts);
    case 'scram-sha-256':
      return parseScram(parts);
    case '7':
      return parsePbkdf2(parts);
    case '6':
      return parseSha512(parts);
    default:
      throw new Error(`has a password hash of a kind that is not known here: $${kind}$`);
  }
}

function parseScrypt(parts: readonly string[]): PasswordHash {
  const [parameters = '', salt, hash] = expectParts(parts, 3);
  const match = /^N=(\d+),r=(\d+),p=(\d+)$/.exec(parameters);
  if (match === null) throw new Error('has a scrypt hash without N, r and p');
  const [N, r, p] = match.slice(1).map(Number) as [number, number, number];
  const isPower = N > 1 && Number.isInteger(Math.log2(N));
  if (!isPower || r < 1 || p < 1 || p > 64 || 128 * N * r > memoryBytesMax) {
    throw new Error('has a scrypt hash whose N, r and p are not legal or cost too much');
  }
  const cost = { N, r, p };
  return { kind: 'scrypt', salt: decode(salt), hash: decode(hash), serverKey: null, iterations: 0, cost };
}

function parseScram(parts: readonly string[]): PasswordHash {
  const [parameters = '', salt, stored, server] = expectParts(parts, 4);
  const iterations = iterationsOf(/^i=(\d+)$/.exec(parameters)?.[1]);
  const hash = decode(stored, 32);
  return { kind: 'scram-sha-256', salt: decode(salt), hash, serverKey: decode(server, 32), iterations, cost: noCost };
}

function parsePbkdf2(parts: readonly string[]): PasswordHash {
  const [count, salt, hash] = expectParts(parts, 3);
  const iterations = iterationsOf(count);
  return {
    kind: 'pbkdf2-sha512',
    salt: decode(salt),
    hash: decode(hash, 64),
    serverKey: null,
    iterations,
    cost: noCost,
  };
}

function parseSha512(parts: readonly string[]): PasswordHash {
  const [salt, hash] = expectParts(parts, 2);
  return { kind: 'sha512', salt: decode(salt), hash: decode(hash, 64), serverKey: null, iterations: 0, cost: noCost };
}

function expectParts(parts: readonly string[], count: number): readonly string[] {
  if (parts.length !== count) throw new Error('has a password hash with parts missing or too many');
  return parts;
}

function iterationsOf(text: string | undefined): number {
  const iterations = /^\d+$/.test(text ?? '') ? Number(text) : 0;
  if (iterations < 1 || iterations > iterationsMax) {
    throw new Error(`has a password hash whose number of iterations is not from 1 to ${iterationsMax}`);
  }
  return iterations;
}

function decode(text: string | undefined, length?: number): Buffer {
  const isBase64 = text !== undefined && /^[A-Za-z0-9+/]+={0,2}$/.test(text);
  const bytes = isBase64 ? Buffer.from(text, 'base64') : Buffer.alloc(0);
  if (bytes.length === 0 || (length !== undefined && bytes.length !== length)) {
    throw new Error('has a password hash that is not Base64 of the right length');
  }
  return bytes;
}

/** Whether this is the password. Takes as long for a wrong one as for the right one. */
export async function verifyPassword(stored: PasswordHash, password: Uint8Array): Promise<boolean> {
  return timingSafeEqual(await derive(stored, password), stored.hash);
}

async function derive({ kind, salt, hash, iterations, cost }: PasswordHash, password: Uint8Array): Promise<Buffer> {
  switch (kind) {
    case 'scrypt':
      return deriveScrypt(password, salt, hash.length, { ...cost, maxmem: 2 * memoryBytesMax });
    case 'pbkdf2-sha512':
      return derivePbkdf2(password, salt, iterations, hash.length, 'sha512');
    case 'sha512':
      return createHash('sha512').update(password).update(salt).digest();
    case 'scram-sha-256':
      return scramKeys(await derivePbkdf2(prepared(password), salt, iterations, 32, 'sha256')).storedKey;
  }
}

/** As SCRAM's clients do it: compatibility forms are folded (the part of SASLprep that changes what people type). */
function prepared(password: Uint8Array): Uint8Array {
  return Buffer.from(Buffer.from(password).toString().normalize('NFKC'));
}

function scramKeys(salted: Buffer): { readonly storedKey: Buffer; readonly serverKey: Buffer } {
  const clientKey = createHmac('sha256', salted).update('Client Key').digest();
  const serverKey = createHmac('sha256', salted).update('Server Key').digest();
  return { storedKey: createHash('sha256').update(clientKey).digest(), serverKey };
}

/** One of the forms above for a new password; `salt`: 16 random bytes. */
export async function hashPassword(
  kind: 'scrypt' | 'scram-sha-256',
  password: Uint8Array,
  salt: Buffer,
): Promise<string> {
  const salted = salt.toString('base64');
  if (kind === 'scrypt') {
    const { N, r, p } = defaultCost;
    const hash = await deriveScrypt(password, salt, 32, defaultCost);
    return `$scrypt$N=${N},r=${r},p=${p}$${salted}$${hash.toString('base64')}`;
  }
  const { storedKey, serverKey } = scramKeys(
    await derivePbkdf2(prepared(password), salt, scramIterations, 32, 'sha256'),
  );
  return `$scram-sha-256$i=${scramIterations}$${salted}$${storedKey.toString('base64')}$${serverKey.toString('base64')}`;
}
