/** Who may connect and what they may do, from the configuration and the files that it names. */

import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { AccessPlan } from '../auth/access.ts';
import { AclFileError, parseAcl } from '../auth/acl-file.ts';
import { anonymousJudge } from '../auth/anonymous.ts';
import { certificateJudge } from '../auth/certificate.ts';
import type { AccessSet, PlannedJudge } from '../auth/gate.ts';
import { httpJudge } from '../auth/http.ts';
import { jwtJudge } from '../auth/jwt.ts';
import { readJwtKeys, readJwtSecret } from '../auth/jwt-keys.ts';
import { PasswordFile, PasswordFileError, parsePasswords } from '../auth/password-file.ts';
import type { Rule } from '../core/index.ts';
import type { AccessSettings, AuthenticationSettings, Configuration } from './config-settings.ts';
import { ConfigurationError } from './config-settings.ts';

/** Reads every file that is named, and changes nothing. Throws a ConfigurationError that has every problem of every file. */
export function planAccess(configuration: Configuration): AccessPlan {
  const { access = {}, groups = {} } = configuration;
  const problems: string[] = [];
  const own = setOf(configuration, problems);
  const named: [string, AccessSettings][] = Object.entries(access);
  const sets = new Map<string, AccessSet>();
  for (const [name, settings] of named) {
    const isSame = ([, other]: [string, AccessSettings]): boolean => knowsTheSame(other, settings);
    const realm = knowsTheSame(configuration, settings) ? '' : (named.find(isSame)?.[0] ?? name);
    sets.set(name, { ...setOf(settings, problems), realm });
  }
  if (problems.length > 0) throw new ConfigurationError([...new Set(problems)]);
  return { ...own, groups, ...(named.length > 0 && { sets }) };
}

/** Whether a name is the same person's by both. */
function knowsTheSame(one: AccessSettings, other: AccessSettings): boolean {
  const judges = ({ authentication = [] }: AccessSettings): readonly AuthenticationSettings[] =>
    authentication.filter(({ type }) => type !== 'anonymous');
  return isDeepStrictEqual(judges(one), judges(other));
}

function setOf(settings: AccessSettings, problems: string[]): AccessSet {
  const { authentication, allowAnonymous } = settings;
  const rules = rulesOf(settings, problems);
  const judges = authentication?.flatMap((each) => judgeOf(each, allowAnonymous, problems) ?? []) ?? null;
  return { judges, rules };
}

function rulesOf({ permissions, aclFile }: AccessSettings, problems: string[]): readonly Rule[] | null {
  if (aclFile === undefined) return permissions ?? null;
  return parsed(aclFile, parseAcl, problems) ?? null;
}

/** Undefined when a file cannot be used. */
function judgeOf(
  settings: AuthenticationSettings,
  allowAnonymous: boolean,
  problems: string[],
): PlannedJudge | undefined {
  const { type } = settings;
  switch (type) {
    case 'anonymous':
      return { type, make: () => anonymousJudge(allowAnonymous) };
    case 'certificate':
      return { type, make: () => certificateJudge(settings.identity) };
    case 'http': {
      const { type: _, ...options } = settings;
      return { type, make: (onFailure) => httpJudge({ ...options, onFailure }) };
    }
    case 'jwt': {
      const { type: _, keys: files = [], secretFile, ...options } = settings;
      const keys = files.flatMap((file) => parsed(file, readJwtKeys, problems) ?? []);
      const secret = secretFile === undefined ? undefined : parsed(secretFile, readJwtSecret, problems);
      const all = secret === undefined ? keys : [...keys, secret];
      return { type, make: (onFailure) => jwtJudge({ ...options, keys: all, onFailure }) };
    }
    case 'passwords': {
      const users = parsed(settings.file, parsePasswords, problems);
      return users === undefined ? undefined : { type, make: () => new PasswordFile(users) };
    }
  }
}

/** What is in a file; undefined when it cannot be had, and then the problems say why. */
function parsed<Value>(file: string, parse: (text: string) => Value, problems: string[]): Value | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    problems.push(`${file}: cannot be read: ${(error as Error).message}`);
    return undefined;
  }
  try {
    return parse(text);
  } catch (error) {
    const isList = error instanceof PasswordFileError || error instanceof AclFileError;
    const found = isList ? error.problems : [(error as Error).message];
    problems.push(...found.map((problem) => `${file}: ${problem}`));
    return undefined;
  }
}
