/**
 * Retained messages are set, cleared and expire.
 */

import { ReasonCode } from '@pipit/protocol';
import { Deadline } from './deadlines.ts';
import type { Message } from './message.ts';
import type { Publication } from './publication.ts';
import type { State } from './state.ts';

const farMs = 10 * 365 * 24 * 3600 * 1000;

/** Whether a message fits the limits of what is retained: 0, or the reason code of the refusal. */
export function retainRefusal(state: State, message: Message): number {
  if (!message.retain || message.payloadLength === 0) return 0;
  const { limits, retained } = state;
  const old = retained.get(message.topic.name);
  const isFull =
    (old === null && retained.count >= limits.retainedMessagesMax) ||
    retained.bytes + message.cost - (old?.message.cost ?? 0) > limits.retainedBytesMax;
  return isFull ? ReasonCode.QuotaExceeded : 0;
}

/** Stores the publication as its topic's retained message, or clears it when its payload is empty [MQTT-3.3.1-6]. */
export function retain(state: State, publication: Publication): void {
  const { message } = publication;
  if (message.payloadLength === 0) {
    unretain(state, message.topic.name);
    return;
  }
  const kept = publication.keep();
  put(state, kept);
  if (state.journal === null || kept.topic.isSystem) return;
  if (kept.id === 0) kept.id = state.journal.nextMessageId();
  const stored = kept.toStored(state.recordOffsetMs);
  // Its lifetime goes on after a restart; that of the same message in a queue is its own.
  const expiresAtClock = lastsUntil(state, kept) + state.recordOffsetMs;
  state.journal.record({ kind: 'retained', topic: kept.topic.name, message: { ...stored, expiresAtClock } });
}

function lastsUntil(state: State, message: Message): number {
  return Math.min(message.expiresAt, state.now + state.limits.retainedExpiryMax * 1000);
}

/** Puts an owned message in its place, with its lifetime. */
export function put(state: State, message: Message): void {
  const expiresAt = lastsUntil(state, message);
  // What no process lives to see needs no deadline.
  const deadline = expiresAt - state.now < farMs ? Deadline.of(message, expire) : null;
  const old = state.retained.put(message, deadline);
  if (old?.deadline != null) state.deadlines.disarm(old.deadline);
  if (deadline !== null) state.deadlines.arm(deadline, expiresAt);
}

export function unretain(state: State, topic: string): void {
  const old = state.retained.delete(topic);
  if (old === null) return;
  if (old.deadline !== null) state.deadlines.disarm(old.deadline);
  if (!old.message.topic.isSystem) state.journal?.record({ kind: 'unretained', topic });
}

function expire(state: State, message: Message): void {
  if (state.retained.get(message.topic.name)?.message === message) unretain(state, message.topic.name);
}
