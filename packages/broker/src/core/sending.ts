/**
 * One message to one connection: under a packet id of its own, in the form of its version, and what the peer's answer does.
 */

import { FlightState, PacketType, type QoS, ReasonCode, SendWindow } from '@pipit/protocol';
import type { Connection } from './connection.ts';
import { drop, dropDelivery, enqueue, settle } from './line.ts';
import type { Delivery } from './message.ts';
import { unsendable, writeMessage } from './publication.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';
import { traced, tracedMessage } from './trace.ts';

/** Backlog below which nobody asks whether the peer drains. */
const backlogIgnoredBytes = 1024 * 1024;

/** Whether a peer takes too little: nothing but acknowledgements is added to what waits for its socket. */
export function isClogged(state: State, connection: Connection): boolean {
  const { backlog } = connection;
  if (backlog <= backlogIgnoredBytes && backlog <= state.limits.unsentBytesStalledMax) return false;
  if (backlog > state.limits.unsentBytesMax) return true;
  const isStalled = connection.unsent > 0 && state.now - connection.drainedAt > state.limits.stalledAfterMs;
  return isStalled && backlog > state.limits.unsentBytesStalledMax;
}

/** Sends a delivery that is next in line, under a packet id of its own when its QoS asks for one. */
export function send(state: State, session: Session, connection: Connection, delivery: Delivery): void {
  if (delivery.qos === 0) {
    writeAlone(state, session, connection, delivery);
    settle(state, session, delivery);
    return;
  }
  const waits = depart(state, session, delivery);
  if (writePublish(state, connection, delivery, false, waits)) return;
  closePacketId(session, delivery.packetId);
  // To the peer it is as if it had been delivered [MQTT-3.1.2-25].
  dropDelivery(state, session, delivery, unsendable(connection, delivery.message));
}

/** Gives a delivery of QoS 1 or 2 a packet id, beside which it stays if it may have to go again. True: its PUBLISH waits for the open batch. */
export function depart(state: State, session: Session, delivery: Delivery): boolean {
  const { journal } = state;
  // What is to be sent again, to move on, or to be told to the store when it is done with.
  const isKept = session.lasts || delivery.group !== null || (session.isRecorded && delivery.sequence !== 0);
  delivery.packetId = openPacketId(session, delivery.qos, isKept ? delivery : null);
  if (journal === null || !session.lasts) return false;
  if (delivery.sequence === 0) {
    delivery.sequence = ++session.sequence;
    journal.queued(session, delivery);
  } else journal.sent(session, delivery, false);
  return delivery.qos === 2;
}

/** Sends outside any subscription, in the session's line. */
export function deliverDirect(state: State, session: Session, connection: Connection, delivery: Delivery): void {
  state.deliveriesLeft--;
  const { qos, message } = delivery;
  const isClog = isClogged(state, connection);
  if (qos > 0 && (isClog || !session.hasRoom)) {
    enqueue(state, session, delivery);
    if (isClog) state.wake(session);
  } else if (isClog) drop(state, session, message, 'unsent-full');
  else send(state, session, connection, delivery);
}

export function writeAlone(state: State, session: Session, connection: Connection, delivery: Delivery): void {
  if (!writePublish(state, connection, delivery, false, false))
    drop(state, session, delivery.message, unsendable(connection, delivery.message));
}

export function writePublish(
  state: State,
  connection: Connection,
  delivery: Delivery,
  dup: boolean,
  waits: boolean,
): boolean {
  const { qos, retain, packetId, identifiers, message } = delivery;
  const isSent = writeMessage(state, connection, message, { qos, retain, dup, packetId, identifiers, waits });
  if (state.traces !== null && isSent) {
    tracedMessage(state, 'sent', connection.session, message, qos, packetId, dup ? 'once more' : '');
  }
  return isSent;
}

/** The session must have a slot (`hasSlot`). */
export function openPacketId(session: Session, qos: QoS, delivery: Delivery | null): number {
  session.window ??= new SendWindow<Delivery>();
  const packetId = session.window.open(qos === 1 ? FlightState.AwaitPuback : FlightState.AwaitPubrec, delivery);
  if (delivery !== null) session.keepFlight(delivery);
  session.quota--;
  return packetId;
}

function closePacketId(session: Session, packetId: number): void {
  session.closeFlight(packetId);
  session.quota++;
}

// ── Acknowledgements

/** PUBACK, or PUBREC with a failure: the message is done. The hot path of QoS 1. */
export function acknowledged(state: State, session: Session, packetId: number): void {
  const delivery = session.closeFlight(packetId);
  if (state.traces !== null) traceAcknowledged(state, session, delivery, packetId);
  if (delivery?.isUncounted !== true) returnQuota(session); // [MQTT-3.3.4-9]
  if (delivery !== null) settle(state, session, delivery);
  if (session.hasLine) state.wake(session);
}

/** What a session that does not last has in flight is only a packet id. */
function traceAcknowledged(state: State, session: Session, delivery: Delivery | null, packetId: number): void {
  if (delivery !== null) tracedMessage(state, 'acknowledged', session, delivery.message, delivery.qos, packetId, '');
  else traced(state, 'acknowledged', session, '', { qos: 1, payloadBytes: 0, packetId, detail: '' });
}

/** A slot of Receive Maximum is free again. */
function returnQuota(session: Session): void {
  const maximum = session.connection?.receiveMaximum ?? 0;
  if (session.quota < maximum) session.quota++;
}

/** PUBREC: from here on only PUBREL is sent for this id. What is beside it stays, and counts, until PUBCOMP. */
export function released(state: State, session: Session, connection: Connection, packetId: number): void {
  const window = session.window as SendWindow<Delivery>;
  const delivery = window.itemOf(packetId);
  window.advance(packetId, FlightState.AwaitPubcomp, delivery);
  let waits = connection.isHolding;
  if (delivery !== null && session.lasts && state.journal !== null) {
    state.journal.sent(session, delivery, true);
    waits = true;
  }
  writeAck(state, connection, PacketType.Pubrel, packetId, ReasonCode.Success, waits);
}

/** Four bytes, or five with a reason code that is not 0 (5.0 only). */
export function writeAck(
  state: State,
  connection: Connection,
  type: PacketType,
  packetId: number,
  reasonCode: number,
  waits: boolean,
): void {
  const length = reasonCode === 0 || connection.version !== 5 ? 4 : 5;
  state.metrics.sent(type);
  connection.isUrgent = true;
  const slab = connection.reserve(state, length, waits);
  const at = slab.length - length;
  slab.view.setUint8(at, (type << 4) | (type === PacketType.Pubrel ? 2 : 0));
  slab.view.setUint8(at + 1, length - 2);
  slab.view.setUint16(at + 2, packetId);
  if (length === 5) slab.view.setUint8(at + 4, reasonCode);
}
