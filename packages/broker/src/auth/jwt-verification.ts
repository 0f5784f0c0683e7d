/**
 * Verifying tokens with `jose`: which key, which algorithm, and what each failure means. Loaded when the first token comes.
 *
 * A token names an algorithm and perhaps a key; both only choose among what is configured.
 */

import type { JWTVerifyOptions, JWTVerifyResult } from 'jose';
import { createRemoteJWKSet, customFetch, errors, jwtVerify } from 'jose';
import type { JwtAlgorithm, JwtKey, JwtOptions, Verify } from './jwt-options.ts';
import { jwtAlgorithms, KeysUnavailableError, TokenError } from './jwt-options.ts';

const keySetBytesMax = 1024 * 1024;
/** How long nobody asks again after a failure: a flood of tokens must not become one of requests. */
const retryMs = 1_000;
/** Keys of one set tried with a token that does not say which it is. */
const keysTriedMax = 16;

type Header = Readonly<{ alg?: string; kid?: string }>;
type Attempt = () => Promise<JWTVerifyResult>;

export function jwtVerification(options: JwtOptions): Verify {
  const { keys = [], jwksUrl, issuers, audiences, clockToleranceSeconds = 5, allowUnlimited = false } = options;
  const isAsymmetric = (algorithm: JwtAlgorithm): boolean => !algorithm.startsWith('HS');
  const possible = jwtAlgorithms.filter(
    (each) => (jwksUrl !== undefined && isAsymmetric(each)) || keys.some(({ algorithms }) => algorithms.includes(each)),
  );
  const allowed = possible.filter((each) => options.algorithms?.includes(each) ?? true);
  const terms: JWTVerifyOptions = {
    algorithms: allowed,
    clockTolerance: clockToleranceSeconds,
    ...(issuers !== undefined && { issuer: [...issuers] }),
    ...(audiences !== undefined && { audience: [...audiences] }),
    requiredClaims: allowUnlimited ? [] : ['exp'],
  };
  const remote = jwksUrl === undefined ? null : remoteKeys(jwksUrl, options, terms);
  return async (token) => {
    const header = headerOf(token);
    const attempts: Attempt[] = keys
      .filter((key) => fits(key, header))
      .map(
        ({ key }) =>
          () =>
            jwtVerify(token, key, terms),
      );
    const isForRemote = remote !== null && header.alg?.startsWith('HS') === false;
    if (isForRemote) attempts.push(() => remote(token));
    return (await firstGood(attempts, header, allowed)).payload;
  };
}

function fits({ algorithms, keyId }: JwtKey, { alg, kid }: Header): boolean {
  const isNamed = keyId === undefined || kid === undefined || keyId === kid;
  return isNamed && algorithms.some((each) => each === alg);
}

/** The result of the first key that the signature is by. Throws what is wrong with the token, or that the keys cannot be had. */
async function firstGood(
  attempts: readonly Attempt[],
  { alg }: Header,
  allowed: readonly string[],
): Promise<JWTVerifyResult> {
  if (alg === undefined || !allowed.includes(alg))
    throw new TokenError('the algorithm of the token is not allowed', true);
  let failure: unknown = new TokenError('the token is by a key that is not known', true);
  for (const attempt of attempts) {
    try {
      return await attempt();
    } catch (error) {
      failure = error instanceof errors.JOSEError ? tokenError(error) : error;
      const isOtherKey =
        error instanceof errors.JWSSignatureVerificationFailed || error instanceof errors.JWKSNoMatchingKey;
      if (!isOtherKey) throw failure;
    }
  }
  throw failure;
}

/** What `jose` found, in a sentence. What only the right key can have signed is no guess. */
function tokenError(error: errors.JOSEError): TokenError {
  if (error instanceof errors.JWTExpired) return new TokenError('the token has expired', false);
  if (error instanceof errors.JWTClaimValidationFailed) {
    const { claim, reason } = error;
    if (claim === 'nbf') return new TokenError('the token is not valid yet', false);
    return new TokenError(reason === 'missing' ? `the token has no ${claim}` : `the token has another ${claim}`, false);
  }
  if (error instanceof errors.JWKSNoMatchingKey) return new TokenError('the token is by a key that is not known', true);
  if (error instanceof errors.JWSSignatureVerificationFailed)
    return new TokenError('the signature of the token is not right', true);
  return new TokenError('the token cannot be read', true);
}

/** Only to choose among keys. */
function headerOf(token: string): Header {
  try {
    const header: unknown = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString());
    const { alg, kid } = header as { alg?: unknown; kid?: unknown };
    return { ...(typeof alg === 'string' && { alg }), ...(typeof kid === 'string' && { kid }) };
  } catch {
    throw new TokenError('the token cannot be read', true);
  }
}

// ── A key set of somebody else

function remoteKeys(
  url: string,
  { timeoutMs = 5_000, cacheMs = 600_000, cooldownMs = 30_000 }: JwtOptions,
  terms: JWTVerifyOptions,
): (token: string) => Promise<JWTVerifyResult> {
  let failedUntil = 0;
  let failure = '';
  const keySet = createRemoteJWKSet(new URL(url), {
    timeoutDuration: timeoutMs,
    cooldownDuration: cooldownMs,
    cacheMaxAge: cacheMs,
    [customFetch]: async (address, request) => {
      if (performance.now() < failedUntil) throw new KeysUnavailableError(failure);
      try {
        return await fetchKeys(address, request);
      } catch (error) {
        failure = `the key set ${url} cannot be had: ${reasonOf(error)}`;
        failedUntil = performance.now() + retryMs;
        throw new KeysUnavailableError(failure);
      }
    },
  });
  return async (token) => {
    try {
      return await jwtVerify(token, keySet, terms);
    } catch (error) {
      if (error instanceof errors.JWKSInvalid) throw new KeysUnavailableError(`the key set ${url} is none`);
      if (error instanceof errors.JWKSMultipleMatchingKeys) return tryAll(token, error, terms);
      throw error;
    }
  };
}

async function fetchKeys(url: string, request: RequestInit): Promise<Response> {
  const response = await fetch(url, request);
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > keySetBytesMax) throw new Error(`more than ${keySetBytesMax} bytes`);
    chunks.push(chunk);
  }
  const text = Buffer.concat(chunks).toString();
  JSON.parse(text);
  return new Response(text);
}

/** The token names no key, and several would do. */
async function tryAll(
  token: string,
  found: errors.JWKSMultipleMatchingKeys,
  terms: JWTVerifyOptions,
): Promise<JWTVerifyResult> {
  let tried = 0;
  for await (const key of found) {
    if (++tried > keysTriedMax) break;
    try {
      return await jwtVerify(token, key, terms);
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    }
  }
  throw new errors.JWSSignatureVerificationFailed();
}

function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}
