/**
 * Queues are read back from the store, page by page: what is only there is asked for, and joins the prefix in memory.
 */

import { Deadline } from './deadlines.ts';
import { payDebt } from './line.ts';
import { Delivery, type Message, messageFromStored } from './message.ts';
import type { StoredDelivery, StoredMessage, StoredPage } from './ports.ts';
import type { Queue } from './queue.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';

const retryFirstMs = 1_000;
const retryMaxMs = 30_000;

/** Asks for what is next in the tail, once; not before its time when that has failed. */
export function requestPage(state: State, session: Session, queue: Queue): void {
  const { journal, limits } = state;
  if (journal === null || queue.page !== 0 || queue.retry?.isArmed === true) return;
  queue.page = state.nextToken();
  const { key, incarnation } = session;
  state.pages.set(queue.page, { session, queue });
  const count = Math.min(queue.tailCount, limits.queuePrefixMessages);
  const givesUp = queue.failures > 0 && state.now - queue.failingSince >= limits.unreadableMsMax;
  const request = { number: queue.page, key, incarnation, after: queue.loadedThrough, count, givesUp };
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
export function paged(state: State, number: number, page: StoredPage | null, error: string | null): void {
  const request = state.pages.get(number);
  if (request === undefined) return;
  state.pages.delete(number);
  const { session, queue } = request;
  if (session.isEnded || session.queue !== queue || queue.page !== number) return;
  queue.page = 0;
  if (page === null) {
    failed(state, session, queue, error ?? 'unknown');
    return;
  }
  const { deliveries, lost } = page;
  // Next to what is lost more may be: it is not waited for again.
  if (lost.length === 0) queue.failures = 0;
  const after = queue.loadedThrough;
  for (const stored of deliveries) if (stored.sequence > after) queue.load(restoreDelivery(state, stored));
  for (const each of lost) if (each.sequence > after) lose(state, session, queue, each);
  payDebt(state, session, queue);
  const isAllCommitted = (state.journal?.committedNumber ?? 0) >= queue.tailBatch;
  const isEmpty = deliveries.length === 0 && lost.length === 0;
  if (isEmpty && isAllCommitted && queue.tailCount > 0) tellLost(state, session, queue.loseTail());
  else if (lost.length > 0) tellLost(state, session, lost.length);
  if (!isEmpty || isAllCommitted) state.wake(session);
  else state.journal?.awaitCommit(session);
}

/** Tried again after a while, twice as long each time. */
function failed(state: State, session: Session, queue: Queue, reason: string): void {
  if (queue.failures++ === 0) queue.failingSince = state.now;
  state.tell({ type: 'page-failed', clientId: session.clientId, reason, attempts: queue.failures });
  queue.retry ??= Deadline.of(session, wake);
  state.deadlines.arm(queue.retry, state.now + Math.min(retryMaxMs, retryFirstMs * 2 ** (queue.failures - 1)));
}

function lose(state: State, session: Session, queue: Queue, lost: StoredPage['lost'][number]): void {
  queue.lose(lost);
  const { key, incarnation } = session;
  state.journal?.record({ kind: 'settled', key, incarnation, sequence: lost.sequence });
}

function tellLost(state: State, session: Session, count: number): void {
  const event = { type: 'dropped', clientId: session.clientId, topic: '', reason: 'store-lost', count } as const;
  state.metrics.drop('store-lost', count);
  state.events.count(event, state.deadlines, state.now);
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
