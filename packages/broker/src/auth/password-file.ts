/**
 * Names and passwords from a file of `name:hash` lines: Pipit's own and Mosquitto's, mixed as they come (see password-hash.ts).
 *
 * The principal is the name. Names that have a SCRAM hash may also authenticate by it. Hashing never takes all of the disk's threads
 * (waiting-line.ts), and a name that nobody has takes as long as a wrong password of somebody.
 */

import { createHash, createHmac, randomBytes } from 'node:crypto';
import { ReasonCode } from '@pipit/protocol';
import type { Acceptance, AuthenticationRequest, Refusal, Subject, Verdict } from '../core/index.ts';
import { type Judge, type Pass, pass, type Word } from './chain.ts';
import { defaultCost, type PasswordHash, parsePasswordHash, verifyPassword } from './password-hash.ts';
import type { Identification } from './permitting.ts';
import { scramMethod, scramStep } from './scram.ts';
import { WaitingLine } from './waiting-line.ts';

/** More at once, and a flood of wrong passwords would hold up every commit. */
const hashesAtOnce = 2;
const hashesWaitingMax = 1_000;

/** What is wrong with a password file: one sentence a line, each beginning with its number. */
export class PasswordFileError extends Error {
  override readonly name = 'PasswordFileError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/** The names and hashes of a file. Empty lines and lines that begin with # are left out. Throws PasswordFileError. */
export function parsePasswords(text: string): Map<string, PasswordHash> {
  const found = new Map<string, PasswordHash>();
  const problems: string[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trimEnd();
    if (line === '' || line.startsWith('#')) continue;
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon));
    try {
      if (name === '') throw new Error('has no name before a colon');
      if (found.has(name)) throw new Error(`names ${name} again`);
      found.set(name, parsePasswordHash(line.slice(colon + 1)));
    } catch (error) {
      problems.push(`line ${index + 1} ${(error as Error).message}`);
    }
  }
  if (problems.length > 0) throw new PasswordFileError(problems);
  return found;
}

const decoySecret = randomBytes(32);

/** What is compared with where there is nobody at all. */
const nobody: PasswordHash = {
  kind: 'scrypt',
  salt: randomBytes(16),
  hash: randomBytes(32),
  serverKey: null,
  iterations: 0,
  cost: defaultCost,
};

const wrong: Refusal = { outcome: 'refuse', reasonCode: ReasonCode.BadUserNameOrPassword };
const busy: Refusal = { outcome: 'refuse', reasonCode: ReasonCode.ServerBusy, reason: 'too many are logging in' };

export class PasswordFile implements Judge {
  private readonly users: ReadonlyMap<string, PasswordHash>;
  private readonly hashes: readonly PasswordHash[];
  private readonly line: WaitingLine;

  /** `users`: see `parsePasswords`. */
  constructor(users: ReadonlyMap<string, PasswordHash>, line = new WaitingLine(hashesAtOnce, hashesWaitingMax)) {
    this.users = users;
    this.hashes = [...users.values()];
    this.line = line;
  }

  async authenticate(request: AuthenticationRequest): Promise<Verdict | Pass> {
    const { method, username, password } = request;
    if (method === scramMethod) {
      const verdict = scramStep(request, (name) => this.users.get(name) ?? null);
      if (verdict.outcome !== 'accept') return verdict;
      const known = this.users.get(verdict.principal ?? '');
      return known === undefined ? wrong : identified(verdict, known);
    }
    if (method !== null || username === null || password === null) return pass;
    const stored = this.users.get(username);
    const isRight = await this.line.run(() => verifyPassword(this.hashFor(username), password));
    if (isRight === null) return busy;
    if (stored === undefined) return pass;
    return isRight ? identified({ outcome: 'accept', principal: username }, stored) : wrong;
  }

  /** What a password under this name is compared with: where nobody has it the hash of somebody, always the same, so that it takes as long. */
  hashFor(name: string): PasswordHash {
    const stored = this.users.get(name);
    if (stored !== undefined || this.hashes.length === 0) return stored ?? nobody;
    const pick = createHmac('sha256', decoySecret).update(name).digest().readUInt32LE(0) % this.hashes.length;
    return this.hashes[pick] as PasswordHash;
  }

  wordFor({ name, mark }: Subject): Word {
    const stored = this.users.get(name);
    if (stored === undefined) return 'gone';
    return mark === undefined || mark === markOf(stored) ? 'stands' : 'stale';
  }
}

function identified(acceptance: Acceptance, stored: PasswordHash): Identification {
  return { ...acceptance, mark: markOf(stored) };
}

/** Tells one password from another, and gives away neither. */
function markOf({ salt, hash }: PasswordHash): string {
  return createHash('sha256').update(salt).update(hash).digest('base64url').slice(0, 16);
}
