/**
 * A script: what hostile peers, the disk, the authority and time do to a broker, step by step. It is data, so that it shrinks,
 * and text, so that it can be kept: `2 hello 10…`, `2 send 30…` (peer 2 sends), `2 drop`, `wait 1500`, `store stall`.
 */

import { bytesOf, textOf } from '../../../protocol/test/fuzz/hex-text.ts';

const worldActions = {
  /** The authority answers the oldest question it left open. */
  verdict: 'verdict',
  /** The hostile peers' permissions change. */
  permit: 'permit',
  /** In-process code publishes, and settles what was delivered to it. */
  inside: 'inside',
  settle: 'settle',
  stall: 'store stall',
  flow: 'store flow',
  break: 'store break',
  heal: 'store heal',
  'break-pages': 'store break pages',
} as const;

/** `hello` opens a connection and sends, if the peer has none; `trickle` sends byte by byte. */
export type PeerStep = { readonly peer: number } & (
  | { readonly do: 'hello' | 'send' | 'trickle'; readonly bytes: Uint8Array }
  | { readonly do: 'drop' | 'freeze' | 'thaw' }
);
export type WorldStep = { readonly do: keyof typeof worldActions };
export type Step = PeerStep | WorldStep | { readonly do: 'wait'; readonly ms: number };

export interface Script {
  readonly store: 'none' | 'instant' | 'late' | 'failing';
  /** Deliveries in one turn: 3 makes everything go in steps. */
  readonly turnDeliveriesMax: number;
  readonly steps: readonly Step[];
}

export interface KeptScript extends Omit<Script, 'steps'> {
  readonly steps: readonly string[];
}

export function keepScript({ steps, ...rest }: Script): KeptScript {
  return { ...rest, steps: steps.map(textOfStep) };
}

export function restoreScript({ steps, ...rest }: KeptScript): Script {
  return { ...rest, steps: steps.map(stepOf) };
}

function textOfStep(step: Step): string {
  if ('bytes' in step) return `${step.peer} ${step.do} ${textOf(step.bytes)}`;
  if ('peer' in step) return `${step.peer} ${step.do}`;
  return step.do === 'wait' ? `wait ${step.ms}` : worldActions[step.do];
}

function stepOf(text: string): Step {
  const [, first = '', second = '', rest = ''] = /^(\S+)(?: (\S+))?(?: (.*))?$/.exec(text) ?? [];
  if (first === 'wait') return { do: 'wait', ms: Number(second) };
  const named = Object.entries(worldActions).find(([, words]) => words === text);
  if (named !== undefined) return { do: named[0] as keyof typeof worldActions };
  const peer = Number(first);
  if (!Number.isInteger(peer) || first === '') throw new Error(`not a step: ${text}`);
  if (second === 'hello' || second === 'send' || second === 'trickle')
    return { peer, do: second, bytes: bytesOf(rest) };
  if (second === 'drop' || second === 'freeze' || second === 'thaw') return { peer, do: second };
  throw new Error(`not a step: ${text}`);
}
