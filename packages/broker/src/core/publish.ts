/**
 * A PUBLISH comes in: admitted or refused, retained, routed, acknowledged.
 *
 * Follow a QoS 1 PUBLISH from here: `publishReceived` reads it where it lies, `route` asks the router for the topic's plan and
 * hands it to each recipient (delivery.ts), `acknowledge` writes the PUBACK, now or with the batch that makes it durable.
 */

import {
  decodeUtf8,
  hasUnwantedCharacters,
  PacketType,
  type QoS,
  ReasonCode,
  ReceivedAliases,
  ReceiveIds,
} from '@pipit/protocol';
import { acknowledge } from './acknowledgement.ts';
import { claimed, lineUp } from './claims.ts';
import type { Connection } from './connection.ts';
import { readingCost } from './costs.ts';
import { deliver } from './delivery.ts';
import type { Message } from './message.ts';
import { Counter } from './metrics.ts';
import type { Publication } from './publication.ts';
import { denied, type Refusal, refusalOf } from './refusal.ts';
import { retain, retainRefusal } from './retaining.ts';
import type { Plan } from './router.ts';
import { writeAck } from './sending.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';
import type { Topic } from './topic-table.ts';
import { tracedMessage } from './trace.ts';
import { limitUserProperties, topicLimit, Violation } from './violation.ts';

/** A topic and properties of up to so many bytes are part of what any message costs. */
const longHeadBytes = 256;

/** Handles the PUBLISH that the connection's framer shows. Throws DecodeError or Violation when the connection must end. */
export function publishReceived(state: State, connection: Connection, session: Session): void {
  const { frame, publication } = state;
  const { framer } = connection;
  const isV5 = connection.version === 5;
  frame.read(framer.bytes, framer.view, framer.start, framer.body, framer.end, connection.version, 'client');
  const { qos, packetId } = frame;
  state.metrics.publishesReceived.count(qos, frame.end - frame.payloadStart);
  if (frame.payloadStart - framer.start > longHeadBytes)
    state.deliveriesLeft -= readingCost(frame.payloadStart - framer.start);
  if (frame.userProperties > 0) limitUserProperties(state.limits, frame.userProperties, frame.userPropertyBytes);
  const topic = resolveTopic(state, connection);
  if (qos > connection.maximumQoS) throw new Violation(ReasonCode.QoSNotSupported, `QoS ${qos} is not available`);
  if (frame.retain && !connection.mayRetain)
    throw new Violation(ReasonCode.RetainNotSupported, 'RETAIN is not available'); // [MQTT-3.2.2-14]
  if (qos === 2 && session.received?.has(packetId) === true) {
    // The same message once more [MQTT-4.3.3-10].
    acknowledge(state, connection, PacketType.Pubrec, packetId, ReasonCode.Success, false);
    return;
  }
  if (qos > 0 && isV5 && connection.inbound >= connection.inboundMax) {
    const reason = `more than ${connection.inboundMax} messages are open`;
    throw new Violation(ReasonCode.ReceiveMaximumExceeded, reason, 'receiveMaximum');
  }
  publication.fromFrame(frame, topic, connection, state.now);
  const denial = denialOf(state, connection, session, topic, qos, frame.retain);
  const refusal = denial === 0 ? refusalOf(state, session, publication.message) : denied(denial);
  if (refusal !== null) {
    refuse(state, connection, topic, qos, packetId, refusal);
    return;
  }
  const before = state.journal?.mark;
  if (qos === 2) receive(state, connection, session, packetId);
  const claim = state.claims?.find(topic) ?? null;
  if (claim !== null) {
    if (state.traces !== null) tracePublished(state, session, publication, packetId, 'to the claim of a program');
    claimed(state, claim, publication.keep(), lineUp(state, connection, qos, packetId));
    return;
  }
  if (frame.retain) retain(state, publication, session.principal);
  const matched = route(state, publication);
  // Work like any other, though nobody gets it.
  if (matched === 0) state.deliveriesLeft--;
  if (state.traces !== null) tracePublished(state, session, publication, packetId, `to ${matched} sessions`);
  if (qos === 0) return;
  const reasonCode = matched === 0 ? ReasonCode.NoMatchingSubscribers : ReasonCode.Success;
  const type = qos === 1 ? PacketType.Puback : PacketType.Pubrec;
  acknowledge(state, connection, type, packetId, reasonCode, state.journal?.mark !== before);
}

/**
 * Publishes a message of the broker's own or of in-process code. The number of sessions it matched; 'claimed' when a claim has
 * it and answers to `token`, if there is one.
 */
export function publishMessage(
  state: State,
  message: Message,
  token: number | null,
  principal: string | null = null,
): number | 'claimed' {
  const { publication } = state;
  publication.fromMessage(message, state.now);
  const claim = state.claims?.find(message.topic) ?? null;
  if (claim !== null) {
    claimed(state, claim, message, token === null ? null : { token });
    return 'claimed';
  }
  if (message.retain) {
    const limit = retainRefusal(state, message, principal);
    if (limit === null) retain(state, publication, principal);
    else {
      state.metrics.reached(limit);
      tellUnretained(state, message);
    }
  }
  const matched = route(state, publication);
  if (state.traces !== null) tracePublished(state, null, publication, 0, `to ${matched} sessions`);
  return matched;
}

function tracePublished(
  state: State,
  session: Session | null,
  { message }: Publication,
  packetId: number,
  detail: string,
): void {
  tracedMessage(state, 'published', session, message, message.qos, packetId, detail);
}

/** A will is delivered even when it cannot be retained: nobody is left to be told but the operator. */
function tellUnretained(state: State, message: Message): void {
  const clientId = message.publisher ?? '';
  const event = { type: 'dropped', clientId, topic: message.topic.name, reason: 'retained-full', count: 1 } as const;
  state.metrics.drop('retained-full');
  state.events.count(event, state.deadlines, state.now);
}

/** Hands the publication to everybody who is due it. The number of sessions that matched. */
export function route(state: State, publication: Publication): number {
  const { message } = publication;
  const plan = state.router.plan(message.topic);
  if (state.router.planningCost > 0) payForPlans(state);
  const { recipients } = plan;
  let matched = recipients.length;
  for (let i = 0; i < recipients.length; i++) {
    let recipient = recipients[i] as Plan['recipients'][number];
    if (recipient.hasNoLocal && recipient.session.clientId === message.publisher) {
      if (recipient.own === null) {
        matched--;
        continue;
      }
      recipient = recipient.own;
    }
    const { session, qos, retainAsPublished, identifiers } = recipient;
    deliver(state, session, publication, qos, retainAsPublished, identifiers, null);
  }
  if (plan.groups === null) return matched;
  for (const group of plan.groups) {
    const member = group.choose(state, message, null);
    if (member === undefined) continue;
    matched++;
    deliver(state, member.session, publication, member.qos, member.retainAsPublished, member.identifiers, group);
  }
  return matched;
}

function payForPlans(state: State): void {
  state.deliveriesLeft -= state.router.planningCost;
  state.router.planningCost = 0;
}

/** Topics by name or alias. Interned, so the same topic is the same object. */
function resolveTopic(state: State, connection: Connection): Topic {
  const { frame } = state;
  const { bytes, view, topicStart, topicEnd, topicAlias } = frame;
  if (topicAlias > connection.aliasMaximum) {
    throw new Violation(
      ReasonCode.TopicAliasInvalid,
      `topic alias ${topicAlias} is above the maximum of ${connection.aliasMaximum}`,
      'topicAliasMaximum',
    );
  }
  if (topicEnd === topicStart) {
    const topic = connection.aliases?.get(topicAlias);
    if (topic == null) throw new Violation(ReasonCode.ProtocolError, `topic alias ${topicAlias} was never set`);
    return topic;
  }
  let topic = connection.lastTopic;
  if (topic === null || connection.mapping !== null || !topic.equals(view, topicStart, topicEnd)) {
    const named = state.topics.intern(bytes, view, topicStart, topicEnd);
    if (named === null) throw illegalTopic(state, decodeUtf8(bytes, topicStart, topicEnd));
    topic = admitTopic(state, connection, named);
  }
  if (topicAlias > 0) {
    connection.aliases ??= new ReceivedAliases<Topic>();
    connection.aliases.set(topicAlias, topic);
  }
  return topic;
}

function illegalTopic(state: State, name: string): Violation {
  return new Violation(ReasonCode.TopicNameInvalid, 'the topic name is not valid here', topicLimit(state.limits, name)); // [MQTT-3.3.2-2]
}

function admitTopic(state: State, connection: Connection, named: Topic): Topic {
  let topic: Topic | null = named;
  if (connection.mapping !== null) {
    const name = connection.mapping.topicIn(named.name);
    topic = name === null ? null : state.topics.internName(name);
    if (topic === null) throw illegalTopic(state, name ?? '');
  }
  if (state.options.strictText === true && hasUnwantedCharacters(topic.name)) {
    throw new Violation(ReasonCode.MalformedPacket, 'the topic name contains control characters or non-characters');
  }
  return topic;
}

/** Whether this connection may publish so to a topic: 0, or the reason code. Remembered for the connection's last topic. */
function denialOf(
  state: State,
  connection: Connection,
  session: Session,
  topic: Topic,
  qos: QoS,
  isRetained: boolean,
): number {
  const way = isRetained ? qos + 4 : qos;
  const isKnown = connection.lastTopic === topic && connection.lastTopicWay === way;
  if (isKnown && connection.lastTopicEpoch === state.permissionEpoch) return connection.lastTopicRefusal;
  connection.lastTopic = topic;
  connection.lastTopicWay = way;
  connection.lastTopicEpoch = state.permissionEpoch;
  connection.lastTopicRefusal = topic.isSystem
    ? ReasonCode.NotAuthorized
    : (session.permissions?.publish(topic.name, qos, isRetained) ?? 0);
  return connection.lastTopicRefusal;
}

/** 5.0: the reason code. 3.x cannot be told: acknowledged and dropped, or closed without ack when another try may succeed. */
function refuse(
  state: State,
  connection: Connection,
  topic: Topic,
  qos: QoS,
  packetId: number,
  refusal: Refusal,
): void {
  const { reasonCode, reason, limit = null } = refusal;
  state.deliveriesLeft--;
  state.metrics.count(Counter.PublishRefused);
  if (limit !== null) state.metrics.reached(limit);
  const { clientId, session } = connection;
  if (state.traces !== null) tracePublished(state, session, state.publication, packetId, `refused: ${reason}`);
  const event = { type: 'publish-refused', clientId, topic: topic.name, reasonCode, reason, count: 1 } as const;
  state.events.count(event, state.deadlines, state.now);
  if (qos === 0) return;
  if (refusal.mayPass && connection.version !== 5) {
    if (!connection.isHolding || state.journal?.isFailing === true) throw new Violation(reasonCode, reason);
    // What was accepted before is acknowledged first: without that, whoever sends all of it again never gets further.
    connection.farewell = { reasonCode, reason };
    connection.isStalled = true;
    return;
  }
  const code = connection.version === 5 ? reasonCode : ReasonCode.Success;
  acknowledge(state, connection, qos === 1 ? PacketType.Puback : PacketType.Pubrec, packetId, code, false);
}

/** Notes a QoS 2 message as received: until its PUBREL, the same id is the same message. */
function receive(state: State, connection: Connection, session: Session, packetId: number): void {
  session.received ??= new ReceiveIds();
  session.received.add(packetId);
  if (connection.version === 5) connection.inbound++;
  if (!session.lasts) return;
  state.journal?.record({ kind: 'received', key: session.key, incarnation: session.incarnation, packetId });
}

/** PUBREL: the id is free again. */
export function pubrelReceived(state: State, connection: Connection, session: Session, packetId: number): void {
  const wasOpen = session.received?.delete(packetId) === true;
  if (wasOpen && connection.version === 5) connection.inbound = Math.max(0, connection.inbound - 1);
  let waits = connection.isHolding;
  if (wasOpen && session.lasts && state.journal !== null) {
    state.journal.record({ kind: 'completed', key: session.key, incarnation: session.incarnation, packetId });
    waits = true;
  }
  const reasonCode = wasOpen ? ReasonCode.Success : ReasonCode.PacketIdentifierNotFound;
  writeAck(state, connection, PacketType.Pubcomp, packetId, reasonCode, waits); // [MQTT-4.3.3-11]
}
