/**
 * The line of one session: what joins it, within its limits, and how each delivery ends.
 */

import type { Dropped, DropReason } from './events.ts';
import type { Delivery, Message } from './message.ts';
import { Queue } from './queue.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';
import { tracedMessage } from './trace.ts';

/** Appends to the session's line, within its limits; beyond them it is as `queueOverflow` says. */
export function enqueue(state: State, session: Session, delivery: Delivery): void {
  const { message } = delivery;
  const { limits, journal } = state;
  if (message.expiresAt <= state.now) {
    drop(state, session, message, 'expired');
    return;
  }
  session.queue ??= new Queue(session.total, session.sequence);
  const { queue } = session;
  if (!fits(state, session, message.cost) && !makeRoom(state, session, queue, message.cost)) {
    drop(state, session, message, 'queue-full');
    releaseQueue(session);
    return;
  }
  if (state.traces !== null) traceQueued(state, session, delivery);
  delivery.sequence = ++session.sequence;
  if (journal === null || (!session.lasts && queue.tailCount === 0)) {
    queue.push(delivery);
    return;
  }
  journal.queued(session, delivery);
  if (queue.takesInMemory(limits.queuePrefixMessages, limits.queuePrefixBytes)) queue.push(delivery);
  else queue.pushTail(delivery, journal.number);
}

function traceQueued(state: State, session: Session, { message, qos }: Delivery): void {
  const detail = `behind ${session.queue?.count ?? 0} others`;
  tracedMessage(state, 'queued', session, message, qos, 0, detail);
}

/**
 * Whether a message of this cost, and `more` like it, may wait for the session: within its own limits, and as long as it keeps
 * no more than is left of the total. So one session has half of the total at most, n that hoard have 1/(n + 1) each without
 * anybody counting them, and there is always room for one that does not.
 */
export function fits(state: State, session: Session, cost: number, more = 0): boolean {
  const { limits, queueTotal } = state;
  const messages = (session.queue?.count ?? 0) + (session.window?.inUse ?? 0) + more;
  const bytes = (session.queue?.bytes ?? 0) + session.flightBytes + cost * (more + 1);
  return (
    messages < Math.min(limits.queueMessagesMax, queueTotal.freeMessages) &&
    bytes <= Math.min(limits.queueBytesMax, queueTotal.freeBytes)
  );
}

/** Makes room where that is allowed: what has expired goes first, then the oldest. False: there is none. */
function makeRoom(state: State, session: Session, queue: Queue, cost: number): boolean {
  for (const expired of queue.extractExpired(state.now)) dropDelivery(state, session, expired, 'expired');
  if (fits(state, session, cost)) return true;
  if (state.options.queueOverflow !== 'drop-oldest' || !wouldFitAlone(state, session, queue, cost)) return false;
  while (!fits(state, session, cost)) {
    const oldest = queue.shift();
    if (oldest === undefined) return owe(state, session, queue, cost);
    dropDelivery(state, session, oldest, 'displaced');
  }
  // The next oldest are only in the store: they are fetched before they are needed.
  if (queue.isShort(state.limits.queuePrefixMessages, state.limits.queuePrefixBytes)) state.wake(session);
  return true;
}

/** Whether it would fit if nothing waited but what is in flight. */
function wouldFitAlone({ limits, queueTotal }: State, session: Session, queue: Queue, cost: number): boolean {
  const inFlight = session.window?.inUse ?? 0;
  return (
    inFlight < Math.min(limits.queueMessagesMax, queueTotal.freeMessages + queue.count) &&
    session.flightBytes + cost <= Math.min(limits.queueBytesMax, queueTotal.freeBytes + queue.bytes)
  );
}

/** The oldest are being read back to be dropped: until they are here, a queue may have twice its limit in the store. */
function owe(state: State, session: Session, queue: Queue, cost: number): boolean {
  const { limits, queueTotal } = state;
  const isWithin =
    queue.count < 2 * limits.queueMessagesMax &&
    queue.bytes + cost <= 2 * limits.queueBytesMax &&
    queueTotal.freeMessages > 0 &&
    cost <= queueTotal.freeBytes;
  if (!isWithin) return false;
  queue.isOver = true;
  state.wake(session);
  return true;
}

/** What was let in before the oldest could be read: now they go. */
export function payDebt(state: State, session: Session, queue: Queue): void {
  while (queue.isOver) {
    const oldest = fits(state, session, 0, -1) ? undefined : queue.shift();
    if (oldest !== undefined) dropDelivery(state, session, oldest, 'displaced');
    else if (queue.tailCount === 0 || fits(state, session, 0, -1)) queue.isOver = false;
    else return;
  }
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
  if (state.traces !== null) tracedMessage(state, 'dropped', session, message, message.qos, 0, reason);
  const { drops, clientId } = session;
  const topic = message.topic.name;
  session.missed = state.missed.add(session.missed, clientId, topic, reason, state.now);
  if (reason === 'offline-qos0') return; // Expected, and as frequent as the publisher likes: no event.
  // A peer that does not read drops all it is sent: that must cost the others less than if it read.
  if (drops?.isPending === true && drops.event.reason === reason) {
    state.events.again(drops, topic);
    return;
  }
  const event: Dropped = { type: 'dropped', clientId, topic, reason, count: 1 };
  session.drops = state.events.count(event, state.deadlines, state.now);
}

/** An empty queue is no queue: the fast path asks for null. */
export function releaseQueue(session: Session): void {
  if (session.queue !== null && session.queue.count === 0) session.queue = null;
}
