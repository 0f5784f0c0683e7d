/**
 * What the broker writes, judged packet by packet against the model: nothing that is not owed, nothing before its promise is on
 * the disk, everything in its order.
 */

import { type ConnackPacket, type Packet, PacketType, type PublishPacket } from '@pipit/protocol';
import { Phase } from '../../src/core/index.ts';
import { describe } from './describe.ts';
import type { Disk } from './disk.ts';
import { type Awaited, type ModelSession, numberOf, type Routing, type Snapshot, type View } from './model.ts';
import type { Oracle } from './oracle.ts';

export function judgeWritten(oracle: Oracle, view: View, packet: Packet): void {
  oracle.world.trace(`  ${view.link.number} < ${describe(packet)}`);
  if (packet.type !== PacketType.Connack) oracle.expect(view.isConnackSent, 'something left before CONNACK');
  switch (packet.type) {
    case PacketType.Connack:
      return judgeConnack(oracle, view, packet);
    case PacketType.Publish:
      return judgePublish(oracle, view, packet);
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
    const owed = session.line.find((each) => each.routing === routing && each.qos > 0 && !each.isReplay);
    if (!session.lasts || owed === undefined || owed.isUnpromised) continue;
    // One that moved on is still on the disk for the member that left, until its move is.
    const keepers = owed.group === null ? [session.clientId] : [...disk.sessions.keys()];
    const isSafe = keepers.some((clientId) => isKept(disk, clientId, routing));
    oracle.expect(isSafe, `acknowledged before it was on the disk for ${session.clientId}`);
  }
  const isCurrent = routing.retain && model.retained.get(routing.topic) === routing;
  if (!isCurrent || routing.expiresAt <= oracle.world.now()) return;
  const stored = disk.retained.get(routing.topic)?.message;
  const isStored = stored !== undefined && numberOf(stored) === routing.number;
  oracle.expect(isStored, 'acknowledged before it was on the disk as retained');
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

/** It was judged when it was made; what it needs now is its commit. */
function judgePublish(oracle: Oracle, view: View, packet: PublishPacket): void {
  const { session } = view;
  if (session === null) return oracle.fail('a PUBLISH to nobody');
  if (packet.qos === 0) view.zeros.shift();
  const { disk } = oracle.world;
  if (isOver(view) || disk === null || packet.qos !== 2 || !session.lasts) return;
  const queue = disk.sessions.get(session.clientId)?.queue.values() ?? [];
  const kept = [...queue].find((each) => each.packetId === packet.packetId);
  const isKept = kept !== undefined && numberOf(kept.message) === numberOf(packet);
  oracle.expect(isKept, 'a QoS 2 PUBLISH left before its commit');
}
