/**
 * What the application wants to receive: its subscriptions, from the call to the server's answer, and again after the server
 * has forgotten them.
 *
 * An interest is one filter of one subscription. Several may have the same filter; the server then has one subscription, with
 * the options asked for last, and every one of them gets the messages. Which interests want a message is decided by matching
 * its topic here; where an interest has a Subscription Identifier and the message has any, by that too.
 */
import {
  isSharedFilter,
  parseFilter,
  type SubscriptionRequest,
  topicFilterProblem,
  type UserProperty,
} from '@pipit/protocol';
import * as ReasonCode from '@pipit/protocol/reason-codes';
import type { Answers } from './answers.ts';
import { Call } from './call.ts';
import { MqttError, refusal } from './failure.ts';
import type { Message } from './message.ts';
import type { ReceivedTopic } from './received-topics.ts';

/** What the server of a connection takes (CONNACK). */
export interface SubscriptionSupport {
  readonly wildcards: boolean;
  readonly shared: boolean;
  readonly identifiers: boolean;
}

export class Interest {
  readonly filter: string;
  readonly request: SubscriptionRequest;
  readonly identifier: number | null;
  readonly userProperties: readonly UserProperty[];
  /** Whoever wants the messages; opaque here. */
  readonly owner: unknown;
  /** `wanted`: to be asked for; `asked`: SUBSCRIBE is on its way; `granted`: the server has it; `gone`: ended or refused. */
  state: 'wanted' | 'asked' | 'granted' | 'gone' = 'wanted';
  /** The server's last answer: the granted QoS, or 0x80 and above. */
  reasonCode = 0;
  /** The call that waits for the first answer; null once it was given. */
  call: SubscribeCall | null = null;
  /** The levels of the filter, behind the share name. */
  readonly #levels: readonly string[];

  constructor(
    request: SubscriptionRequest,
    identifier: number | null,
    userProperties: readonly UserProperty[],
    owner: unknown,
  ) {
    const problem = topicFilterProblem(request.filter, Number.POSITIVE_INFINITY);
    if (problem !== undefined) throw new MqttError('not-allowed', problem, ReasonCode.TopicFilterInvalid);
    this.filter = request.filter;
    this.request = request;
    this.identifier = identifier;
    this.userProperties = userProperties;
    this.owner = owner;
    this.#levels = parseFilter(request.filter).filter.split('/');
  }

  wants(topic: string): boolean {
    const filter = this.#levels;
    if (topic.startsWith('$') && /[+#]/.test(filter[0] as string)) return false; // [MQTT-4.7.2-1]
    const levels = topic.split('/');
    for (let i = 0; filter[i] !== '#'; i++) {
      if (i === levels.length) return i === filter.length;
      if (filter[i] !== '+' && filter[i] !== levels[i]) return false;
    }
    return true;
  }

  /** Whether it may share a SUBSCRIBE with others: what else is in the packet would hold for all. */
  get isPlain(): boolean {
    return this.identifier === null && this.userProperties.length === 0;
  }
}

/** Answered when the server has answered for every filter; what was refused is still in it. Fails when all were. */
export class SubscribeCall extends Call<readonly Interest[]> {
  readonly interests: readonly Interest[];
  unanswered: number;

  constructor(interests: readonly Interest[]) {
    super();
    this.interests = interests;
    this.unanswered = interests.length;
    for (const interest of interests) interest.call = this;
  }
}

export class UnsubscribeCall extends Call<void> {
  /** What the server is to let go of: the filters that no other interest has. */
  filters: readonly string[] = [];
  readonly userProperties: readonly UserProperty[];

  constructor(userProperties: readonly UserProperty[] = []) {
    super();
    this.userProperties = userProperties;
  }
}

export class Interests {
  /** Refused when they were asked for again, or by a server that does not know such subscriptions: nobody waits for that answer. */
  refused: { interest: Interest; failure: MqttError }[] = [];
  readonly #answers: Answers;
  #all: Interest[] = [];
  #unsubscribes: UnsubscribeCall[] = [];
  #version = 0;
  #hasWanted = false;
  #hasIdentifiers = false;

  constructor(answers: Answers) {
    this.#answers = answers;
  }

  /** Nothing is to be asked of the server. */
  get isIdle(): boolean {
    return !this.#hasWanted && this.#unsubscribes.length === 0;
  }

  add(call: SubscribeCall): void {
    this.#all.push(...call.interests);
    this.#changed();
    this.#hasWanted = true;
  }

  /** Ends interests; the call is answered when the server has let go of the filters that nobody else wants. */
  remove(interests: readonly Interest[], call: UnsubscribeCall | null): void {
    for (const interest of interests) interest.state = 'gone';
    this.#all = this.#all.filter(({ state }) => state !== 'gone');
    this.#changed();
    const filters = interests
      .map(({ filter }) => filter)
      .filter((filter) => this.#all.every((o) => o.filter !== filter));
    if (filters.length > 0) {
      const told = call ?? new UnsubscribeCall();
      told.filters = filters;
      this.#unsubscribes.push(told);
    } else if (call !== null) this.#answers.succeed(call, undefined);
  }

  /** Who wants this message, in the order of their subscriptions. */
  planFor(topic: ReceivedTopic, message: Message): readonly Interest[] {
    if (topic.planVersion !== this.#version) {
      topic.plan = this.#all.filter((interest) => interest.wants(topic.name));
      topic.planVersion = this.#version;
    }
    const { subscriptionIdentifiers: own } = message.properties;
    if (!this.#hasIdentifiers || own === undefined) return topic.plan;
    return topic.plan.filter(({ identifier }) => identifier === null || own.includes(identifier));
  }

  /** The connection is gone, or new: what was asked is unanswered, and without a session the server has nothing of ours. */
  reset(sessionPresent: boolean): void {
    for (const interest of this.#all) {
      if (interest.state === 'asked' || (interest.state === 'granted' && !sessionPresent)) interest.state = 'wanted';
    }
    this.#hasWanted = this.#all.some(({ state }) => state === 'wanted');
    if (sessionPresent) return;
    for (const call of this.#unsubscribes.splice(0)) this.#answers.succeed(call, undefined);
  }

  /** The interests of the next SUBSCRIBE, `filtersMax` at most; empty when nothing is to be asked. */
  nextToAsk(filtersMax: number, support: SubscriptionSupport): Interest[] {
    const batch: Interest[] = [];
    if (!this.#hasWanted) return batch;
    for (const interest of [...this.#all]) {
      if (interest.state !== 'wanted') continue;
      if (batch.length > 0 && !interest.isPlain) continue;
      const problem = unsupported(interest, support);
      if (problem !== 0) {
        this.refuse(interest, problem);
        continue;
      }
      interest.state = 'asked';
      batch.push(interest);
      if (batch.length >= filtersMax || !interest.isPlain) break;
    }
    this.#hasWanted = this.#all.some(({ state }) => state === 'wanted');
    return batch;
  }

  /** What nextToAsk returned has to be asked for in smaller pieces. */
  again(interest: Interest): void {
    interest.state = 'wanted';
    this.#hasWanted = true;
  }

  nextToUnsubscribe(): UnsubscribeCall | null {
    return this.#unsubscribes.shift() ?? null;
  }

  /** An UNSUBSCRIBE was not answered: it has to be said again. */
  unanswered(call: UnsubscribeCall): void {
    this.#unsubscribes.push(call);
  }

  /** The server's answer for one interest. */
  answered(interest: Interest, reasonCode: number): void {
    if (reasonCode >= ReasonCode.UnspecifiedError) return this.refuse(interest, reasonCode);
    interest.reasonCode = reasonCode;
    if (interest.state === 'asked') interest.state = 'granted';
    this.#count(interest);
  }

  refuse(interest: Interest, reasonCode: number): void {
    interest.reasonCode = reasonCode;
    const wasWanted = interest.state !== 'gone';
    interest.state = 'gone';
    this.#all = this.#all.filter((other) => other !== interest);
    this.#changed();
    if (interest.call !== null) this.#count(interest);
    else if (wasWanted) {
      this.refused.push({ interest, failure: refusal(`The subscription to ${interest.filter}`, reasonCode) });
    }
  }

  /** Answers every call that still waits: the client is at its end. */
  end(failure: MqttError): void {
    for (const { call } of this.#all) if (call !== null) this.#answers.fail(call, failure);
    for (const call of this.#unsubscribes.splice(0)) this.#answers.succeed(call, undefined);
  }

  #count(interest: Interest): void {
    const { call } = interest;
    interest.call = null;
    if (call === null) return;
    call.unanswered--;
    if (call.unanswered > 0) return;
    const refused = call.interests.filter(({ reasonCode }) => reasonCode >= ReasonCode.UnspecifiedError);
    if (refused.length < call.interests.length) return this.#answers.succeed(call, call.interests);
    const last = refused.at(-1) as Interest;
    const filters = refused.map(({ filter }) => filter).join(', ');
    this.#answers.fail(call, refusal(`The subscription to ${filters}`, last.reasonCode));
  }

  #changed(): void {
    this.#version++;
    this.#hasIdentifiers = this.#all.some(({ identifier }) => identifier !== null);
  }
}

/** Why this server cannot have such a subscription, as a reason code; 0: it can. */
function unsupported(interest: Interest, support: SubscriptionSupport): number {
  const { filter } = interest;
  if (!support.shared && isSharedFilter(filter)) return ReasonCode.SharedSubscriptionsNotSupported;
  if (!support.wildcards && /[+#]/.test(filter)) return ReasonCode.WildcardSubscriptionsNotSupported;
  if (!support.identifiers && interest.identifier !== null) return ReasonCode.SubscriptionIdentifiersNotSupported;
  return 0;
}
