/** Changes that fill queues: so many sessions, and one message for all of them. */

import type { Change } from '../../src/core/index.ts';
import type { LogBench } from './log-bench.ts';

/** A message of so many bytes for every session, at this sequence. */
export function messages(bench: LogBench, sessions: number, sequence: number, bytes: number): Change[] {
  const message = {
    id: 1_000 + sequence,
    topic: 'topic',
    qos: 1 as const,
    retain: false,
    properties: new Uint8Array(0),
    payload: new Uint8Array(bytes).fill(bench.prng.below(256)),
    expiryAt: -1,
    expiresAtClock: Number.POSITIVE_INFINITY,
    publisher: null,
  };
  const state = { qos: 1 as const, retain: false, identifiers: null, group: null, packetId: 0, released: false };
  return Array.from({ length: sessions }, (_, index) => {
    return { kind: 'queued', key: `s${index}`, incarnation: index + 1, delivery: { sequence, message, ...state } };
  });
}

export function sessions(count: number): Change[] {
  return Array.from({ length: count }, (_, index) => {
    const rest = { principal: null, expirySeconds: 60, will: null, closedAtClock: 1 };
    return { kind: 'session', session: { key: `s${index}`, clientId: `s${index}`, incarnation: index + 1, ...rest } };
  });
}
