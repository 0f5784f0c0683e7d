/**
 * Bytes of a connection become packets, and packets go to the roles: the dispatch of the broker.
 *
 * Reading stops when the turn's budget is spent, or when the connection must wait (for a verdict, a commit, a claim): the rest
 * stays unparsed, the driver is told to pause, and the connection goes on in the ring of waiting work. One packet is the atom.
 */

import {
  DecodeError,
  type DisconnectPacket,
  decodePacket,
  encodePacket,
  FlightState,
  type Packet,
  PacketType,
  ReasonCode,
} from '@pipit/protocol';
import { authReceived } from './authentication.ts';
import { disconnect, failed, left, refused, shut } from './closing.ts';
import { reject } from './connack.ts';
import { connectReceived } from './connect.ts';
import { type Connection, Phase } from './connection.ts';
import { readingCost } from './costs.ts';
import type { Journal } from './journal.ts';
import type { LimitName } from './limits.ts';
import { publishReceived, pubrelReceived } from './publish.ts';
import { acknowledged, isClogged, released, writeAck } from './sending.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';
import { subscribeReceived, unsubscribeReceived } from './subscribe.ts';
import { slowDown } from './throttle.ts';
import { limitDecodedProperties, Violation } from './violation.ts';

/** Parses and handles what the connection's framer has, as far as this turn goes. True when it needs more input to go on. */
export function read(state: State, connection: Connection): boolean {
  const { throttle } = connection;
  if (throttle === null) return readPackets(state, connection);
  const before = state.metrics.publishesReceived.total;
  const wantsMore = readPackets(state, connection);
  if (!slowDown(state, connection, throttle, state.metrics.publishesReceived.total - before)) return wantsMore;
  if (connection.phase !== Phase.Closed) pause(state, connection);
  return false;
}

function readPackets(state: State, connection: Connection): boolean {
  const { framer } = connection;
  try {
    while (!connection.isStalled && !state.isSpent) {
      const { unfinished } = connection;
      if (unfinished === null && !framer.next()) return true;
      connection.lastReceivedAt = state.now;
      const before = state.journal?.mark;
      if (unfinished === null) handle(state, connection);
      else if (unfinished()) connection.unfinished = null;
      if (connection.phase === Phase.Closed) return false;
      if (state.journal !== null && state.journal.mark !== before) pauseWhenBehind(state, state.journal, connection);
      // Whatever it asks, its answers wait for the disk: it is not asked anything more until they have left.
      if (connection.isHolding && connection.heldBytes > state.limits.heldBytesMax) connection.isStalled = true;
    }
    framer.keepRest();
  } catch (error) {
    fail(state, connection, error);
    return false;
  }
  if (framer.bufferedBytes === 0 && connection.unfinished === null) return !connection.isStalled;
  pause(state, connection);
  if (!connection.isStalled) state.wake(connection);
  return false;
}

/** QoS 0 has no acknowledgement that would wait for the disk, and may be retained all the same. */
function pauseWhenBehind({ limits }: State, journal: Journal, connection: Connection): void {
  if (!journal.isBehind(limits.uncommittedBytesMax)) return;
  journal.pause(connection);
  connection.isStalled = true;
}

/** The connection's turn in the ring. */
export function readOn(state: State, connection: Connection): void {
  if (connection.phase === Phase.Closed) return;
  connection.isStalled = mustWait(state, connection);
  // What is to be written this turn may be taken at once, and nobody would tell: it looks again itself.
  if (connection.isStalled && connection.out.bytes > 0 && isClogged(state, connection)) state.wake(connection);
  if (connection.isStalled || !read(state, connection) || !connection.isPaused) return;
  connection.isPaused = false;
  // Its silence so far was ours.
  connection.lastReceivedAt = state.now;
  state.effects.push({ kind: 'resume', connection });
}

function mustWait(state: State, connection: Connection): boolean {
  const { limits } = state;
  return (
    connection.farewell !== null ||
    (connection.awaitsVerdict && !connection.isOpen) ||
    (state.isStopping && connection.isHolding) ||
    isClogged(state, connection) ||
    (connection.throttle !== null && state.now < connection.throttle.waitsUntil) ||
    state.journal?.isPausing(connection) === true ||
    (connection.line !== null && connection.line.entries.length >= limits.claimedPublishesMax) ||
    connection.heldBytes > limits.heldBytesMax ||
    (connection.version !== 5 && connection.inbound >= connection.inboundMax)
  );
}

function pause(state: State, connection: Connection): void {
  if (connection.isPaused) return;
  connection.isPaused = true;
  state.effects.push({ kind: 'pause', connection });
}

function handle(state: State, connection: Connection): void {
  const { framer } = connection;
  const first = framer.bytes[framer.start] as number;
  const type = first >> 4;
  const { session } = connection;
  if (type === PacketType.Publish && session !== null) {
    publishReceived(state, connection, session);
    return;
  }
  state.metrics.received(type);
  if (session === null) {
    handleFirst(state, connection);
    return;
  }
  if (type === PacketType.Connect) throw new Violation(ReasonCode.ProtocolError, 'a second CONNECT'); // [MQTT-3.1.0-2]
  const isAck = type >= PacketType.Puback && type <= PacketType.Pubcomp;
  // An acknowledgement of four bytes: the packet id is all there is to it.
  if (isAck && framer.end - framer.body === 2 && (first & 15) === (type === PacketType.Pubrel ? 2 : 0)) {
    const packetId = framer.view.getUint16(framer.body);
    if (packetId !== 0) {
      ackReceived(state, connection, session, type as AckType, packetId, ReasonCode.Success);
      return;
    }
  }
  const packet = decodePacket(framer.bytes, framer.start, framer.end, connection.version, 'client');
  handlePacket(state, connection, session, packet);
}

/** A packet before CONNACK: CONNECT, or the steps of enhanced authentication [MQTT-3.1.0-1]. */
function handleFirst(state: State, connection: Connection): void {
  if (connection.phase === Phase.Connecting) {
    connectReceived(state, connection);
    return;
  }
  const { framer } = connection;
  const type = (framer.bytes[framer.start] as number) >> 4;
  if (type !== PacketType.Auth && type !== PacketType.Disconnect)
    throw new Violation(ReasonCode.ProtocolError, 'only AUTH or DISCONNECT may come before CONNACK'); // [MQTT-3.1.2-30]
  const packet = decodePacket(framer.bytes, framer.start, framer.end, connection.version, 'client');
  if (packet.type === PacketType.Auth) authReceived(state, connection, packet);
  else {
    refused(state, connection, (packet as DisconnectPacket).reasonCode, 'the client gave up authenticating');
    shut(state, connection, true);
  }
}

function handlePacket(state: State, connection: Connection, session: Session, packet: Packet): void {
  state.deliveriesLeft -= 1 + readingCost(connection.framer.end - connection.framer.start);
  if ('properties' in packet) limitDecodedProperties(state.limits, packet.properties?.userProperties);
  switch (packet.type) {
    case PacketType.Puback:
    case PacketType.Pubrec:
    case PacketType.Pubrel:
    case PacketType.Pubcomp:
      ackReceived(state, connection, session, packet.type, packet.packetId, packet.reasonCode);
      return;
    case PacketType.Subscribe:
      subscribeReceived(state, connection, session, packet);
      return;
    case PacketType.Unsubscribe:
      unsubscribeReceived(state, connection, session, packet);
      return;
    case PacketType.Pingreq:
      connection.send(state, pingresp, false); // [MQTT-3.12.4-1]
      return;
    case PacketType.Disconnect:
      disconnectReceived(state, connection, session, packet);
      return;
    case PacketType.Auth:
      authReceived(state, connection, packet);
      return;
    default:
      throw new Violation(ReasonCode.ProtocolError, 'a packet that only servers send');
  }
}

const pingresp = encodePacket({ type: PacketType.Pingresp }, 4, 'server');

type AckType =
  | typeof PacketType.Puback
  | typeof PacketType.Pubrec
  | typeof PacketType.Pubrel
  | typeof PacketType.Pubcomp;

function ackReceived(
  state: State,
  connection: Connection,
  session: Session,
  type: AckType,
  packetId: number,
  reasonCode: number,
): void {
  if (type === PacketType.Pubrel) {
    pubrelReceived(state, connection, session, packetId);
    return;
  }
  const flight = session.window?.stateOf(packetId) ?? FlightState.Free;
  if (flight === FlightState.Free) {
    // Nothing to be done about it: a message dropped meanwhile, or one of a session that ended.
    if (type === PacketType.Pubrec) {
      writeAck(
        state,
        connection,
        PacketType.Pubrel,
        packetId,
        ReasonCode.PacketIdentifierNotFound,
        connection.isHolding,
      );
    }
    return;
  }
  if (type === PacketType.Pubrec && flight !== FlightState.AwaitPuback) {
    if (reasonCode >= 0x80)
      acknowledged(state, session, packetId); // [MQTT-4.3.3-4]
    else released(state, session, connection, packetId);
    return;
  }
  const awaited = type === PacketType.Puback ? FlightState.AwaitPuback : FlightState.AwaitPubcomp;
  if (flight !== awaited)
    throw new Violation(ReasonCode.ProtocolError, `an acknowledgement of the wrong kind for packet id ${packetId}`);
  acknowledged(state, session, packetId);
}

function disconnectReceived(state: State, connection: Connection, session: Session, packet: DisconnectPacket): void {
  const expiry = packet.properties?.sessionExpiryInterval;
  if (expiry !== undefined) {
    if (connection.expiryAsked === 0 && expiry > 0) {
      throw new Violation(ReasonCode.ProtocolError, 'a session expiry in DISCONNECT after none in CONNECT');
    }
    session.expirySeconds = Math.min(expiry, connection.expiryMax);
  }
  left(state, connection, packet.reasonCode, packet.reasonCode !== ReasonCode.NormalDisconnection);
}

/** An error while handling a packet: the peer's doing, or ours. Either ends this connection and no other. */
function fail(state: State, connection: Connection, error: unknown): void {
  if (error instanceof DecodeError || error instanceof Violation) {
    const limit = limitOf(connection, error);
    if (limit !== null) state.metrics.reached(limit);
    if (connection.phase === Phase.Connecting) reject(state, connection, null, error.reasonCode, error.message);
    else if (connection.phase === Phase.Authenticating)
      reject(state, connection, connection.version, error.reasonCode, error.message);
    else disconnect(state, connection, error.reasonCode, error.message); // [MQTT-4.13.1-1]
    return;
  }
  failed(state, connection, error);
}

function limitOf(connection: Connection, error: DecodeError | Violation): LimitName | null {
  if (error instanceof Violation) return error.limit;
  if (error.reasonCode !== ReasonCode.PacketTooLarge) return null;
  return connection.isOpen ? 'packetBytesMax' : 'connectPacketBytesMax';
}
