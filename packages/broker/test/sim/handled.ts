/** What a packet means once the core has dealt with it: who is owed what from then on, and which answer is due. */

import {
  type Packet,
  PacketType,
  type PublishPacket,
  parseFilter,
  type SubscribePacket,
  type UnsubscribePacket,
} from '@pipit/protocol';
import { noteMade } from './made.ts';
import {
  type ModelSession,
  matches,
  numberOf,
  type Owed,
  type Routing,
  type Subscription,
  type View,
} from './model.ts';
import type { Choice, Oracle } from './oracle.ts';
import { isFull } from './room.ts';

export function apply(oracle: Oracle, view: View, packet: Packet): void {
  const { session } = view;
  if (session === null) return;
  switch (packet.type) {
    case PacketType.Publish:
      return publish(oracle, view, session, packet);
    case PacketType.Puback:
      return settled(view, session, packet.packetId);
    case PacketType.Pubrec:
      return pubrec(view, session, packet.packetId, packet.reasonCode);
    case PacketType.Pubrel: {
      const isKnown = session.received.delete(packet.packetId);
      view.awaited.push({
        type: PacketType.Pubcomp,
        packetId: packet.packetId,
        reasonCode: isKnown || view.version !== 5 ? 0 : 0x92,
      });
      return;
    }
    case PacketType.Pubcomp:
      return settled(view, session, packet.packetId);
    case PacketType.Subscribe:
      return subscribe(oracle, view, session, packet);
    case PacketType.Unsubscribe:
      return unsubscribe(oracle, view, session, packet);
    default:
  }
}

export function publish(oracle: Oracle, view: View, session: ModelSession, packet: PublishPacket): void {
  const { qos, packetId, retain } = packet;
  const alias = packet.properties?.topicAlias ?? 0;
  const topic = packet.topic === '' ? (view.receivedAliases.get(alias) ?? '') : packet.topic;
  if (alias > 0) view.receivedAliases.set(alias, topic);
  const type = qos === 1 ? PacketType.Puback : PacketType.Pubrec;
  if (qos === 2 && session.received.has(packetId)) {
    oracle.world.mark('QoS 2 resent after its PUBREC was lost');
    view.awaited.push({ type, packetId, reasonCode: 0 });
    return;
  }
  const denied = oracle.model.mayPublish(session, topic);
  const { refusal } = oracle;
  oracle.expect(denied === 0 || refusal !== null, `a PUBLISH to ${topic} was accepted without the right to it`);
  if (refusal !== null) {
    const isQueueFull = refusal === 0x97 && oracle.wasFull;
    oracle.expect(
      refusal === denied || (refusal === 0x97 && denied === 0 && (oracle.isFailing || isQueueFull)),
      `a PUBLISH was refused with ${refusal}`,
    );
    if (refusal === 0x97)
      oracle.world.mark(isQueueFull ? 'publish refused for a full queue' : 'publish refused while the disk fails');
    if (qos > 0 && session.view === view)
      view.awaited.push({ type, packetId, reasonCode: view.version === 5 ? refusal : 0 });
    return;
  }
  oracle.expect(
    !oracle.isFailing || !(retain || (qos === 2 && session.lasts)),
    'what needs the disk was accepted while it fails',
  );
  const seconds = packet.properties?.messageExpiryInterval;
  const routing = routingOf(oracle, packet, topic, session.clientId, seconds);
  if (qos === 2) session.received.add(packetId);
  // A 3.x publisher that cannot read its own queue is not refused.
  if (qos > 0 && view.version === 5) oracle.accepted = routing;
  const matched = route(oracle, routing, null);
  if (qos === 0) return;
  view.awaited.push({ type, packetId, reasonCode: matched === 0 && view.version === 5 ? 0x10 : 0, routing });
}

/** Whether somebody is due the message and may have no room for it; every copy of it could come to the same member of a group. */
export function mayRefuse(oracle: Oracle, packet: PublishPacket, topic: string, publisher: string): boolean {
  const { model, world } = oracle;
  if (world.queueOverflow !== 'refuse' || packet.qos === 0) return false;
  const routing = routingOf(oracle, packet, topic, publisher, undefined);
  const groups = model.groupsOf(topic);
  const copies = model.sessions.size + groups.size;
  return [...model.sessions.values()].some((session) => {
    const isMember = [...groups.values()].some((members) => members.some((member) => member.session === session));
    const isDue = isMember || (model.plainDelivery(session, topic, publisher)?.qos ?? 0) > 0;
    return isDue && isFull(oracle, session, isMember ? copies : 1, routing);
  });
}

export function routingOf(
  oracle: Oracle,
  packet: Pick<PublishPacket, 'payload' | 'qos' | 'retain'>,
  topic: string,
  publisher: string,
  seconds: number | undefined,
): Routing {
  const now = oracle.world.now();
  const { qos, retain, payload } = packet;
  const expiresAt = seconds === undefined ? Number.POSITIVE_INFINITY : now + seconds * 1000;
  const number = numberOf(packet);
  const routing = {
    number,
    topic,
    qos,
    retain,
    publisher,
    expiresAt,
    payloadBytes: payload.length,
    at: now,
  };
  if (number > 0) oracle.model.routings.set(number, routing);
  return routing;
}

/** Hands a message on in the model; how many sessions it matched. */
export function route(oracle: Oracle, routing: Routing, without: ModelSession | null): number {
  const { model } = oracle;
  const { topic, retain } = routing;
  oracle.handedOn = routing;
  if (retain && routing.payloadBytes === 0) model.retained.delete(topic);
  else if (retain) model.retained.set(topic, routing);
  let matched = 0;
  for (const session of model.sessions.values()) {
    if (retain && session.replays.some(({ left }) => left.has(topic))) oracle.world.mark('retained replay superseded');
    if (session === without) continue;
    const plain = model.plainDelivery(session, topic, routing.publisher);
    if (plain === null) continue;
    matched++;
    const { qos, retainAsPublished, identifiers } = plain;
    owe(
      oracle,
      session,
      model.owed(routing, Math.min(qos, routing.qos) as 0, retain && retainAsPublished, identifiers, null),
    );
  }
  // The standard gives groups no order, and copies of a message stand in a line as they came: the core's order is taken over.
  const turns = oracle.choices.map(({ group }) => group);
  const groups = [...model.groupsOf(topic)].sort(([a], [b]) => turns.lastIndexOf(a) - turns.lastIndexOf(b));
  for (const [group, members] of groups) {
    const present = members.filter(({ session }) => session !== without);
    if (present.length === 0) continue;
    const chosen = choice(oracle, group, routing);
    const able = present.filter(({ session }) => model.mayReceive(session, topic));
    const online = able.filter(({ session }) => session.view !== null);
    const member = present.find(({ session }) => session.clientId === chosen);
    oracle.expect(
      chosen === null || (member !== undefined && able.includes(member)),
      `${group} gave a message to ${chosen}, who is not in it`,
    );
    if (online.length > 0)
      oracle.expect(member !== undefined && online.includes(member), `${group} left its members online out`);
    else if (routing.qos > 0)
      oracle.expect(
        member !== undefined || !able.some(({ session, subscription }) => session.lasts && subscription.qos > 0),
        `${group} dropped a message that a member would have kept`,
      );
    if (member === undefined) continue;
    matched++;
    oweMember(oracle, member.session, member.subscription, routing, group);
  }
  return matched;
}

export function choice(oracle: Oracle, group: string, routing: Routing): string | null {
  const at = oracle.choices.findIndex(
    (each) => each.number === null && each.group === group && each.topic === routing.topic && each.qos === routing.qos,
  );
  if (at < 0) oracle.fail(`nobody was chosen for ${group}`);
  return (oracle.choices.splice(at, 1)[0] as Choice).clientId;
}

export function oweMember(
  oracle: Oracle,
  session: ModelSession,
  subscription: Subscription,
  routing: Routing,
  group: string,
): Owed {
  const { qos, retainAsPublished, identifier } = subscription;
  const identifiers = identifier === 0 ? [] : [identifier];
  const retain = routing.retain && retainAsPublished;
  const owed = oracle.model.owed(routing, Math.min(qos, routing.qos) as 0, retain, identifiers, group);
  owe(oracle, session, owed);
  return owed;
}

function owe(oracle: Oracle, session: ModelSession, owed: Owed): void {
  // Where QoS 0 may be queued, it stands in the line when there is one.
  if (owed.qos > 0 || (oracle.world.queueQos0 && session.lasts)) session.line.push(owed);
  else if (session.view !== null) session.view.now.push(owed);
}

function settled(view: View, session: ModelSession, packetId: number): void {
  view.open.delete(packetId);
  const at = session.line.findIndex((owed) => owed.packetId === packetId && owed.phase !== 'waiting');
  if (at >= 0) session.line.splice(at, 1);
}

function pubrec(view: View, session: ModelSession, packetId: number, reasonCode: number): void {
  const owed = session.line.find((each) => each.packetId === packetId && each.phase !== 'waiting');
  if (owed !== undefined && reasonCode >= 0x80) return settled(view, session, packetId);
  if (owed !== undefined) {
    owed.phase = 'released';
    owed.releasedOn = 0;
  }
  view.awaited.push({
    type: PacketType.Pubrel,
    packetId,
    reasonCode: owed !== undefined || view.version !== 5 ? 0 : 0x92,
  });
}

export function subscribe(oracle: Oracle, view: View, session: ModelSession, packet: SubscribePacket): void {
  const identifier = packet.properties?.subscriptionIdentifier ?? 0;
  const made: Subscription[] = [];
  const reasonCodes = packet.subscriptions.map((request) => {
    const { shareName, filter } = parseFilter(request.filter);
    const isKnown = session.subscriptions.has(request.filter);
    const isFull = !isKnown && session.subscriptions.size >= oracle.world.limits.subscriptionsPerSessionMax;
    const refusal = oracle.model.maySubscribe(session, filter) || (isFull ? 0x97 : 0);
    if (refusal !== 0) return view.version === 5 ? refusal : view.version === 4 ? 0x80 : request.qos;
    const { qos, noLocal, retainAsPublished } = request;
    const subscription = { filter, shareName, qos, noLocal, retainAsPublished, identifier };
    session.subscriptions.set(request.filter, subscription);
    // It is back: what said that it was gone promises nothing any more.
    for (const each of view.awaited) each.gone?.delete(request.filter);
    made.push(subscription);
    const wantsRetained = request.retainHandling === 0 || (request.retainHandling === 1 && !isKnown);
    if (shareName === undefined) replay(oracle, session, subscription, wantsRetained);
    return qos;
  });
  view.awaited.push({
    type: PacketType.Suback,
    packetId: packet.packetId,
    reasonCode: null,
    reasonCodes,
    subscriptions: made,
  });
}

/** Retained messages are owed from here on; without `isNew` what is still owed goes by the new options. */
export function replay(oracle: Oracle, session: ModelSession, subscription: Subscription, isNew: boolean): void {
  const { filter, qos, identifier, noLocal } = subscription;
  const identifiers = identifier === 0 ? [] : [identifier];
  if (!isNew) {
    const replay = session.replays.find((each) => each.filter === filter);
    if (replay === undefined) return;
    // What was given before went by the old ones.
    if (session.view !== null) noteMade(oracle, session.view);
    Object.assign(replay, { qos, identifiers, noLocal, mayLackOwn: replay.mayLackOwn || noLocal });
    return;
  }
  const left = new Map([...oracle.model.retained].filter(([topic]) => matches(filter, topic)));
  endReplay(oracle, session, filter);
  session.replays.push({ filter, qos, identifiers, noLocal, mayLackOwn: noLocal, mayLackSome: false, left });
}

function endReplay(oracle: Oracle, session: ModelSession, filter: string): void {
  const replay = session.replays.find((each) => each.filter === filter);
  if (replay === undefined) return;
  if (session.view !== null) noteMade(oracle, session.view);
  session.replays.splice(session.replays.indexOf(replay), 1);
}

export function unsubscribe(oracle: Oracle, view: View, session: ModelSession, packet: UnsubscribePacket): void {
  const gone = new Set(packet.filters.filter((filter) => session.subscriptions.has(filter)));
  const reasonCodes = packet.filters.map((filter) => {
    endReplay(oracle, session, filter);
    return session.subscriptions.delete(filter) ? 0 : 0x11;
  });
  const codes = view.version === 5 ? reasonCodes : [];
  view.awaited.push({
    type: PacketType.Unsuback,
    packetId: packet.packetId,
    reasonCode: null,
    reasonCodes: codes,
    gone,
  });
}
