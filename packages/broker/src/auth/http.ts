/**
 * Another program decides: a POST of what CONNECT said, in JSON, and a verdict back.
 *
 *     → { "clientId", "username", "password", "address", "transport", "listener", "version", "certificate"? }
 *     ← { "outcome": "accept", "principal", "groups"?, "values"?, "rules"?, "expiresInSeconds"? }
 *     ← { "outcome": "refuse", "reasonCode"?, "reason"? }       ← { "outcome": "pass" }
 *
 * The password is text, or `{ "base64": … }` when it is not UTF-8. Anything but status 200 with one of these, in time, is a refusal
 * (0x88): what cannot be asked has not said yes.
 */

import { createHash } from 'node:crypto';
import { isUtf8, ReasonCode } from '@pipit/protocol';
import * as z from 'zod';
import { type AuthenticationRequest, Permissions, type Refusal, type Verdict } from '../core/index.ts';
import { type Judge, type Pass, pass } from './chain.ts';
import type { Identification } from './permitting.ts';
import { ruleSchema } from './rule-schema.ts';
import { WaitingLine } from './waiting-line.ts';

export interface HttpOptions {
  /** `https://…`, or `http://` to this machine. */
  readonly url: string;
  /** Sent with each question: `Authorization: Bearer …`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Default 5,000. */
  readonly timeoutMs?: number;
  /** How long an answer counts for the same question; default 0: it is asked each time. */
  readonly cacheMs?: number;
  /** Answers remembered at most; default 10,000. */
  readonly cacheEntriesMax?: number;
  /** A yes is good for so long at most, whatever it says of itself; then the client is disconnected (0xA0), to come again. Default: for ever. */
  readonly expiresInSecondsMax?: number;
  /** Told when there was no answer, with the reason. */
  readonly onFailure?: (reason: string) => void;
  readonly now?: () => number;
}

const answerBytesMax = 256 * 1024;
/** Each takes a socket; a service that hangs must not take all there are. */
const questionsAtOnce = 100;
const questionsWaitingMax = 10_000;

const answerSchema = z.discriminatedUnion('outcome', [
  z.strictObject({ outcome: z.literal('pass') }),
  z.strictObject({
    outcome: z.literal('accept'),
    principal: z.string().min(1),
    groups: z.array(z.string()).exactOptional(),
    values: z.record(z.string(), z.string()).exactOptional(),
    rules: z.array(ruleSchema).exactOptional(),
    expiresInSeconds: z.number().positive().exactOptional(),
  }),
  z.strictObject({
    outcome: z.literal('refuse'),
    reasonCode: z.int().min(0x80).max(0xff).default(ReasonCode.NotAuthorized),
    reason: z.string().exactOptional(),
  }),
]);
type HttpAnswer = z.infer<typeof answerSchema>;
type Accepted = Extract<HttpAnswer, { outcome: 'accept' }>;

const unavailable: Refusal = {
  outcome: 'refuse',
  reasonCode: ReasonCode.ServerUnavailable,
  reason: 'who decides about logins does not answer',
};

const busy: Refusal = { outcome: 'refuse', reasonCode: ReasonCode.ServerBusy, reason: 'too many are logging in' };

/** Decides nothing about enhanced authentication: that passes. */
export function httpJudge(options: HttpOptions): Judge {
  const { timeoutMs = 5_000, cacheMs = 0, cacheEntriesMax = 10_000, now = () => performance.now() } = options;
  const { expiresInSecondsMax = Number.POSITIVE_INFINITY } = options;
  const cache = new Map<string, { readonly answer: HttpAnswer; readonly at: number }>();
  const line = new WaitingLine(questionsAtOnce, questionsWaitingMax);
  const remember = (key: string, answer: HttpAnswer): void => {
    cache.delete(key);
    cache.set(key, { answer, at: now() });
    const [oldest] = cache.keys();
    if (cache.size > cacheEntriesMax && oldest !== undefined) cache.delete(oldest);
  };
  return {
    async authenticate(request) {
      if (request.method !== null) return pass;
      const question = JSON.stringify(questionOf(request));
      // The password must not stay in memory for as long as the answer does.
      const key = cacheMs > 0 ? createHash('sha256').update(question).digest('base64') : '';
      const known = cache.get(key);
      const ageMs = known === undefined ? 0 : now() - known.at;
      if (known !== undefined && ageMs < Math.min(cacheMs, lifeMs(known.answer))) return verdictOf(known.answer, ageMs);
      try {
        const said = await line.run(() => post(options, question, timeoutMs));
        const answer = said?.outcome === 'accept' ? atMost(said, expiresInSecondsMax) : said;
        if (answer === null) return busy;
        if (cacheMs > 0) remember(key, answer);
        return verdictOf(answer, 0);
      } catch (error) {
        options.onFailure?.(reasonOf(error));
        return unavailable;
      }
    },
  };
}

function questionOf({ clientId, username, password, version, peer }: AuthenticationRequest): object {
  const { address, transport, listener, certificate } = peer;
  // Ports come and go with each connection: with them, no answer would ever be found again.
  const host = address.replace(/:\d+$/, '');
  return { clientId, username, password: textOf(password), address: host, transport, listener, version, certificate };
}

function textOf(bytes: Uint8Array | null): string | { readonly base64: string } | null {
  if (bytes === null) return null;
  const buffer = Buffer.from(bytes);
  return isUtf8(bytes, 0, bytes.length) ? buffer.toString() : { base64: buffer.toString('base64') };
}

async function post({ url, headers }: HttpOptions, body: string, timeoutMs: number): Promise<HttpAnswer> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json', accept: 'application/json' },
    body,
    redirect: 'error',
    signal: AbortSignal.timeout(timeoutMs),
  });
  const text = await readText(response);
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  return answerSchema.parse(JSON.parse(text));
}

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) throw new Error(`more than ${answerBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function atMost(answer: Accepted, secondsMax: number): Accepted {
  const { expiresInSeconds = Number.POSITIVE_INFINITY } = answer;
  const seconds = Math.min(expiresInSeconds, secondsMax);
  return seconds === Number.POSITIVE_INFINITY ? answer : { ...answer, expiresInSeconds: seconds };
}

function lifeMs(answer: HttpAnswer): number {
  const seconds = answer.outcome === 'accept' ? answer.expiresInSeconds : undefined;
  return seconds === undefined ? Number.POSITIVE_INFINITY : seconds * 1000;
}

/** What was said to last for so long lasts from when it was said, however often it is remembered. */
function verdictOf(answer: HttpAnswer, ageMs: number): Verdict | Identification | Pass {
  if (answer.outcome !== 'accept') return answer;
  const { rules, expiresInSeconds, ...identification } = answer;
  return {
    ...identification,
    ...(rules !== undefined && { permissions: new Permissions(rules, {}, { isOwn: true }) }),
    ...(expiresInSeconds !== undefined && { expiresInMs: expiresInSeconds * 1000 - ageMs }),
  };
}

function reasonOf(error: unknown): string {
  if (error instanceof z.ZodError) return `the answer is not a verdict: ${z.prettifyError(error)}`;
  const { message, cause } = error as Error;
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}
