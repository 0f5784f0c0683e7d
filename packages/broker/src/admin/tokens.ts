/**
 * Who may use the HTTP API: bearer tokens, of which only hashes are kept.
 *
 * A token is 32 random bytes, so that a plain SHA-256 of it tells nobody what it is. A file has a line for each: a name, a
 * right, and the hash; it is made at the first start, with a token for each right, which are shown then and never again.
 */

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';

/** `read`: look at everything; `write`: change things, too. */
export const tokenRights = ['read', 'write'] as const;
export type TokenRight = (typeof tokenRights)[number];

export interface Token {
  readonly name: string;
  readonly right: TokenRight;
  readonly hash: Uint8Array;
}

/** A token as it is shown once. */
export interface NewToken {
  readonly name: string;
  readonly right: TokenRight;
  readonly token: string;
}

/** The file of tokens says something else than tokens. Nobody is let in by it. */
export class TokenFileError extends Error {
  override readonly name = 'TokenFileError';
}

const heading = `# Who may use the HTTP API. A line: a name, read or write, and sha256: with the hash of the token, in hex.
# Without this file, tokens are made at the next start, and shown.
`;

export class Tokens {
  readonly #file: string | null;
  #tokens: readonly Token[] = [];

  /** `file`: null to keep none. */
  constructor(file: string | null) {
    this.#file = file;
  }

  /** Reads the file again: resolves to what goes over to it. Rejects with a TokenFileError, also when it is not there any more. */
  async read(): Promise<() => void> {
    const file = this.#file;
    // What is not kept stays the same while the process lives.
    if (file === null) return () => undefined;
    const text = await textOf(file);
    if (text === null) throw new TokenFileError(`${file} is not there any more.`);
    const tokens = parseTokens(text, file);
    return () => {
      this.#tokens = tokens;
    };
  }

  /** Reads the file, or makes it: the tokens that were made now. Rejects with a TokenFileError. */
  async load(): Promise<readonly NewToken[]> {
    const text = this.#file === null ? null : await textOf(this.#file);
    if (text !== null) {
      this.#tokens = parseTokens(text, this.#file ?? '');
      return [];
    }
    const made = [newToken('reader', 'read'), newToken('admin', 'write')];
    const tokens = made.map(({ name, right, token }) => ({ name, right, hash: hashOf(token) }));
    if (this.#file !== null) await write(this.#file, tokens);
    this.#tokens = tokens;
    return made;
  }

  /** The token of an Authorization header; null: it is none of ours. Takes equally long for every wrong one. */
  find(header: string | undefined): Token | null {
    const shown = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
    if (shown === undefined) return null;
    const hash = hashOf(shown);
    let found: Token | null = null;
    for (const token of this.#tokens) if (timingSafeEqual(token.hash, hash)) found = token;
    return found;
  }
}

function newToken(name: string, right: TokenRight): NewToken {
  return { name, right, token: `pipit_${randomBytes(32).toString('base64url')}` };
}

function hashOf(token: string): Uint8Array {
  return createHash('sha256').update(token).digest();
}

/** Throws a TokenFileError. `name` is how it calls the file. */
export function parseTokens(text: string, name: string): Token[] {
  const tokens: Token[] = [];
  text.split('\n').forEach((line, index) => {
    if (/^\s*(#|$)/.test(line)) return;
    const [, token, right, hash] = /^(\S+) (read|write) sha256:([0-9a-f]{64})\s*$/.exec(line) ?? [];
    if (token === undefined || right === undefined || hash === undefined) {
      throw new TokenFileError(`${name}:${index + 1}: must be a name, read or write, and sha256: with 64 hex digits.`);
    }
    tokens.push({ name: token, right: right as TokenRight, hash: Buffer.from(hash, 'hex') });
  });
  return tokens;
}

async function textOf(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new TokenFileError(`${file} cannot be read: ${(error as Error).message}.`);
  }
}

async function write(file: string, tokens: readonly Token[]): Promise<void> {
  const lines = tokens.map(({ name, right, hash }) => `${name} ${right} sha256:${Buffer.from(hash).toString('hex')}\n`);
  const draft = `${file}.${randomBytes(6).toString('hex')}.new`;
  try {
    await writeFile(draft, heading + lines.join(''), { mode: 0o600, flag: 'wx', flush: true });
    await rename(draft, file);
  } catch (error) {
    await rm(draft, { force: true });
    throw new TokenFileError(`${file} cannot be written: ${(error as Error).message}.`);
  }
}
