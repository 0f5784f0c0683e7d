/** What is configured about tokens, and what can be wrong with one. */

import type { KeyObject } from 'node:crypto';

export const jwtAlgorithms = [
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const),
  ...(['ES256', 'ES384', 'ES512', 'EdDSA', 'HS256', 'HS384', 'HS512'] as const),
] as const;
export type JwtAlgorithm = (typeof jwtAlgorithms)[number];

/** A key to verify with, and which tokens it is for. See `readJwtKeys`. */
export interface JwtKey {
  readonly key: KeyObject;
  readonly algorithms: readonly JwtAlgorithm[];
  readonly keyId?: string;
}

export interface JwtOptions {
  readonly keys?: readonly JwtKey[];
  /** A JSON Web Key Set: `https://…`, or `http://` to this machine. */
  readonly jwksUrl?: string;
  /** Default: all that fit the keys. `none` is not one. */
  readonly algorithms?: readonly JwtAlgorithm[];
  /** Tokens of others are passed on. Absent: any. */
  readonly issuers?: readonly string[];
  /** One of them must be in `aud`. Absent: any. */
  readonly audiences?: readonly string[];
  /** How far clocks may be apart; default 5. */
  readonly clockToleranceSeconds?: number;
  /** Whether a token without `exp` is taken; default false. */
  readonly allowUnlimited?: boolean;
  /** The claim that is the principal; default `sub`. */
  readonly principalClaim?: string;
  /** A claim that must be the client id. */
  readonly clientIdClaim?: string;
  /** A claim with names of groups: a list, or a text with spaces between. */
  readonly groupsClaim?: string;
  /** A claim with rules, which hold instead of those of the broker. */
  readonly permissionsClaim?: string;
  /** For the key set; default 5,000. */
  readonly timeoutMs?: number;
  /** How long a key set is used before it is fetched again; default 600,000. */
  readonly cacheMs?: number;
  /** How long an unknown key id does not make it be fetched again; default 30,000. */
  readonly cooldownMs?: number;
  /** Told when keys could not be had, with the reason. */
  readonly onFailure?: (reason: string) => void;
}

export type Claims = Readonly<Record<string, unknown>>;
/** Resolves to the claims of a token that is good. */
export type Verify = (token: string) => Promise<Claims>;

/** What is wrong with a token, for the one who shows it. `isGuess`: it may be made up, which whoever does so has to wait for. */
export class TokenError extends Error {
  readonly isGuess: boolean;

  constructor(message: string, isGuess: boolean) {
    super(message);
    this.isGuess = isGuess;
  }
}

/** The keys could not be had. */
export class KeysUnavailableError extends Error {}
