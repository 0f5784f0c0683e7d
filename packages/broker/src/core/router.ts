/**
 * Who gets a message: subscriptions of sessions and shared groups, and the plan made from them for each topic.
 *
 * A plan lists every recipient of a topic once, with overlapping subscriptions merged (highest QoS, every identifier) and the
 * right to receive applied. It is kept on the topic and holds while `version` does: any change of subscriptions or
 * permissions makes all plans stale, and each is made anew when its topic is next published to.
 */

import { type QoS, utf8Length } from '@pipit/protocol';
import { planCost, visitCost } from './costs.ts';
import type { Session } from './session.ts';
import { SharedGroup, sharedKey } from './shared-group.ts';
import { SubscriptionTree } from './subscription-tree.ts';
import { TextMap } from './text-map.ts';
import type { Topic } from './topic-table.ts';

export interface SubscriptionOptions {
  readonly qos: QoS;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  /** Subscription Identifier; 0: none. */
  readonly identifier: number;
}

/** A subscription as its session sees it. */
export interface Subscription extends SubscriptionOptions {
  readonly filter: string;
  readonly shareName: string | undefined;
}

/** How one session gets the messages of one topic. */
export class Recipient {
  readonly session: Session;
  qos: QoS;
  retainAsPublished: boolean;
  identifiers: number[] | null;
  /** One of the subscriptions merged here has No Local: what the session itself publishes goes by `own`. */
  hasNoLocal = false;
  /** The same without the No Local subscriptions; null: nothing is left [MQTT-3.8.3-3]. */
  own: Recipient | null = null;

  constructor(session: Session, qos: QoS, retainAsPublished: boolean, identifier: number) {
    this.session = session;
    this.qos = qos;
    this.retainAsPublished = retainAsPublished;
    this.identifiers = identifier === 0 ? null : [identifier];
  }

  merge(qos: QoS, retainAsPublished: boolean, identifier: number): void {
    if (qos > this.qos) this.qos = qos; // [MQTT-3.3.4-2]
    if (retainAsPublished) this.retainAsPublished = true;
    if (identifier === 0) return;
    if (this.identifiers === null) this.identifiers = [identifier];
    else this.identifiers.push(identifier); // [MQTT-3.3.4-4]
  }
}

export interface Plan {
  readonly version: number;
  readonly recipients: readonly Recipient[];
  /** One member of each gets the message too. */
  readonly groups: readonly SharedGroup[] | null;
}

const noLocalBit = 4;
const retainAsPublishedBit = 8;

/** What each level of a filter may take in the tree. */
const levelBytes = 48;

/**
 * What a subscription counts for: the bytes of its filter and share name, and what its levels take. That bounds, too, how many
 * places of the tree a topic can lead to by the filters of one session.
 */
export function filterBytes(filter: string, shareName: string | undefined): number {
  let levels = 1;
  for (let at = filter.indexOf('/'); at >= 0; at = filter.indexOf('/', at + 1)) levels++;
  return utf8Length(filter) + (shareName === undefined ? 0 : utf8Length(shareName)) + levels * levelBytes;
}

function pack(options: SubscriptionOptions): number {
  return options.qos | (options.noLocal ? noLocalBit : 0) | (options.retainAsPublished ? retainAsPublishedBit : 0);
}

export class Router {
  private readonly tree: SubscriptionTree;
  private readonly owners: (Session | SharedGroup | null)[] = [];
  private readonly freeNumbers: number[] = [];
  private readonly groups: TextMap<SharedGroup>;
  private readonly matched: number[] = [];
  private planned: Topic[] = [];
  private plannedRecipients = 0;
  plannedRecipientsMax: number;
  private stamp = 0;
  private memberships = 0;
  /** Plans made at another version are stale. */
  version = 1;
  /** What making plans has taken of the turn's budget and nobody has paid for yet. */
  planningCost = 0;
  /** Subscriptions of sessions that are gone, still in the tree. */
  private leaving = 0;

  /** `seed`: see PairIndex. */
  constructor(plannedRecipientsMax: number, seed = 0) {
    this.tree = new SubscriptionTree(seed);
    this.groups = new TextMap(seed);
    this.plannedRecipientsMax = plannedRecipientsMax;
  }

  /** Subscriptions of all sessions. */
  get count(): number {
    return this.tree.count - this.leaving - this.groups.size + this.memberships;
  }

  /** Memberships in shared groups. */
  get sharedCount(): number {
    return this.memberships;
  }

  /** Adds a subscription or replaces it whole [MQTT-3.8.4-3]. True when it is new. */
  subscribe(session: Session, filter: string, shareName: string | undefined, options: SubscriptionOptions): boolean {
    this.version++;
    const isNew =
      shareName === undefined
        ? this.tree.put(this.numberOf(session), filter, pack(options), options.identifier)
        : this.join(session, filter, shareName, options);
    if (isNew) session.subscriptionCount++;
    if (isNew) session.subscriptionBytes += filterBytes(filter, shareName);
    return isNew;
  }

  /** False when there was none. */
  unsubscribe(session: Session, filter: string, shareName: string | undefined): boolean {
    if (shareName !== undefined) return this.leave(session, sharedKey(shareName, filter));
    const sub = session.number < 0 ? -1 : this.tree.find(session.number, filter);
    if (sub < 0) return false;
    this.drop(session, sub, filter);
    return true;
  }

  /**
   * Ends every subscription of a session that goes. What is left to do is a number for `clear`, to be called with until it is done;
   * null: nothing is.
   */
  forget(session: Session): number | null {
    for (const group of [...(session.groups ?? [])]) this.leave(session, group.key);
    const { number } = session;
    if (number < 0) return null;
    this.leaving += session.subscriptionCount;
    session.subscriptionCount = 0;
    session.subscriptionBytes = 0;
    session.number = -1;
    this.owners[number] = null;
    this.version++;
    return number;
  }

  /** Takes one subscription of a session that is gone out of the tree. False when it was the last. */
  clear(number: number): boolean {
    const sub = this.tree.firstOf(number);
    if (sub >= 0) {
      this.tree.remove(sub);
      this.leaving--;
    }
    if (this.tree.firstOf(number) >= 0) return true;
    this.release(number);
    return false;
  }

  find(session: Session, filter: string, shareName: string | undefined): Subscription | undefined {
    if (shareName === undefined) {
      const sub = session.number < 0 ? -1 : this.tree.find(session.number, filter);
      return sub < 0 ? undefined : this.describe(sub);
    }
    const group = this.groups.get(sharedKey(shareName, filter));
    const member = group?.memberOf(session);
    return member === undefined ? undefined : describeMember(group as SharedGroup, session);
  }

  *subscriptionsOf(session: Session): Generator<Subscription> {
    if (session.number >= 0) {
      for (let sub = this.tree.firstOf(session.number); sub >= 0; sub = this.tree.nextOf(sub)) yield this.describe(sub);
    }
    for (const group of session.groups ?? []) yield describeMember(group, session);
  }

  /** The same for who goes on in later turns: null in the place of what is over by then; what is new is not there. */
  *listing(session: Session): Generator<Subscription | null> {
    const { number } = session;
    const subs: number[] = [];
    if (number >= 0) for (let sub = this.tree.firstOf(number); sub >= 0; sub = this.tree.nextOf(sub)) subs.push(sub);
    const groups = [...(session.groups ?? [])];
    for (const sub of subs) {
      if (session.isEnded) return;
      yield this.tree.owner(sub) === number ? this.describe(sub) : null;
    }
    for (const group of groups) yield session.groups?.has(group) === true ? describeMember(group, session) : null;
  }

  group(key: string): SharedGroup | undefined {
    return this.groups.get(key);
  }

  /** Drops every plan, so that topics no longer interned are not kept alive by them. */
  forgetPlans(): void {
    for (const topic of this.planned) topic.plan = null;
    this.planned = [];
    this.plannedRecipients = 0;
  }

  /** The recipients of a topic, as of now. */
  plan(topic: Topic): Plan {
    const plan = topic.plan;
    if (plan !== null && plan.version === this.version) return plan;
    return this.makePlan(topic);
  }

  private makePlan(topic: Topic): Plan {
    const { matched } = this;
    const recipients: Recipient[] = [];
    let groups: SharedGroup[] | null = null;
    this.stamp++;
    matched.length = 0;
    this.planningCost += planCost + visitCost(this.tree.match(topic.name, matched) + 4 * matched.length);
    for (const sub of matched) {
      const owner = this.owners[this.tree.owner(sub)] as Session | SharedGroup | null;
      if (owner === null) continue;
      if (owner instanceof SharedGroup) {
        groups ??= [];
        groups.push(owner);
      } else this.include(owner, sub, topic, recipients);
    }
    this.remember(topic, recipients.length);
    topic.plan = { version: this.version, recipients, groups };
    return topic.plan;
  }

  private include(session: Session, sub: number, topic: Topic, recipients: Recipient[]): void {
    const options = this.tree.options(sub);
    const identifier = this.tree.identifier(sub);
    const qos = (options & 3) as QoS;
    const retainAsPublished = (options & retainAsPublishedBit) !== 0;
    let recipient: Recipient;
    if (session.planStamp === this.stamp) {
      recipient = recipients[session.planSlot] as Recipient;
      recipient.merge(qos, retainAsPublished, identifier);
    } else {
      if (!session.mayReceive(topic.name)) return;
      session.planStamp = this.stamp;
      session.planSlot = recipients.length;
      recipient = new Recipient(session, qos, retainAsPublished, identifier);
      recipients.push(recipient);
    }
    if ((options & noLocalBit) !== 0) recipient.hasNoLocal = true;
    else if (recipient.own === null) recipient.own = new Recipient(session, qos, retainAsPublished, identifier);
    else recipient.own.merge(qos, retainAsPublished, identifier);
  }

  private remember(topic: Topic, recipients: number): void {
    if (topic.plan === null) this.planned.push(topic);
    this.plannedRecipients += recipients - (topic.plan?.recipients.length ?? 0);
    if (this.plannedRecipients <= this.plannedRecipientsMax) return;
    this.forgetPlans();
    this.planned.push(topic);
    this.plannedRecipients = recipients;
  }

  private describe(sub: number): Subscription {
    const options = this.tree.options(sub);
    return {
      filter: this.tree.filter(sub),
      shareName: undefined,
      qos: (options & 3) as QoS,
      noLocal: (options & noLocalBit) !== 0,
      retainAsPublished: (options & retainAsPublishedBit) !== 0,
      identifier: this.tree.identifier(sub),
    };
  }

  private drop(session: Session, sub: number, filter: string): void {
    this.tree.remove(sub);
    session.subscriptionCount--;
    session.subscriptionBytes -= filterBytes(filter, undefined);
    this.version++;
  }

  private join(session: Session, filter: string, shareName: string, options: SubscriptionOptions): boolean {
    const key = sharedKey(shareName, filter);
    let group = this.groups.get(key);
    if (group === undefined) {
      group = new SharedGroup(shareName, filter, this.takeNumber());
      this.owners[group.number] = group;
      this.groups.set(key, group);
      this.tree.put(group.number, filter, 0, 0);
    }
    session.groups ??= new Set();
    session.groups.add(group);
    const isNew = group.put({
      session,
      qos: options.qos,
      retainAsPublished: options.retainAsPublished,
      identifiers: options.identifier === 0 ? null : [options.identifier],
    });
    if (isNew) this.memberships++;
    return isNew;
  }

  private leave(session: Session, key: string): boolean {
    const group = this.groups.get(key);
    if (group === undefined || session.groups?.delete(group) !== true) return false;
    group.remove(session);
    session.subscriptionCount--;
    session.subscriptionBytes -= filterBytes(group.filter, group.shareName);
    this.memberships--;
    this.version++;
    if (group.members.length === 0) {
      this.tree.remove(this.tree.firstOf(group.number));
      this.release(group.number);
      this.groups.delete(key);
    }
    return true;
  }

  private numberOf(session: Session): number {
    if (session.number < 0) {
      session.number = this.takeNumber();
      this.owners[session.number] = session;
    }
    return session.number;
  }

  private takeNumber(): number {
    return this.freeNumbers.pop() ?? this.owners.push(null) - 1;
  }

  private release(number: number): void {
    this.owners[number] = null;
    this.freeNumbers.push(number);
  }
}

function describeMember(group: SharedGroup, session: Session): Subscription {
  const member = group.memberOf(session);
  return {
    filter: group.filter,
    shareName: group.shareName,
    qos: member?.qos ?? 0,
    noLocal: false,
    retainAsPublished: member?.retainAsPublished ?? false,
    identifier: member?.identifiers?.[0] ?? 0,
  };
}
