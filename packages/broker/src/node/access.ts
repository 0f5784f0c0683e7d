/** Who may connect and what they may do, from the configuration and the files that it names. */

import { readFileSync } from 'node:fs';
import { AclFileError, parseAcl } from '../auth/acl-file.ts';
import { anonymousJudge } from '../auth/anonymous.ts';
import { certificateJudge } from '../auth/certificate.ts';
import { chain, type Judge } from '../auth/chain.ts';
import { httpJudge } from '../auth/http.ts';
import { jwtJudge } from '../auth/jwt.ts';
import { readJwtKeys, readJwtSecret } from '../auth/jwt-keys.ts';
import type { JwtKey } from '../auth/jwt-options.ts';
import { PasswordFile, PasswordFileError, parsePasswords } from '../auth/password-file.ts';
import { permitting } from '../auth/permitting.ts';
import { type Authority, Permissions, type Rule } from '../core/index.ts';
import type { AuthenticationSettings, Configuration } from './config-settings.ts';
import { ConfigurationError } from './config-settings.ts';

/** Says with what `createBroker` decides. Throws a ConfigurationError that has every problem of every file. */
export function configuredAccess(
  configuration: Configuration,
  told: { readonly onFailure?: (reason: string) => void } = {},
): { readonly authority?: Authority; readonly rules?: readonly Rule[] } {
  const { authentication, allowAnonymous, groups } = configuration;
  const problems: string[] = [];
  const rules = rulesOf(configuration, problems);
  const judges = authentication?.flatMap((settings) => judgeOf(settings, { allowAnonymous, ...told }, problems));
  if (problems.length > 0) throw new ConfigurationError(problems);
  if (judges !== undefined) {
    // Nobody may do what no rule allows, once anybody is asked who they are.
    return { authority: permitting(chain(judges), new Permissions(rules ?? [], groups)) };
  }
  return rules === null ? {} : { rules };
}

function rulesOf({ permissions, aclFile }: Configuration, problems: string[]): readonly Rule[] | null {
  if (aclFile === undefined) return permissions ?? null;
  return parsed(aclFile, parseAcl, problems) ?? null;
}

function judgeOf(
  settings: AuthenticationSettings,
  { allowAnonymous, onFailure }: { readonly allowAnonymous: boolean; readonly onFailure?: (reason: string) => void },
  problems: string[],
): Judge[] {
  switch (settings.type) {
    case 'anonymous':
      return [anonymousJudge(allowAnonymous)];
    case 'certificate':
      return [certificateJudge(settings.identity)];
    case 'http': {
      const { type: _, ...options } = settings;
      return [httpJudge({ ...options, ...(onFailure !== undefined && { onFailure }) })];
    }
    case 'jwt': {
      const { type: _, keys: files = [], secretFile, ...options } = settings;
      const keys: JwtKey[] = files.flatMap((file) => parsed(file, readJwtKeys, problems) ?? []);
      if (secretFile !== undefined) keys.push(...(parsed(secretFile, (text) => [readJwtSecret(text)], problems) ?? []));
      return [jwtJudge({ ...options, keys, ...(onFailure !== undefined && { onFailure }) })];
    }
    case 'passwords': {
      const users = parsed(settings.file, parsePasswords, problems);
      return users === undefined ? [] : [new PasswordFile(users)];
    }
  }
}

/** What is in a file; undefined when it cannot be had, and then the problems say why. */
function parsed<Value>(file: string, parse: (text: string) => Value, problems: string[]): Value | undefined {
  try {
    return parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error instanceof PasswordFileError || error instanceof AclFileError) {
      problems.push(...error.problems.map((problem) => `${file}: ${problem}`));
    } else if ((error as NodeJS.ErrnoException).code !== undefined)
      problems.push(`${file}: cannot be read: ${(error as Error).message}`);
    else problems.push(`${file}: ${(error as Error).message}`);
    return undefined;
  }
}
