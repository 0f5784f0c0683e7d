/**
 * In-process code as a peer: it publishes through inputs and receives through effects, without a socket.
 *
 * A subscriber is a session whose window is its unsettled messages: what is beyond waits in the session's queue, within its
 * limits. Nothing is called from here; the driver calls user code between turns.
 */

import type { QoS } from '@pipit/protocol';
import { answered, type Claimed, Claims } from './claims.ts';
import { dropDelivery, enqueue, settle } from './line.ts';
import { toLocalMessage } from './local-message.ts';
import { Delivery, type Message } from './message.ts';
import { endReplay, firstReplay } from './replay.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';

export interface LocalSubscribe {
  readonly filters: readonly string[];
  readonly qos?: QoS;
  /** Names the session in events; a made-up one by default. */
  readonly clientId?: string;
  /** Unsettled messages at once. */
  readonly window?: number;
  /** Take the filters for itself: nobody else gets what is published there, and the answers decide the acknowledgements. */
  readonly claim?: boolean;
  readonly noLocal?: boolean;
  readonly retainAsPublished?: boolean;
  /** Replay retained messages (0: always, the default; 2: never). */
  readonly retainHandling?: 0 | 2;
}

interface Unsettled {
  readonly delivery: Delivery | null;
  readonly claimed: Claimed;
}

export class LocalSubscriber {
  readonly session: Session;
  readonly filters: readonly string[];
  readonly window: number;
  readonly unsettled = new Map<number, Unsettled>();
  isClosed = false;

  constructor(session: Session, filters: readonly string[], window: number) {
    this.session = session;
    this.filters = filters;
    this.window = window;
  }

  get hasRoom(): boolean {
    return this.unsettled.size < this.window && this.session.queue === null;
  }
}

/** A message is due to a subscriber: now if its window has room, else later. */
export function deliverLocal(
  state: State,
  subscriber: LocalSubscriber,
  message: Message,
  qos: QoS,
  retain: boolean,
  identifiers: readonly number[] | null,
): void {
  const delivery = new Delivery(message, qos, retain, identifiers, null);
  if (subscriber.hasRoom) hand(state, subscriber, delivery);
  else enqueue(state, subscriber.session, delivery);
}

function hand(state: State, subscriber: LocalSubscriber, delivery: Delivery): void {
  const token = state.nextToken();
  subscriber.unsettled.set(token, { delivery, claimed: null });
  const { message, qos, retain } = delivery;
  state.effects.push({ kind: 'deliver', subscriber, token, message: toLocalMessage(message, qos, retain) });
}

/** One message of a subscriber is dealt with; for a claim `reasonCode` goes to the publisher. */
export function settled(state: State, subscriber: LocalSubscriber, token: number, reasonCode: number): void {
  const unsettled = subscriber.unsettled.get(token);
  if (unsettled === undefined) return;
  subscriber.unsettled.delete(token);
  answered(state, unsettled.claimed, reasonCode);
  if (unsettled.delivery !== null) settle(state, subscriber.session, unsettled.delivery);
  if (subscriber.session.queue !== null || subscriber.session.replays !== null) state.wake(subscriber.session);
}

/** Hands a subscriber what waited and what is retained. True when the budget ended it. */
export function pumpLocal(state: State, subscriber: LocalSubscriber): boolean {
  const { session } = subscriber;
  while (subscriber.unsettled.size < subscriber.window) {
    if (state.isSpent) return true;
    const { queue } = session;
    const replay = firstReplay(session);
    const waiting = queue?.shift();
    if (waiting !== undefined) {
      state.deliveriesLeft--;
      if (waiting.message.expiresAt > state.now) hand(state, subscriber, waiting);
      else dropDelivery(state, session, waiting, 'expired');
    } else if (queue !== null) session.queue = null;
    else if (replay !== null) {
      state.deliveriesLeft--;
      const step = replay.next(state);
      const { qos } = replay.options;
      if (step === 'wait') return false;
      if (step === 'end') endReplay(state, session, replay.filter);
      else if (step !== null)
        hand(state, subscriber, new Delivery(step, step.qos < qos ? step.qos : qos, true, null, null));
    } else return false;
  }
  return false;
}

/** Closes a subscriber: what it has not answered is answered as if it had not been there. */
export function closeLocal(state: State, subscriber: LocalSubscriber, reasonCode: number): void {
  subscriber.isClosed = true;
  state.claims?.remove(subscriber);
  if (state.claims?.isEmpty === true) state.claims = null;
  for (const { claimed } of subscriber.unsettled.values()) answered(state, claimed, reasonCode);
  subscriber.unsettled.clear();
}

export function claimFilters(state: State, subscriber: LocalSubscriber): void {
  state.claims ??= new Claims();
  for (const filter of subscriber.filters) state.claims.add(filter, subscriber);
}
