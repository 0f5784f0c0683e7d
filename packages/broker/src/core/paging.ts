/**
 * Queues are read back from the store, page by page: what is only there is asked for, and joins the prefix in memory.
 */

import { parseFilter } from '@pipit/protocol';
import { Deadline } from './deadlines.ts';
import { dropDelivery, payDebt, releaseQueue } from './line.ts';
import { Delivery, type Message, messageFromStored, storedCost } from './message.ts';
import type { StoredDelivery, StoredMessage, StoredPage } from './ports.ts';
import type { Queue, TailReader } from './queue.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';

/** A page is one input: no longer than a turn may be. */
const pageMessagesMax = 2_000;

const retryFirstMs = 1_000;
const retryMaxMs = 30_000;

/** Asks for what is next in the tail, once. */
export function requestPage(state: State, session: Session, queue: Queue): void {
  ask(state, session, queue, queue.loadedThrough, null);
}

/** Asks for what stands in the tail beyond what the session's reader has seen: it stays there. */
export function requestTail(state: State, session: Session, reader: TailReader, queue: Queue): void {
  if ((state.journal?.committedNumber ?? 0) >= reader.gapBatch) ask(state, session, queue, reader.after, reader);
  else state.journal?.awaitCommit(session);
}

/** One page at a time, and not before its time when one has failed. */
function ask(state: State, session: Session, queue: Queue, after: number, reader: TailReader | null): void {
  const { journal, limits } = state;
  if (journal === null || queue.page !== 0 || queue.retry?.isArmed === true) return;
  if (journal.committedNumber < queue.gapBatch) {
    // What was taken out of the tail is in every page until that lasts.
    journal.awaitCommit(session);
    return;
  }
  queue.page = state.nextToken();
  const { key, incarnation } = session;
  state.pages.set(queue.page, { session, queue, reader });
  const count = Math.min(queue.tailCount, limits.queuePrefixMessages, pageMessagesMax);
  const givesUp = queue.failures > 0 && state.now - queue.failingSince >= limits.unreadableMsMax;
  state.effects.push({ kind: 'page', request: { number: queue.page, key, incarnation, after, count, givesUp } });
}

/** What a queue has to do although nobody is there to be sent anything: be looked through, or fetch the oldest, which are to be dropped. */
export function tend(state: State, session: Session): void {
  releaseQueue(session);
  const { queue, tailReader } = session;
  const { queuePrefixMessages, queuePrefixBytes } = state.limits;
  if (tailReader !== null) state.wake(tailReader.sweep);
  if (queue === null || tailReader !== null || state.options.queueOverflow !== 'drop-oldest') return;
  if (queue.isOver || queue.isShort(queuePrefixMessages, queuePrefixBytes)) requestPage(state, session, queue);
}

/** The answer to a page request. One for a queue that is gone, or another by now, is thrown away. */
export function paged(state: State, number: number, page: StoredPage | null, error: string | null): void {
  const request = state.pages.get(number);
  if (request === undefined) return;
  state.pages.delete(number);
  const { session, queue, reader } = request;
  if (session.isEnded || session.queue !== queue || queue.page !== number) return;
  queue.page = 0;
  if (page === null) {
    failed(state, session, queue, error ?? 'unknown');
    return;
  }
  const { deliveries, lost } = page;
  const after = reader?.after ?? queue.loadedThrough;
  for (const each of lost) if (each.sequence > after) lose(state, session, queue, each);
  if (lost.length > 0) tellLost(state, session, lost.length);
  const isAllCommitted = (state.journal?.committedNumber ?? 0) >= queue.tailBatch;
  const isEmpty = deliveries.length === 0 && lost.length === 0;
  // Next to what is lost more may be: it is not waited for again.
  if (lost.length === 0) queue.failures = 0;
  if (reader !== null) reader.paged(deliveries, isEmpty && isAllCommitted);
  else {
    for (const stored of deliveries) if (stored.sequence > after) load(state, session, queue, stored);
    queue.loadedThrough = Math.max(queue.loadedThrough, lost.at(-1)?.sequence ?? 0);
    payDebt(state, session, queue);
    if (isEmpty && isAllCommitted && queue.tailCount > 0) tellLost(state, session, queue.loseTail());
  }
  if (!isEmpty || isAllCommitted) state.wake(session);
  else state.journal?.awaitCommit(session);
}

/** A right that has gone may come back before the message is sent: that would be too late to look. */
function load(state: State, session: Session, queue: Queue, stored: StoredDelivery): void {
  if (mayHave(session, stored)) queue.load(restoreDelivery(state, stored));
  else {
    queue.loadedThrough = Math.max(queue.loadedThrough, stored.sequence);
    revokeStored(state, session, queue, stored);
  }
}

/** Whether what the store has for a session may still be delivered. */
export function mayHave(session: Session, { message, group }: StoredDelivery): boolean {
  return session.mayReceive(message.topic, group === null ? undefined : parseFilter(group).shareName);
}

/** Takes out of the tail what the session may not have any more. */
export function revokeStored(state: State, session: Session, queue: Queue, stored: StoredDelivery): void {
  queue.takeOut(storedCost(stored.message));
  if (stored.group !== null && queue.tailShared > 0) queue.tailShared--;
  dropDelivery(state, session, restoreDelivery(state, stored), 'not-authorized');
}

/** Tried again after a while, twice as long each time. */
function failed(state: State, session: Session, queue: Queue, reason: string): void {
  if (queue.failures++ === 0) queue.failingSince = state.now;
  state.tell({ type: 'page-failed', clientId: session.clientId, reason, attempts: queue.failures });
  queue.retry ??= Deadline.of(session, wake);
  state.deadlines.arm(queue.retry, state.now + Math.min(retryMaxMs, retryFirstMs * 2 ** (queue.failures - 1)));
}

function lose(state: State, session: Session, queue: Queue, lost: StoredPage['lost'][number]): void {
  queue.takeOut(lost.cost);
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
