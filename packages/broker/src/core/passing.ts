/**
 * Shared messages that a member was given and did not finish go to another when its connection ends: those never sent, and those
 * of QoS 1 without PUBACK. A QoS 2 message once sent stays with its session [MQTT-4.8.2-5].
 *
 * In steps under the turn's budget: first what is in flight, then what waits in memory, then what is only in the store, page by
 * page. A member that is online and has room takes them; what nobody takes stays. What an ended session left behind (its estate)
 * cannot stay: one that is away and lasts takes it, too, and what nobody takes is dropped.
 */

import { FlightState } from '@pipit/protocol';
import { deliver } from './delivery.ts';
import { drop, fits, releaseQueue, settle } from './line.ts';
import type { Delivery } from './message.ts';
import { requestTail, restoreDelivery } from './paging.ts';
import type { StoredDelivery } from './ports.ts';
import type { TailReader } from './queue.ts';
import type { Session } from './session.ts';
import type { Member } from './shared-group.ts';
import { type State, Sweep } from './state.ts';
import { weed } from './weeding.ts';

export class Passing implements TailReader {
  readonly session: Session;
  readonly sweep = new Sweep(() => this.goOn());
  /** How far the tail of the queue was looked through: a sequence; and how far it will be. */
  after: number;
  private readonly through: number;
  /** What was taken out of the tail before is in every page until this batch lasts. */
  readonly gapBatch: number;
  private readonly state: State;
  private readonly ended: ((state: State, session: Session) => void) | null;
  /** The last packet id looked at. */
  private flight = 0;
  private page: readonly StoredDelivery[] = [];
  private at = 0;

  /** `ended` is called when it is over, unless that is so at once. */
  constructor(state: State, session: Session, ended: ((state: State, session: Session) => void) | null) {
    this.state = state;
    this.ended = ended;
    this.session = session;
    this.after = session.queue?.loadedThrough ?? 0;
    this.through = session.sequence;
    this.gapBatch = session.queue?.gapBatch ?? 0;
  }

  /** Begins, with as much as this turn allows. True when that is all. */
  start(): boolean {
    const { session } = this;
    session.tailReader = this;
    if (this.step()) this.state.wake(this.sweep);
    return session.tailReader === null;
  }

  /** The session has a connection again, or is gone: what did not move yet stays. */
  stop(): void {
    const { session } = this;
    session.tailReader = null;
    const { queue } = session;
    if (queue !== null && this.state.pages.get(queue.page)?.reader === this) queue.page = 0;
  }

  /** More of the tail was read; `isEnd`: there is no more. */
  paged(page: readonly StoredDelivery[], isEnd: boolean): void {
    this.page = page;
    this.at = 0;
    if (isEnd) this.after = this.through;
  }

  private goOn(): boolean {
    const { session } = this;
    if (session.tailReader !== this) return false;
    const isCut = this.step();
    if (session.tailReader === null) this.ended?.(this.state, session);
    return isCut;
  }

  /** True when the budget cut it short. */
  private step(): boolean {
    return this.passFlights() || this.passPrefix() || this.passTail();
  }

  private passFlights(): boolean {
    const { state, session } = this;
    const { window } = session;
    if (window === null) return false;
    for (let id = window.nextAfter(this.flight); id !== 0; id = window.nextAfter(id)) {
      if (state.isSpent) return true;
      this.flight = id;
      const delivery = window.itemOf(id);
      if (delivery === null || window.stateOf(id) !== FlightState.AwaitPuback || !this.mayPass(delivery)) continue;
      session.closeFlight(id);
      this.pass(delivery);
    }
    return false;
  }

  private passPrefix(): boolean {
    const { state, session } = this;
    const { queue } = session;
    if (queue === null) return false;
    let isCut = false;
    const goes = (delivery: Delivery): boolean => {
      if (delivery.group === null || isCut) return false;
      isCut = state.isSpent;
      if (isCut || !this.mayPass(delivery)) return false;
      this.pass(delivery);
      return true;
    };
    queue.extract(goes);
    releaseQueue(session);
    return isCut;
  }

  private passTail(): boolean {
    const { state, session } = this;
    const { queue } = session;
    if (queue === null || queue.tailShared === 0) return this.finish();
    for (; this.at < this.page.length; this.at++) {
      if (state.isSpent) return true;
      const stored = this.page[this.at] as StoredDelivery;
      this.after = stored.sequence;
      // It may have come into memory meanwhile, and gone from there.
      if (stored.group === null || stored.sequence <= queue.loadedThrough) continue;
      const delivery = restoreDelivery(state, stored);
      if (!this.mayPass(delivery)) continue;
      queue.takeOut(delivery.message.cost);
      queue.tailShared--;
      queue.gapBatch = state.journal?.number ?? 0;
      this.pass(delivery);
    }
    this.after = Math.max(this.after, queue.loadedThrough);
    if (this.after >= this.through || queue.tailShared === 0) return this.finish();
    requestTail(state, session, this, queue);
    return false;
  }

  private finish(): boolean {
    const { state, session } = this;
    session.tailReader = null;
    releaseQueue(session);
    if (session.isUnweeded) weed(state, session);
    if (session.queue !== null && !session.isEstate) state.wake(session);
    return false;
  }

  private mayPass(delivery: Delivery): boolean {
    return delivery.group?.members.some((member) => this.takes(member, delivery)) === true;
  }

  private takes({ session, qos }: Member, delivery: Delivery): boolean {
    const { state, session: from } = this;
    const { message } = delivery;
    if (session === from || !session.mayTake(delivery)) return false;
    if (from.isEstate) return session.isOnline || (session.lasts && qos > 0 && message.qos > 0);
    return session.isOnline && (qos === 0 || session.hasRoom || fits(state, session, message.cost));
  }

  private pass(delivery: Delivery): void {
    const { state, session: from } = this;
    settle(state, from, delivery);
    const { group, message } = delivery;
    const isExpired = message.expiresAt <= state.now; // [MQTT-3.3.2-5]
    const member = isExpired ? undefined : group?.choose(state, message, from);
    if (group === null || member === undefined) {
      drop(state, from, message, isExpired ? 'expired' : 'not-authorized');
      return;
    }
    const { session, qos, retainAsPublished, identifiers } = member;
    state.publication.fromMessage(message, state.now);
    deliver(state, session, state.publication, qos, retainAsPublished, identifiers, group);
  }
}
