/**
 * Queues are read back from the store, page by page: what is only there is asked for, and joins the prefix in memory.
 */

import { Deadline } from './deadlines.ts';
import { payDebt } from './line.ts';
import { Delivery, type Message, messageFromStored } from './message.ts';
import type { StoredDelivery, StoredMessage } from './ports.ts';
import type { Queue } from './queue.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';

const retryMs = 1_000;

/** Asks for what is next in the tail, once. */
export function requestPage(state: State, session: Session, queue: Queue): void {
  const { journal, limits } = state;
  if (journal === null || queue.page !== 0) return;
  queue.page = state.nextToken();
  const { key, incarnation } = session;
  state.pages.set(queue.page, { session, queue });
  const count = Math.min(queue.tailCount, limits.queuePrefixMessages);
  const request = { number: queue.page, key, incarnation, after: queue.loadedThrough, count };
  state.effects.push({ kind: 'page', request });
}

/** Asks for the oldest of a queue that is to drop them, or will soon, although nobody is there to be sent anything. */
export function fetchOldest(state: State, session: Session): void {
  const { queue } = session;
  const { queuePrefixMessages, queuePrefixBytes } = state.limits;
  if (queue === null || state.options.queueOverflow !== 'drop-oldest') return;
  if (queue.isOver || queue.isShort(queuePrefixMessages, queuePrefixBytes)) requestPage(state, session, queue);
}

/** The answer to a page request. One for a queue that is gone, or another by now, is thrown away. */
export function paged(
  state: State,
  number: number,
  deliveries: readonly StoredDelivery[] | null,
  error: string | null,
): void {
  const request = state.pages.get(number);
  if (request === undefined) return;
  state.pages.delete(number);
  const { session, queue } = request;
  if (session.isEnded || session.queue !== queue || queue.page !== number) return;
  queue.page = 0;
  if (deliveries === null) {
    state.tell({ type: 'page-failed', clientId: session.clientId, reason: error ?? 'unknown' });
    queue.retry ??= Deadline.of(session, wake);
    state.deadlines.arm(queue.retry, state.now + retryMs);
    return;
  }
  for (const stored of deliveries) {
    if (stored.sequence > queue.loadedThrough) queue.load(restoreDelivery(state, stored));
  }
  payDebt(state, session, queue);
  const isAllCommitted = (state.journal?.committedNumber ?? 0) >= queue.tailBatch;
  if (deliveries.length === 0 && isAllCommitted && queue.tailCount > 0) {
    const dropped = queue.loseTail();
    state.metrics.drop('store-lost', dropped);
    state.tell({ type: 'dropped', clientId: session.clientId, topic: '', reason: 'store-lost', count: dropped });
  }
  if (deliveries.length > 0 || isAllCommitted) state.wake(session);
  else state.journal?.awaitCommit(session);
}

function wake(state: State, session: Session): void {
  if (!session.isEnded) state.wake(session);
}

export function restoreDelivery(state: State, stored: StoredDelivery): Delivery {
  const { qos, retain, identifiers, group } = stored;
  const message = restoreMessage(state, stored.message);
  const delivery = new Delivery(
    message,
    qos,
    retain,
    identifiers,
    group === null ? null : (state.router.group(group) ?? null),
  );
  delivery.sequence = stored.sequence;
  delivery.packetId = stored.packetId;
  delivery.isRecorded = true;
  return delivery;
}

export function restoreMessage(state: State, stored: StoredMessage): Message {
  const topic = state.topics.internName(stored.topic);
  // A topic that was legal when it was stored and is not under today's limits is still delivered.
  return messageFromStored(stored, topic ?? state.topics.borrow(stored.topic), state.recordOffsetMs);
}
