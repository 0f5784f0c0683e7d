/**
 * Retained messages are set, cleared and expire.
 */

import { readingCost, retainCost } from './costs.ts';
import { Deadline } from './deadlines.ts';
import type { LimitName } from './limits.ts';
import type { Message } from './message.ts';
import type { StoredState } from './ports.ts';
import type { Publication } from './publication.ts';
import type { State } from './state.ts';
import { isSystemTopic } from './topic-table.ts';

type RestoredMessage = StoredState['retained'] extends Iterable<infer One> ? One : never;

const farMs = 10 * 365 * 24 * 3600 * 1000;

/** The limit that a message of this principal would pass if it were retained; null: none. */
export function retainRefusal(state: State, message: Message, principal: string | null): LimitName | null {
  if (!message.retain || message.payloadLength === 0) return null;
  const { retained, limits } = state;
  const { retainedMessagesMax, retainedBytesMax } = limits;
  if (!retained.hasRoom(message, retainedMessagesMax, retainedBytesMax)) {
    return retained.count < retainedMessagesMax ? 'retainedBytesMax' : 'retainedMessagesMax';
  }
  if (principal === null) return null;
  const { messages, bytes } = retained.wouldHave(principal, message);
  if (messages > limits.retainedMessagesPerPrincipalMax) return 'retainedMessagesPerPrincipalMax';
  return bytes > limits.retainedBytesPerPrincipalMax ? 'retainedBytesPerPrincipalMax' : null;
}

/**
 * Stores the publication as its topic's retained message, which is then its principal's, or clears it when its payload is empty
 * [MQTT-3.3.1-6].
 */
export function retain(state: State, publication: Publication, principal: string | null): void {
  const { topic, payloadLength } = publication.message;
  // The way to a topic is looked for thrice, level by level.
  state.deliveriesLeft -= retainCost + 4 * readingCost(topic.bytes.length);
  if (payloadLength === 0) {
    unretain(state, topic.name);
    return;
  }
  const kept = publication.keep();
  const { journal } = state;
  const isRecorded = journal !== null && !kept.topic.isSystem;
  if (isRecorded && kept.id === 0) kept.id = journal.nextMessageId();
  put(state, kept, principal);
  if (!isRecorded) return;
  const { recordOffsetMs } = state;
  const expiresAtClock = lastsUntil(state, kept) + recordOffsetMs;
  const message = kept.toStored(recordOffsetMs);
  journal.record({ kind: 'retained', topic: kept.topic.name, message, expiresAtClock, principal });
}

/** What it says of its own expiry [MQTT-3.3.2-6] is another matter. */
function lastsUntil(state: State, message: Message): number {
  return Math.min(message.expiresAt, state.now + state.limits.retainedExpiryMax * 1000);
}

/** Puts an owned message in its place, with its lifetime. */
export function put(state: State, message: Message, principal: string | null = null): void {
  expireAt(state, state.retained.put(message, principal), lastsUntil(state, message));
}

/** Notes what an earlier run left in the store. What expired meanwhile goes in the first turns. */
export function restoreRetained(state: State, stored: RestoredMessage): void {
  const { topic, id, cost, expiresAtClock, principal } = stored;
  const longest = state.now + state.limits.retainedExpiryMax * 1000;
  const entry = state.retained.restore(topic, id, cost, principal);
  expireAt(state, entry, Math.min(expiresAtClock - state.recordOffsetMs, longest));
}

function expireAt(state: State, entry: number, at: number): void {
  const { deadlines } = state.retained;
  let deadline = deadlines.get(entry);
  // What no process lives to see needs no deadline.
  if (at - state.now >= farMs) {
    if (deadline === undefined) return;
    state.deadlines.disarm(deadline);
    deadlines.delete(entry);
    return;
  }
  if (deadline === undefined) {
    deadline = Deadline.of(entry, removeRetained);
    deadlines.set(entry, deadline);
  }
  state.deadlines.arm(deadline, at);
}

export function unretain(state: State, topic: string): void {
  const entry = state.retained.find(topic);
  if (entry >= 0) removeRetained(state, entry);
}

export function removeRetained(state: State, entry: number): void {
  const { retained } = state;
  const topic = retained.topic(entry);
  const deadline = retained.deadlines.get(entry);
  if (deadline !== undefined) state.deadlines.disarm(deadline);
  retained.delete(entry);
  if (!isSystemTopic(topic)) state.journal?.record({ kind: 'unretained', topic });
}
