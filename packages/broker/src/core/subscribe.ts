/**
 * SUBSCRIBE and UNSUBSCRIBE: each filter granted or refused on its own, retained messages lined up, one answer for all.
 */

import {
  encodePacket,
  hasUnwantedCharacters,
  PacketType,
  parseFilter,
  type QoS,
  ReasonCode,
  reasonCodeName,
  type SubscribePacket,
  type SubscriptionRequest,
  topicFilterProblem,
  type UnsubscribePacket,
} from '@pipit/protocol';
import type { Connection } from './connection.ts';
import { filterCost } from './costs.ts';
import { Counter } from './metrics.ts';
import { endReplay, type ReplayOptions, startReplay } from './replay.ts';
import { filterBytes } from './router.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';
import { traced } from './trace.ts';
import { topicLimit, Violation } from './violation.ts';

/** Filters of one packet that are an atom: as many as most packets have. */
const filtersAtOnce = 4;

/** Throws Violation when the connection must end. */
export function subscribeReceived(
  state: State,
  connection: Connection,
  session: Session,
  packet: SubscribePacket,
): void {
  limitFilters(state, packet.subscriptions.length);
  const identifier = packet.properties?.subscriptionIdentifier ?? 0;
  if (identifier !== 0 && !connection.mayIdentify) {
    throw new Violation(ReasonCode.SubscriptionIdentifiersNotSupported, 'subscription identifiers are not available');
  }
  const { packetId } = packet;
  const { version } = connection;
  const each = (request: SubscriptionRequest): number => {
    state.deliveriesLeft -= filterCost(request.filter);
    const answer = subscribe(state, connection, session, request, identifier);
    if (answer >= 0x80) refused(state, connection, toldFilter(connection, request.filter), answer);
    if (state.traces !== null) {
      traceSubscription(state, session, 'subscribed', toldFilter(connection, request.filter), answer);
    }
    // 3.1.1 has one code for every failure [MQTT3-3.9.3-2]; 3.1 has none, and gets what it asked for without being subscribed.
    return version === 5 || answer < 0x80 ? answer : version === 4 ? 0x80 : request.qos;
  };
  goThrough(state, connection, packet.subscriptions, each, (reasonCodes, changed) => {
    const suback = encodePacket({ type: PacketType.Suback, packetId, reasonCodes }, version, 'server');
    connection.send(state, suback, changed || connection.isHolding); // [MQTT-3.8.4-1]
    if (session.replays !== null) state.wake(session);
  });
}

/** Some at a time: a packet may have a thousand. What the turn's budget cuts short goes on in a later one. */
function goThrough<Item>(
  state: State,
  connection: Connection,
  items: readonly Item[],
  each: (item: Item) => number,
  end: (codes: number[], changed: boolean) => void,
): void {
  const codes: number[] = [];
  let changed = false;
  const goOn = (): boolean => {
    const before = state.journal?.mark;
    let atOnce = filtersAtOnce;
    while (codes.length < items.length && (atOnce-- > 0 || !state.isSpent))
      codes.push(each(items[codes.length] as Item));
    changed ||= state.journal?.mark !== before;
    if (codes.length < items.length) return false;
    end(codes, changed);
    return true;
  };
  if (!goOn()) connection.unfinished = goOn;
}

/** The QoS granted, or the reason code of the refusal. */
function subscribe(
  state: State,
  connection: Connection,
  session: Session,
  request: SubscriptionRequest,
  identifier: number,
): number {
  const filter = admitFilter(state, connection, request.filter);
  if (filter === null) {
    const limit = topicLimit(state.limits, request.filter);
    if (limit !== null) state.metrics.reached(limit);
    return ReasonCode.TopicFilterInvalid;
  }
  const { shareName, filter: plain } = parseFilter(filter);
  if (shareName !== undefined && !connection.mayShare) {
    throw new Violation(ReasonCode.SharedSubscriptionsNotSupported, 'shared subscriptions are not available');
  }
  if (!connection.mayUseWildcards && /[+#]/.test(plain)) {
    throw new Violation(ReasonCode.WildcardSubscriptionsNotSupported, 'wildcards are not available');
  }
  const granted = grantedQoS(session, plain, shareName, Math.min(request.qos, connection.maximumQoS) as QoS);
  if (granted >= ReasonCode.UnspecifiedError) return granted;
  const isKnown = state.router.find(session, plain, shareName) !== undefined;
  if (!isKnown && !hasPlace(state, session, plain, shareName)) return ReasonCode.QuotaExceeded;
  const qos = granted as QoS;
  const noLocal = request.noLocal || (connection.isBridge && shareName === undefined);
  const retainAsPublished = request.retainAsPublished || connection.isBridge;
  const options = { qos, noLocal, retainAsPublished, identifier };
  state.router.subscribe(session, plain, shareName, options);
  if (session.lasts) {
    state.journal?.record({
      kind: 'subscribed',
      key: session.key,
      subscription: { filter: plain, shareName, ...options },
    });
  }
  const wantsRetained = request.retainHandling === 0 || (request.retainHandling === 1 && !isKnown); // [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
  if (shareName === undefined) {
    const identifiers = identifier === 0 ? null : [identifier];
    const replay = { qos, identifiers, clientId: noLocal ? session.clientId : null };
    if (wantsRetained) startReplay(state, session, plain, replay);
    else continueReplay(session, plain, replay);
  }
  return qos; // [MQTT-3.8.4-7]
}

/** The highest QoS up to `most` that the permissions grant [MQTT-3.8.4-7], or the reason code with which `most` is refused. */
function grantedQoS(session: Session, filter: string, shareName: string | undefined, most: QoS): number {
  const { permissions } = session;
  if (permissions === null) return most;
  for (let qos = most as number; qos >= 0; qos--) {
    if (permissions.subscribe(filter, qos as QoS, shareName) === 0) return qos;
  }
  return permissions.subscribe(filter, most, shareName);
}

function hasPlace(
  { limits, metrics }: State,
  session: Session,
  filter: string,
  shareName: string | undefined,
): boolean {
  const bytes = session.subscriptionBytes + filterBytes(filter, shareName);
  const hasCount = session.subscriptionCount < limits.subscriptionsPerSessionMax;
  if (hasCount && bytes <= limits.subscriptionBytesPerSessionMax) return true;
  metrics.reached(hasCount ? 'subscriptionBytesPerSessionMax' : 'subscriptionsPerSessionMax');
  return false;
}

/** What is left of a replay goes on as the subscription now says: replacing one loses nothing [MQTT-3.8.4-4]. */
function continueReplay(session: Session, filter: string, options: ReplayOptions): void {
  const replay = session.replays?.get(filter);
  if (replay !== undefined) replay.options = options;
}

/** The filter as the broker knows it; null when it is not valid here. */
function admitFilter(state: State, connection: Connection, filter: string): string | null {
  const mapped = connection.mapping === null ? filter : connection.mapping.filterIn(filter);
  if (mapped === null || topicFilterProblem(mapped, state.limits.topicLevelsMax) !== undefined) return null;
  if (topicLimit(state.limits, mapped) === 'topicBytesMax') return null;
  return state.options.strictText === true && hasUnwantedCharacters(mapped) ? null : mapped;
}

/** As operators know it. */
function toldFilter({ mapping }: Connection, filter: string): string {
  return mapping?.filterIn(filter) ?? filter;
}

function traceSubscription(
  state: State,
  session: Session,
  step: 'subscribed' | 'unsubscribed',
  filter: string,
  answer: number,
): void {
  const qos = answer < 0x80 && step === 'subscribed' ? (answer as QoS) : 0;
  const detail = `${filter}: ${answer < 0x80 ? 'granted' : reasonCodeName(answer)}`;
  traced(state, step, session, '', { qos, payloadBytes: 0, packetId: 0, detail });
}

function refused(state: State, connection: Connection, filter: string, reasonCode: number): void {
  state.metrics.count(Counter.SubscribesRefused);
  const { clientId } = connection;
  const reason = refusalReasons.get(reasonCode) ?? 'a rule denies it';
  const event = { type: 'subscribe-refused', clientId, filter, reasonCode, reason, count: 1 } as const;
  state.events.count(event, state.deadlines, state.now);
}

const refusalReasons = new Map<number, string>([
  [ReasonCode.TopicFilterInvalid, 'the filter is not valid'],
  [ReasonCode.QuotaExceeded, 'the session has as many subscriptions as it may'],
  [ReasonCode.NotAuthorized, 'subscribing to this filter is not allowed'],
]);

export function unsubscribeReceived(
  state: State,
  connection: Connection,
  session: Session,
  packet: UnsubscribePacket,
): void {
  limitFilters(state, packet.filters.length);
  const { packetId } = packet;
  const { version } = connection;
  const each = (filter: string): number => {
    state.deliveriesLeft -= filterCost(filter);
    const code = unsubscribe(state, connection, session, filter);
    if (state.traces !== null) {
      traceSubscription(state, session, 'unsubscribed', toldFilter(connection, filter), code);
    }
    return code;
  };
  goThrough(state, connection, packet.filters, each, (codes, changed) => {
    const reasonCodes = version === 5 ? codes : [];
    const unsuback = encodePacket({ type: PacketType.Unsuback, packetId, reasonCodes }, version, 'server');
    connection.send(state, unsuback, changed || connection.isHolding); // [MQTT-3.10.4-4]
  });
}

function unsubscribe(state: State, connection: Connection, session: Session, filter: string): number {
  const admitted = admitFilter(state, connection, filter);
  if (admitted === null) return ReasonCode.TopicFilterInvalid;
  const { shareName, filter: plain } = parseFilter(admitted);
  if (!state.router.unsubscribe(session, plain, shareName)) return ReasonCode.NoSubscriptionExisted;
  if (shareName === undefined) endReplay(state, session, plain);
  if (session.lasts) state.journal?.record({ kind: 'unsubscribed', key: session.key, filter: plain, shareName });
  return ReasonCode.Success;
}

function limitFilters(state: State, filters: number): void {
  if (filters <= state.limits.filtersPerPacketMax) return;
  const reason = `more than ${state.limits.filtersPerPacketMax} filters in one packet`;
  throw new Violation(ReasonCode.QuotaExceeded, reason, 'filtersPerPacketMax');
}
