/** Several authorities, asked in turn: the first that knows the peer decides. */

import { ReasonCode } from '@pipit/protocol';
import type { AuthenticationRequest, Authority, Peer, Refusal, Subject, Verdict } from '../core/index.ts';
import { BackOff } from './back-off.ts';

/** "I do not know this one": the next is asked. */
export interface Pass {
  readonly outcome: 'pass';
}

/** A refusal by a judge, who knows whether it was for a guess; absent: it is one for 0x86 and 0x87. */
export interface JudgeRefusal extends Refusal {
  readonly isGuess?: boolean;
}

/**
 * What a judge still says of somebody that it once let in, without asking again. `stale`: what it was let in by is not good any more,
 * and it has to come back with what is; `gone`: it does not know it any more.
 */
export type Word = 'stands' | 'stale' | 'gone';

/** One link of a chain. Every Authority is one that never passes. */
export interface Judge {
  authenticate(request: AuthenticationRequest): JudgeAnswer | Promise<JudgeAnswer>;
  /** Absent: it cannot say, and so everybody stands. `peer` is null for who is not connected. */
  wordFor?(subject: Subject, peer: Peer | null): Word;
}

export type JudgeAnswer = Verdict | JudgeRefusal | Pass;

export const pass: Pass = { outcome: 'pass' };

/** For who came with a name or password that nobody knows, or with none where one is needed. */
const unknown: Refusal = { outcome: 'refuse', reasonCode: ReasonCode.BadUserNameOrPassword };

const badMethod: Refusal = { outcome: 'refuse', reasonCode: ReasonCode.BadAuthenticationMethod };

interface Memory {
  readonly judge: Judge;
  readonly memory: unknown;
}

/** Before another try is due. */
const early: Refusal = {
  outcome: 'refuse',
  reasonCode: ReasonCode.ConnectionRateExceeded,
  reason: 'too many wrong passwords; try again later',
};

/**
 * An exchange of several steps stays with the judge that began it. Nobody knowing the peer is a refusal. Who was refused for what it
 * showed (0x86, 0x87) has to wait before it is asked about again.
 */
export function chain(judges: readonly Judge[], backOff = new BackOff()): Authority {
  return {
    async authenticate(request) {
      const { username, password, method } = request;
      // A token may come as a password without a name.
      const showsNothing = username === null && password === null && method === null;
      if (showsNothing) return ask(judges, request);
      if (backOff.waitMs(request) > 0) return early;
      const verdict = await ask(judges, request);
      if (verdict.outcome === 'refuse' && isGuess(verdict)) backOff.failed(request);
      if (verdict.outcome === 'accept' && verdict.principal !== null) backOff.succeeded(request);
      return verdict;
    },
  };
}

async function ask(judges: readonly Judge[], request: AuthenticationRequest): Promise<Verdict | JudgeRefusal> {
  if (request.memory !== null) {
    const { judge, memory } = request.memory as Memory;
    const verdict = await judge.authenticate({ ...request, memory });
    return verdict.outcome === 'pass' ? unknown : remembering(judge, verdict);
  }
  for (const judge of judges) {
    const verdict = await judge.authenticate(request);
    if (verdict.outcome !== 'pass') return remembering(judge, verdict);
  }
  return request.method === null ? unknown : badMethod;
}

function remembering(judge: Judge, verdict: Verdict | JudgeRefusal): Verdict | JudgeRefusal {
  return verdict.outcome === 'continue' ? { ...verdict, memory: { judge, memory: verdict.memory ?? null } } : verdict;
}

function isGuess({ reasonCode, isGuess: told }: JudgeRefusal): boolean {
  if (told !== undefined) return told;
  return reasonCode === ReasonCode.BadUserNameOrPassword || reasonCode === ReasonCode.NotAuthorized;
}
