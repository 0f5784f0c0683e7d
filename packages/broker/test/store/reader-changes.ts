/** What the writer of the reader's test commits: a queue that moves on, and two retained messages that change together. */

import type { Change, StoredMessage } from '../../src/index.ts';

const about = { key: 's', incarnation: 1 };
/** Messages that wait at any time. */
export const waiting = 20;

function message(id: number, topic: string, number: number): StoredMessage {
  const payload = Buffer.from(`${number} ${'.'.repeat(500)}`);
  const rest = {
    properties: new Uint8Array(0),
    expiryAt: -1,
    expiresAtClock: Number.POSITIVE_INFINITY,
    publisher: null,
  };
  return { id, topic, qos: 1, retain: false, payload, ...rest };
}

export function changesOf(number: number): Change[] {
  if (number === 0) {
    const rest = { clientId: 's', principal: null, expirySeconds: 60, will: null, closedAtClock: 1 };
    const kept: Change = {
      kind: 'retained',
      principal: null,
      topic: 'kept',
      message: message(5, 'kept', 0),
      expiresAtClock: Number.POSITIVE_INFINITY,
    };
    return [{ kind: 'session', session: { ...about, ...rest } }, kept];
  }
  const state = { qos: 1, retain: false, identifiers: null, group: null, packetId: 0, released: false } as const;
  const id = 10 + number * 3;
  return [
    {
      kind: 'retained',
      principal: null,
      topic: 'one',
      message: message(id, 'one', number),
      expiresAtClock: Number.POSITIVE_INFINITY,
    },
    { kind: 'queued', ...about, delivery: { sequence: number, message: message(id + 1, 'q', number), ...state } },
    ...(number > waiting ? [{ kind: 'settled', ...about, sequence: number - waiting } as const] : []),
    {
      kind: 'retained',
      principal: null,
      topic: 'other',
      message: message(id + 2, 'other', number),
      expiresAtClock: Number.POSITIVE_INFINITY,
    },
  ];
}
