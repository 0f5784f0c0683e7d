/**
 * JSON Web Tokens (RFC 7519): whoever shows one that is signed by a key trusted here is whom it names, until it expires.
 *
 * The token is the password of CONNECT, or the data of the enhanced authentication method `JWT`, by which a client also brings a new
 * one before the old one expires. The user name is not looked at. Only the algorithms that fit a key are tried with it, and a secret is
 * never anything but a secret: a token cannot choose how it is verified. Keys that cannot be had are a refusal (0x88).
 */

import { isUtf8, ReasonCode } from '@pipit/protocol';
import * as z from 'zod';
import { Permissions, type Refusal } from '../core/index.ts';
import { type Judge, type JudgeRefusal, type Pass, pass } from './chain.ts';
import { type Claims, type JwtOptions, TokenError, type Verify } from './jwt-options.ts';
import type { Identification } from './permitting.ts';
import { ruleSchema } from './rule-schema.ts';

const jwtMethod = 'JWT';

const tokenBytesMax = 16 * 1024;
const principalLengthMax = 1_024;
const valueLengthMax = 256;
const valuesMax = 64;

const rulesSchema = z.array(ruleSchema).max(1_000);

const unavailable: Refusal = {
  outcome: 'refuse',
  reasonCode: ReasonCode.ServerUnavailable,
  reason: 'the keys of tokens cannot be had now',
};

/** Passes on who shows no token, or one of another issuer. The library for it is loaded when the first token comes. */
export function jwtJudge(options: JwtOptions): Judge {
  let verify: Promise<Verify> | null = null;
  return {
    async authenticate({ method, password, data, clientId }) {
      if (method !== null && method !== jwtMethod) return pass;
      const token = tokenOf(method === null ? password : data);
      if (token === null) return method === null ? pass : refused('no token', true);
      if (!isFrom(options.issuers, token)) return pass;
      try {
        verify ??= import('./jwt-verification.ts').then(({ jwtVerification }) => jwtVerification(options));
        const claims = await (await verify)(token);
        return identify(claims, clientId, options);
      } catch (error) {
        if (error instanceof TokenError) return refused(error.message, error.isGuess);
        options.onFailure?.((error as Error).message);
        return unavailable;
      }
    },
  };
}

function refused(reason: string, isGuess: boolean): JudgeRefusal {
  return { outcome: 'refuse', reasonCode: ReasonCode.NotAuthorized, reason, isGuess };
}

/** Three parts of Base64 with dots between; null for anything else. */
function tokenOf(bytes: Uint8Array | null): string | null {
  if (bytes === null || bytes.length > tokenBytesMax || !isUtf8(bytes, 0, bytes.length)) return null;
  const text = Buffer.from(bytes).toString();
  return /^[\w-]+\.[\w-]+\.[\w-]*$/.test(text) ? text : null;
}

/** Not verified yet: only to tell whose question it is. */
function isFrom(issuers: readonly string[] | undefined, token: string): boolean {
  if (issuers === undefined) return true;
  try {
    const payload: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString());
    const { iss } = payload as { iss?: unknown };
    return typeof iss === 'string' && issuers.includes(iss);
  } catch {
    return false;
  }
}

function identify(claims: Claims, clientId: string, options: JwtOptions): Identification | JudgeRefusal | Pass {
  const { principalClaim = 'sub', clientIdClaim, clockToleranceSeconds = 5, permissionsClaim } = options;
  const principal = claimOf(claims, principalClaim);
  if (typeof principal !== 'string' || !isName(principal)) return refused(`no name in ${principalClaim}`, false);
  if (clientIdClaim !== undefined && claimOf(claims, clientIdClaim) !== clientId) {
    return { ...refused('the token is for another client id', false), reasonCode: ReasonCode.ClientIdentifierNotValid };
  }
  const rules = permissionsClaim === undefined ? undefined : claimOf(claims, permissionsClaim);
  const read = rules === undefined ? null : rulesSchema.safeParse(rules);
  if (read?.success === false) return refused(`no rules in ${permissionsClaim}`, false);
  const { exp } = claims as { exp?: number };
  const expiresInMs = exp === undefined ? null : Math.max(0, (exp + clockToleranceSeconds) * 1000 - Date.now());
  return {
    outcome: 'accept',
    principal,
    groups: groupsOf(claims, options.groupsClaim),
    values: valuesOf(claims),
    ...(read !== null && { permissions: new Permissions(read.data, {}, { isOwn: true }) }),
    ...(expiresInMs !== null && { expiresInMs }),
  };
}

function claimOf(claims: Claims, name: string): unknown {
  return Object.hasOwn(claims, name) ? claims[name] : undefined;
}

function isName(text: string): boolean {
  return text !== '' && text.length <= principalLengthMax && !text.includes('\0');
}

function groupsOf(claims: Claims, name: string | undefined): readonly string[] {
  const told = name === undefined ? undefined : claimOf(claims, name);
  const list: readonly unknown[] = typeof told === 'string' ? told.split(' ') : Array.isArray(told) ? told : [];
  return list.filter((group) => typeof group === 'string' && isName(group)).slice(0, valuesMax) as string[];
}

/** For templates: `${claim.site}`. */
function valuesOf(claims: Claims): Readonly<Record<string, string>> {
  const told = Object.entries(claims).flatMap(([name, value]) => {
    const text = typeof value === 'number' || typeof value === 'boolean' ? String(value) : value;
    return typeof text === 'string' && text.length <= valueLengthMax ? [[`claim.${name}`, text] as const] : [];
  });
  return Object.fromEntries(told.slice(0, valuesMax));
}
