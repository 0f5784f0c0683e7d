/**
 * Shared messages that a member was given and did not finish go to another when its connection ends: those never sent, and those
 * of QoS 1 without PUBACK. A QoS 2 message once sent stays with its session [MQTT-4.8.2-5].
 *
 * In steps under the turn's budget: first what is in flight, then what waits in memory, then what is only in the store, page by
 * page. A member that is online and has room takes them; what nobody takes stays. When the session has ended nothing can stay,
 * and one that is away and lasts takes them, too.
 */

import { FlightState } from '@pipit/protocol';
import { deliver } from './delivery.ts';
import { drop, fits, releaseQueue, settle } from './line.ts';
import type { Delivery } from './message.ts';
import { requestShared, restoreDelivery } from './paging.ts';
import type { StoredDelivery } from './ports.ts';
import type { Session } from './session.ts';
import type { Member } from './shared-group.ts';
import { type State, Sweep } from './state.ts';

export class Passing {
  readonly session: Session;
  readonly sweep = new Sweep(() => this.step());
  /** How far the tail of the queue was looked through: a sequence; and how far it will be. */
  after: number;
  private readonly through: number;
  private readonly state: State;
  /** The last packet id looked at. */
  private flight = 0;
  private page: readonly StoredDelivery[] = [];
  private at = 0;

  constructor(state: State, session: Session) {
    this.state = state;
    this.session = session;
    this.after = session.queue?.loadedThrough ?? 0;
    this.through = session.sequence;
  }

  /** Begins, with as much as this turn allows. */
  start(): void {
    this.session.passing = this;
    if (this.step()) this.state.wake(this.sweep);
  }

  /** The session has a connection again, or is gone: what did not move yet stays. */
  stop(): void {
    const { session } = this;
    session.passing = null;
    const { queue } = session;
    if (queue !== null && this.state.pages.get(queue.page)?.passing === this) queue.page = 0;
  }

  /** More of the tail was read; `isEnd`: there is no more. */
  paged(page: readonly StoredDelivery[], isEnd: boolean): void {
    this.page = page;
    this.at = 0;
    if (isEnd) this.after = this.through;
  }

  /** True when the budget cut it short. */
  private step(): boolean {
    if (this.session.passing !== this) return false;
    return this.passFlights() || this.passPrefix() || this.passTail();
  }

  /** What ends now cannot wait for the next turn. */
  private get isCut(): boolean {
    return this.state.isSpent && !this.session.isEnded;
  }

  private passFlights(): boolean {
    const { session } = this;
    const { window } = session;
    if (window === null) return false;
    for (let id = window.nextAfter(this.flight); id !== 0; id = window.nextAfter(id)) {
      if (this.isCut) return true;
      this.flight = id;
      const delivery = window.itemOf(id);
      if (delivery === null || window.stateOf(id) !== FlightState.AwaitPuback || !this.mayPass(delivery)) continue;
      session.closeFlight(id);
      this.pass(delivery);
    }
    return false;
  }

  private passPrefix(): boolean {
    const { session } = this;
    const { queue } = session;
    if (queue === null) return false;
    let isCut = false;
    const goes = (delivery: Delivery): boolean => {
      if (delivery.group === null || isCut) return false;
      isCut = this.isCut;
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
    // What is only in the store ends with its session.
    if (queue === null || queue.tailShared === 0 || session.isEnded) return this.finish();
    for (; this.at < this.page.length; this.at++) {
      if (this.isCut) return true;
      const stored = this.page[this.at] as StoredDelivery;
      this.after = stored.sequence;
      if (stored.group === null) continue;
      const delivery = restoreDelivery(state, stored);
      if (!this.mayPass(delivery)) continue;
      queue.takeOut(delivery.message.cost);
      queue.tailShared--;
      queue.gapBatch = state.journal?.number ?? 0;
      this.pass(delivery);
    }
    if (this.after >= this.through || queue.tailShared === 0) return this.finish();
    requestShared(state, this, queue, this.after);
    return false;
  }

  private finish(): boolean {
    const { state, session } = this;
    session.passing = null;
    releaseQueue(session);
    if (session.queue !== null) state.wake(session);
    return false;
  }

  private mayPass(delivery: Delivery): boolean {
    return delivery.group?.members.some((member) => this.takes(member, delivery)) === true;
  }

  private takes({ session, qos }: Member, { message }: Delivery): boolean {
    const { state, session: from } = this;
    if (session === from || !session.mayReceive(message.topic.name)) return false;
    if (from.isEnded) return session.isOnline || (session.lasts && qos > 0 && message.qos > 0);
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
