/**
 * What the broker writes, judged packet by packet against the model: nothing that is not owed, nothing before its promise is on
 * the disk, everything in its order.
 */

import { type ConnackPacket, type Packet, PacketType, type PublishPacket } from '@pipit/protocol';
import { Phase } from '../../src/core/index.ts';
import type { Disk } from './disk.ts';
import {
  type Awaited,
  type ModelSession,
  numberOf,
  type Owed,
  type Routing,
  type Snapshot,
  type View,
} from './model.ts';
import { describe, type Oracle } from './oracle.ts';

/** `turnBegan`: when the turn began in which this was made, or earlier: nothing was made before. */
export function judgeWritten(oracle: Oracle, view: View, packet: Packet, turnBegan: number): void {
  oracle.world.trace(`  ${view.link.number} < ${describe(packet)}`);
  if (packet.type !== PacketType.Connack) oracle.expect(view.isConnackSent, 'something left before CONNACK');
  switch (packet.type) {
    case PacketType.Connack:
      return judgeConnack(oracle, view, packet);
    case PacketType.Publish:
      return judgePublish(oracle, view, packet, turnBegan);
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubcomp:
      return judgeAck(oracle, view, packet.type, packet.packetId, [packet.reasonCode]);
    case PacketType.Pubrel:
      return judgePubrel(oracle, view, packet.packetId, packet.reasonCode);
    case PacketType.Suback:
    case PacketType.Unsuback:
      return judgeAck(oracle, view, packet.type, packet.packetId, packet.reasonCodes);
    case PacketType.Disconnect:
      // 0x88 is no reason code of DISCONNECT.
      return oracle.expect(
        packet.reasonCode === (view.disconnectCode === 0x88 ? 0x80 : view.disconnectCode),
        `DISCONNECT says ${packet.reasonCode}`,
      );
    case PacketType.Pingresp:
      return;
    default:
      oracle.fail('a packet that only clients send');
  }
}

function isOver(view: View): boolean {
  return view.link.connection.phase === Phase.Closed || view.session?.view !== view;
}

function judgeConnack(oracle: Oracle, view: View, packet: ConnackPacket): void {
  oracle.expect(!view.isConnackSent, 'a second CONNACK');
  view.isConnackSent = true;
  const { session, connect } = view;
  if (packet.reasonCode !== 0) {
    const willTopic = connect?.will?.topic;
    const isDenied = willTopic !== undefined && oracle.model.mayUserPublish(connect?.username ?? '', willTopic) !== 0;
    const isKnown = view.refusals.has(packet.reasonCode) || oracle.isStopping || isDenied;
    oracle.expect(session === null && isKnown, `CONNECT was refused with ${packet.reasonCode}`);
    oracle.world.mark('stranger refused');
    return;
  }
  if (session === null || connect === null) return oracle.fail('CONNACK for nobody');
  oracle.expect(view.refusals.size === 0, 'somebody was let in who must not be');
  oracle.expect(packet.sessionPresent === (view.isPresent && view.version !== 3), 'Session Present is wrong');
  if (view.version === 5) {
    const told = packet.properties?.sessionExpiryInterval ?? connect.properties?.sessionExpiryInterval ?? 0;
    if (!isOver(view)) oracle.expect(told === session.expirySeconds, `told a session expiry of ${told}`);
  }
  const { disk } = oracle.world;
  if (disk === null || isOver(view)) return;
  const kept = disk.sessions.get(session.clientId);
  if (session.lasts)
    oracle.expect(
      kept?.session.expirySeconds === session.expirySeconds,
      'CONNACK left before its session was on the disk',
    );
  const will = kept?.session.will ?? null;
  oracle.expect(session.will === null || will !== null, 'CONNACK left before its will was on the disk');
}

// ── acknowledgements

function judgeAck(oracle: Oracle, view: View, type: number, packetId: number, codes: readonly number[]): void {
  const awaited = view.awaited.shift();
  if (awaited?.type !== type || awaited.packetId !== packetId) {
    const due = awaited === undefined ? 'nothing' : `type ${awaited.type} for ${awaited.packetId}`;
    return oracle.fail(`acknowledgement of type ${type} for ${packetId} left when ${due} was due`);
  }
  const expected = awaited.reasonCodes ?? [awaited.reasonCode ?? 0];
  oracle.expect(codes.join() === expected.join(), `reason code ${codes.join()}, expected ${expected.join()}`);
  const { disk } = oracle.world;
  const { session } = view;
  if (disk !== null && session !== null && !isOver(view)) judgePromise(oracle, disk, session, awaited);
}

/** What an acknowledgement promises is on the disk when it leaves, unless nobody needs it any more. */
function judgePromise(oracle: Oracle, disk: Disk<Snapshot>, session: ModelSession, awaited: Awaited): void {
  const { routing, type, packetId } = awaited;
  const kept = disk.sessions.get(session.clientId);
  if (routing !== undefined) judgeKept(oracle, disk, routing);
  if (!session.lasts) return;
  if (type === PacketType.Pubrec && session.received.has(packetId))
    oracle.expect(kept?.received.has(packetId) === true, 'PUBREC left before its packet id was on the disk');
  if (type === PacketType.Pubcomp && !session.received.has(packetId))
    oracle.expect(kept?.received.has(packetId) !== true, 'PUBCOMP left before its commit');
  for (const subscription of awaited.subscriptions ?? []) {
    const key = [...session.subscriptions].find(([, each]) => each === subscription)?.[0];
    if (key === undefined) continue;
    oracle.expect(
      kept?.subscriptions.get(key)?.qos === subscription.qos,
      'SUBACK left before its subscription was on the disk',
    );
  }
  for (const key of awaited.gone ?? [])
    oracle.expect(
      session.subscriptions.has(key) || kept?.subscriptions.has(key) !== true,
      'UNSUBACK left before its commit',
    );
}

function judgeKept(oracle: Oracle, disk: Disk<Snapshot>, routing: Routing): void {
  const { model } = oracle;
  for (const session of model.sessions.values()) {
    if (!session.lasts || !session.line.some((owed) => owed.routing === routing && owed.qos > 0)) continue;
    oracle.expect(
      isKept(disk, session.clientId, routing),
      `acknowledged before it was on the disk for ${session.clientId}`,
    );
  }
  if (!routing.retain || model.retained.get(routing.topic) !== routing) return;
  const stored = disk.retained.get(routing.topic);
  oracle.expect(
    stored !== undefined && numberOf(stored) === routing.number,
    'acknowledged before it was on the disk as retained',
  );
}

function isKept(disk: Disk<Snapshot>, clientId: string, routing: Routing): boolean {
  for (const { message } of disk.sessions.get(clientId)?.queue.values() ?? []) {
    if (numberOf(message) === routing.number && message.topic === routing.topic) return true;
  }
  return false;
}

/** A PUBREL answers a PUBREC, or is sent again after a resume. */
function judgePubrel(oracle: Oracle, view: View, packetId: number, reasonCode: number): void {
  const { session } = view;
  const first = view.awaited[0];
  const owed = session?.line.find((each) => each.packetId === packetId && each.phase === 'released');
  if (first?.type === PacketType.Pubrel && first.packetId === packetId)
    judgeAck(oracle, view, PacketType.Pubrel, packetId, [reasonCode]);
  else if (!isOver(view)) {
    oracle.expect(owed !== undefined && owed.releasedOn !== view.link.number, `PUBREL for ${packetId} was not due`);
    oracle.expect(view.isPresent, 'PUBREL sent again without a resume');
  }
  if (owed === undefined || session === null || isOver(view)) return;
  owed.releasedOn = view.link.number;
  const { disk } = oracle.world;
  if (disk === null || !session.lasts) return;
  const kept = [...(disk.sessions.get(session.clientId)?.queue.values() ?? [])].find(
    (each) => each.packetId === packetId,
  );
  oracle.expect(kept?.released === true, 'PUBREL left before its commit');
}

// ── PUBLISH

function judgePublish(oracle: Oracle, view: View, packet: PublishPacket, turnBegan: number): void {
  const topic = topicOf(oracle, view, packet);
  const { session } = view;
  if (session === null) return oracle.fail('a PUBLISH to nobody');
  if (isOver(view)) return noteLate(view, session, packet, topic);
  const owed =
    packet.qos === 0
      ? findQos0(oracle, view, session, packet, topic)
      : findFlight(oracle, view, session, packet, topic);
  judgeForm(oracle, view, session, packet, owed, turnBegan);
  if (packet.qos === 0) return;
  oracle.expect(
    view.open.size < Math.min(view.receiveMaximum, oracle.world.limits.sendMaximum),
    'more in flight than Receive Maximum allows',
  );
  view.open.add(packet.packetId);
  view.sent.set(packet.packetId, owed.serial);
  owed.packetId = packet.packetId;
  owed.phase = 'sent';
  owed.sentOn = view.link.number;
  const { disk } = oracle.world;
  if (disk !== null && packet.qos === 2 && session.lasts) {
    const kept = [...(disk.sessions.get(session.clientId)?.queue.values() ?? [])].find(
      (each) => each.packetId === packet.packetId,
    );
    oracle.expect(
      kept !== undefined && numberOf(kept.message) === owed.routing.number,
      'a QoS 2 PUBLISH left before its commit',
    );
  }
}

/** Written before its connection ended, and seen only now: it tells which packet id the message has. */
function noteLate(view: View, session: ModelSession, packet: PublishPacket, topic: string): void {
  if (packet.qos === 0 || packet.dup) return;
  const owed = session.line.find((each) => each.phase === 'waiting' && isSame(each, packet, topic));
  if (owed === undefined) return;
  owed.phase = 'sent';
  owed.packetId = packet.packetId;
  owed.sentOn = view.link.number;
}

function topicOf(oracle: Oracle, view: View, packet: PublishPacket): string {
  const alias = packet.properties?.topicAlias ?? 0;
  const maximum = view.connect?.properties?.topicAliasMaximum ?? 0;
  oracle.expect(alias <= maximum, `topic alias ${alias} above ${maximum}`);
  if (packet.topic === '') {
    oracle.world.mark('alias used');
    return view.sentAliases.get(alias) ?? oracle.fail('a topic alias that was never set');
  }
  if (alias > 0) view.sentAliases.set(alias, packet.topic);
  else if (maximum > 0 && view.sentAliases.size > 0) oracle.world.mark('alias table full');
  return packet.topic;
}

function isSame(owed: Owed, packet: PublishPacket, topic: string): boolean {
  return owed.routing.topic === topic && owed.qos === packet.qos && owed.routing.number === numberOf(packet);
}

function findQos0(oracle: Oracle, view: View, session: ModelSession, packet: PublishPacket, topic: string): Owed {
  const at = view.now.findIndex((each) => isSame(each, packet, topic));
  if (at >= 0) {
    const [owed] = view.now.splice(at, 1) as [Owed];
    oracle.expect(
      !view.now.slice(0, at).some((each) => each.routing.topic === topic),
      `QoS 0 messages of ${topic} are out of order`,
    );
    return owed;
  }
  const queued = session.line.findIndex((each) => each.phase === 'waiting' && isSame(each, packet, topic));
  if (queued >= 0) return session.line.splice(queued, 1)[0] as Owed;
  return (
    takeReplay(oracle, session, packet, topic) ?? oracle.fail(`${session.clientId} got a QoS 0 message it is not owed`)
  );
}

function findFlight(oracle: Oracle, view: View, session: ModelSession, packet: PublishPacket, topic: string): Owed {
  const { line } = session;
  const { packetId, dup } = packet;
  const inUse = line.find((each) => each.packetId === packetId && each.phase !== 'waiting');
  if (inUse !== undefined) {
    const isAgain = isSame(inUse, packet, topic) && inUse.phase === 'sent' && inUse.sentOn !== view.link.number;
    oracle.expect(isAgain, `packet id ${packetId} is in use`);
    oracle.expect(dup, 'a PUBLISH sent again has no DUP');
    judgeOrder(oracle, view, session, inUse);
    return inUse;
  }
  let owed = line.find((each) => each.phase === 'waiting' && isSame(each, packet, topic));
  // Before the power cut it was sent under an id that did not reach the disk.
  owed ??= line.find(
    (each) => each.isRestored && each.qos === 1 && each.phase === 'sent' && isSame(each, packet, topic),
  );
  if (owed !== undefined) judgeOrder(oracle, view, session, owed);
  owed ??= takeReplay(oracle, session, packet, topic);
  if (owed === undefined) return oracle.fail(`${session.clientId} got a message it is not owed`);
  // Sent under this id before, but held for a commit when its connection ended.
  oracle.expect(!dup || (oracle.world.disk !== null && view.isPresent), 'DUP on a message that was never sent');
  if (packetId < 1000 && line.some((each) => each.packetId > 65_000)) oracle.world.mark('packet id wrapped');
  if (!line.includes(owed)) line.push(owed);
  owed.packetId = 0;
  return owed;
}

/** A retained message that a subscription is owed; its value is read when its turn comes, and skipped when there is a newer one. */
function takeReplay(oracle: Oracle, session: ModelSession, packet: PublishPacket, topic: string): Owed | undefined {
  for (const { left, qos, identifiers, noLocal } of session.replays) {
    const routing = left.get(topic);
    if (noLocal && routing?.publisher === session.clientId) continue;
    const granted = Math.min(qos, routing?.qos ?? 0);
    if (routing === undefined || routing.number !== numberOf(packet) || granted !== packet.qos || !packet.retain)
      continue;
    left.delete(topic);
    return oracle.model.owed(routing, granted as 0, true, identifiers, null, true);
  }
  return undefined;
}

/** Per topic and QoS: nothing overtakes, and after a resume what was sent before goes first [MQTT-4.6.0-1] [MQTT-4.6.0-6]. */
function judgeOrder(oracle: Oracle, view: View, session: ModelSession, owed: Owed): void {
  for (const earlier of session.line) {
    if (earlier === owed) return;
    if (earlier.routing.topic !== owed.routing.topic || earlier.qos !== owed.qos || earlier.isReplay) continue;
    const isAhead = earlier.phase === 'released' || (earlier.phase === 'sent' && earlier.sentOn === view.link.number);
    oracle.expect(isAhead, `#${owed.routing.number} overtook #${earlier.routing.number} on ${owed.routing.topic}`);
  }
}

function judgeForm(
  oracle: Oracle,
  view: View,
  session: ModelSession,
  packet: PublishPacket,
  owed: Owed,
  turnBegan: number,
): void {
  const { routing } = owed;
  const { now } = oracle.world;
  oracle.expect(packet.retain === owed.retain, `RETAIN is ${packet.retain}`);
  oracle.expect(packet.payload.length === routing.payloadBytes, 'the payload has another length');
  oracle.expect(
    view.wasHolding || oracle.model.mayReceive(session, routing.topic),
    `${session.clientId} may not receive ${routing.topic}`,
  );
  const isHeld = oracle.world.disk !== null;
  const isLate = routing.expiresAt <= turnBegan && routing.at < turnBegan && owed.phase === 'waiting';
  oracle.expect(!isLate || isHeld, `#${routing.number} was sent after it expired`);
  if (view.version !== 5) return;
  const identifiers = packet.properties?.subscriptionIdentifiers ?? [];
  oracle.expect(
    sorted(identifiers) === sorted(owed.identifiers) || owed.isRestored || packet.dup,
    `Subscription Identifiers ${identifiers.join()}, not ${owed.identifiers.join()}`,
  );
  const seconds = packet.properties?.messageExpiryInterval;
  oracle.expect(
    (seconds === undefined) === !Number.isFinite(routing.expiresAt),
    'Message Expiry Interval lost or made up',
  );
  if (seconds === undefined) return;
  const most = Math.max(0, Math.ceil((routing.expiresAt - routing.at) / 1000));
  const least = Math.max(0, Math.ceil((routing.expiresAt - now()) / 1000));
  oracle.expect(seconds <= most && seconds >= least, `Message Expiry Interval ${seconds}, not ${least} to ${most}`);
}

function sorted(numbers: readonly number[]): string {
  return [...numbers].sort((a, b) => a - b).join();
}
