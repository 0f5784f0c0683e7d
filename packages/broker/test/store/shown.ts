/** The state of a store in a form that compares: sorted, with queues as they page. */

import assert from 'node:assert/strict';
import {
  type StoredDelivery,
  type StoredMessage,
  type StoredSession,
  type StoredState,
  type StoredSubscription,
  storedCost,
} from '../../src/core/index.ts';
import { subscriptionName } from '../../src/store/record.ts';
import type { KeptState, Reader } from '../kept-state.ts';

export interface Shown {
  readonly sessions: readonly unknown[];
  readonly retained: readonly unknown[];
}

/** What plain maps know. */
export function show({ sessions, retained }: KeptState): Shown {
  return sorted(
    [...sessions.values()].map(({ session, subscriptions, queue, received }) => {
      const all = [...queue.values()].sort((a, b) => a.sequence - b.sequence);
      return {
        session,
        subscriptions: [...subscriptions.values()],
        inFlight: all.filter(({ packetId }) => packetId !== 0),
        received: [...received],
        waiting: all.filter(({ packetId }) => packetId === 0),
      };
    }),
    [...retained].map(([topic, { message, expiresAtClock, principal }]) => ({
      topic,
      message,
      expiresAtClock,
      principal,
    })),
  );
}

interface ShownRetained {
  readonly topic: string;
  readonly message: StoredMessage;
  readonly expiresAtClock: number;
  readonly principal: string | null;
}

interface ShownSession {
  readonly session: StoredSession;
  readonly subscriptions: readonly StoredSubscription[];
  readonly inFlight: readonly StoredDelivery[];
  readonly received: readonly number[];
  readonly waiting: readonly StoredDelivery[];
}

function sorted(sessions: readonly ShownSession[], retained: readonly ShownRetained[]): Shown {
  return {
    sessions: sessions
      .map(({ subscriptions, received, ...rest }) => ({
        ...rest,
        subscriptions: [...subscriptions].sort((a, b) => compare(name(a), name(b))),
        received: [...received].sort((a, b) => a - b),
        count: rest.waiting.length,
        bytes: rest.waiting.reduce((sum, { message }) => sum + storedCost(message), 0),
      }))
      .sort((a, b) => compare(a.session.key, b.session.key)),
    retained: [...retained].sort((a, b) => compare(a.topic, b.topic)),
  };
}

/** What is retained, with its messages; what was said of each without reading it is right. */
function fetched(state: StoredState, reader: Reader): ShownRetained[] {
  const wanted = [...state.retained];
  const messages = reader.fetchAll(wanted);
  return wanted.map(({ topic, id, cost, expiresAtClock, principal }, index) => {
    const message = messages[index] as StoredMessage;
    assert.deepEqual({ id, cost }, { id: message.id, cost: storedCost(message) });
    return { topic, message, expiresAtClock, principal };
  });
}

/** What a store loaded, in the same form. */
export function showStored(state: StoredState, reader: Reader): Shown {
  const sessions = [...state.sessions].map(({ session, waiting, ...rest }) => {
    const paged = reader.pageAll(session.key, session.incarnation);
    return { shown: { session, ...rest, waiting: paged }, waiting };
  });
  const shown = sorted(
    sessions.map((each) => each.shown),
    fetched(state, reader),
  );
  // What was counted without loading is what was loaded.
  const counted = new Map(sessions.map(({ shown: { session }, waiting }) => [session.key, waiting]));
  return {
    ...shown,
    sessions: shown.sessions.map((each) => {
      const { count, bytes } = counted.get((each as ShownSession).session.key) ?? { count: -1, bytes: -1 };
      return { ...(each as object), count, bytes };
    }),
  };
}

function name({ filter, shareName }: { filter: string; shareName: string | undefined }): string {
  return subscriptionName(filter, shareName);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
