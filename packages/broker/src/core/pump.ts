/**
 * A session's line moves on, in steps under the turn's budget: sent again after a resume, then what waits, then retained replays;
 * never more in flight than the peer's Receive Maximum allows.
 */

import { FlightState, PacketType, ReasonCode, type SendWindow } from '@pipit/protocol';
import type { Connection } from './connection.ts';
import type { DropReason } from './events.ts';
import { dropDelivery, releaseQueue } from './line.ts';
import { Delivery } from './message.ts';
import { requestPage, tend } from './paging.ts';
import { unsendable } from './publication.ts';
import type { Queue } from './queue.ts';
import { endReplay, firstReplay, type Replay } from './replay.ts';
import { isClogged, send, writeAck, writePublish } from './sending.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';

/** Sends what the session may be sent, within the budget. True when more could go at once. */
export function pump(state: State, session: Session): boolean {
  const { connection } = session;
  if (connection === null || !connection.isOpen) {
    tend(state, session);
    return false;
  }
  while (!state.isSpent) {
    // Nobody wakes it when the socket takes all of this turn's output at once: it looks again itself.
    if (isClogged(state, connection)) return connection.out.bytes > 0;
    if (session.isResending) {
      if (!resendNext(state, session, connection)) return false;
    } else if (session.queue !== null) {
      if (!sendNext(state, session, connection)) return false;
    } else if (session.replays !== null) {
      if (!replayNext(state, session, connection)) return false;
    } else return false;
  }
  return true;
}

/** After a resume: what was in flight goes again, in its order and under its ids [MQTT-4.4.0-1]. False: it must wait. */
function resendNext(state: State, session: Session, connection: Connection): boolean {
  const window = session.window as SendWindow<Delivery>;
  const packetId = window.nextAfter(session.resentId);
  if (packetId === 0) {
    session.isResending = false;
    return true;
  }
  const delivery = window.itemOf(packetId) as Delivery;
  const isReleased = window.stateOf(packetId) === FlightState.AwaitPubcomp;
  if (!isReleased && session.quota <= 0) return false;
  session.resentId = packetId;
  state.deliveriesLeft--;
  if (isReleased) {
    delivery.isUncounted = true;
    writeAck(state, connection, PacketType.Pubrel, packetId, ReasonCode.Success, connection.isHolding);
  } else if (!session.mayTake(delivery)) dropFlight(state, session, delivery, 'not-authorized');
  else if (writePublish(state, connection, delivery, true, false))
    session.quota--; // [MQTT-3.3.1-1]
  else dropFlight(state, session, delivery, unsendable(connection, delivery.message));
  return true;
}

function dropFlight(state: State, session: Session, delivery: Delivery, reason: DropReason): void {
  session.closeFlight(delivery.packetId);
  dropDelivery(state, session, delivery, reason);
}

function sendNext(state: State, session: Session, connection: Connection): boolean {
  const queue = session.queue as Queue;
  const delivery = queue.peek();
  if (delivery === undefined) {
    if (queue.tailCount === 0) session.queue = null;
    else requestPage(state, session, queue);
    return queue.tailCount === 0;
  }
  const reason = unwanted(state, session, delivery);
  if (reason === null && delivery.qos > 0 && !session.hasSlot) return false;
  queue.shift();
  state.deliveriesLeft--;
  if (reason === null) send(state, session, connection, delivery);
  else dropDelivery(state, session, delivery, reason);
  if (queue.isShort(state.limits.queuePrefixMessages, state.limits.queuePrefixBytes))
    requestPage(state, session, queue);
  releaseQueue(session);
  return true;
}

/** Why something that waited must not be sent any more; null: it may be. */
function unwanted(state: State, session: Session, delivery: Delivery): DropReason | null {
  if (delivery.message.expiresAt <= state.now) return 'expired'; // [MQTT-3.3.2-5]
  if (!session.mayTake(delivery)) return 'not-authorized';
  return null;
}

function replayNext(state: State, session: Session, connection: Connection): boolean {
  const replay = firstReplay(session) as Replay;
  // Every message needs a free slot before it is looked for: a step cannot be taken back.
  if (replay.options.qos > 0 && !session.hasSlot) return false;
  const step = replay.next(state);
  state.deliveriesLeft--;
  if (step === 'wait') return false;
  if (step === 'end') endReplay(state, session, replay.filter);
  else if (step !== null && step.expiresAt > state.now && session.mayReceive(step.topic.name)) {
    const { qos, identifiers } = replay.options;
    const delivered = step.qos < qos ? step.qos : qos;
    send(state, session, connection, new Delivery(step, delivered, true, identifiers, null)); // [MQTT-3.3.1-8]
  }
  return true;
}
