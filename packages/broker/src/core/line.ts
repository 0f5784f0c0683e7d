/**
 * The line of one session: what joins it, within its limits, and how each delivery ends.
 */

import type { DropReason } from './events.ts';
import type { Delivery, Message } from './message.ts';
import { Queue } from './queue.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';

/** Appends to the session's line, within its limits: beyond them the newest is dropped. */
export function enqueue(state: State, session: Session, delivery: Delivery): void {
  const { message } = delivery;
  const { limits, journal } = state;
  if (message.expiresAt <= state.now) {
    drop(state, session, message, 'expired');
    return;
  }
  session.queue ??= newQueue(session);
  const { queue } = session;
  const inFlight = session.window?.inUse ?? 0;
  const isFull = () =>
    queue.count + inFlight >= limits.queueMessagesMax ||
    queue.bytes + session.flightBytes + message.cost > limits.queueBytesMax;
  if (isFull()) for (const expired of queue.extractExpired(state.now)) dropDelivery(state, session, expired, 'expired');
  if (isFull()) {
    drop(state, session, message, 'queue-full');
    releaseQueue(session);
    return;
  }
  delivery.sequence = ++session.sequence;
  if (journal === null || (!session.lasts && queue.tailCount === 0)) {
    queue.push(delivery);
    return;
  }
  journal.queued(session, delivery);
  if (queue.takesInMemory(limits.queuePrefixMessages, limits.queuePrefixBytes)) queue.push(delivery);
  else queue.pushTail(delivery, journal.number);
}

function newQueue(session: Session): Queue {
  const queue = new Queue();
  queue.loadedThrough = session.sequence;
  return queue;
}

/** It is done with: acknowledged, sent at QoS 0, or given up. */
export function settle(state: State, session: Session, delivery: Delivery): void {
  if (delivery.sequence !== 0 && session.isRecorded) state.journal?.settled(session, delivery);
  delivery.isSettled = true;
}

export function dropDelivery(state: State, session: Session, delivery: Delivery, reason: DropReason): void {
  settle(state, session, delivery);
  drop(state, session, delivery.message, reason);
}

/** Counts a message that this session does not get, and says why. */
export function drop(state: State, session: Session, message: Message, reason: DropReason): void {
  state.metrics.drop(reason);
  if (reason === 'offline-qos0') return; // Expected, and as frequent as the publisher likes: the counter is enough.
  const event = { type: 'dropped', clientId: session.clientId, topic: message.topic.name, reason, count: 1 } as const;
  state.events.count(event, state.deadlines, state.now);
}

/** An empty queue is no queue: the fast path asks for null. */
export function releaseQueue(session: Session): void {
  if (session.queue !== null && session.queue.count === 0) session.queue = null;
}
