/**
 * A message is due to a session: at which QoS, now or later, or not at all.
 *
 * Live QoS 1 and 2 messages join the end of the session's line (line.ts) unless it is empty and the window has room.
 */

import type { QoS } from '@pipit/protocol';
import { drop, enqueue } from './line.ts';
import { deliverLocal } from './local.ts';
import { Delivery } from './message.ts';
import type { Publication } from './publication.ts';
import { depart, isClogged, openPacketId, send, writeAlone } from './sending.ts';
import type { Session } from './session.ts';
import type { SharedGroup } from './shared-group.ts';
import type { State } from './state.ts';
import { tracedMessage } from './trace.ts';

/** Hands the publication being routed to one session, by one (merged) subscription. */
export function deliver(
  state: State,
  session: Session,
  publication: Publication,
  grantedQos: QoS,
  retainAsPublished: boolean,
  identifiers: readonly number[] | null,
  group: SharedGroup | null,
): void {
  state.deliveriesLeft--;
  const { message } = publication;
  const { connection } = session;
  const asPublished = connection?.deliversAsPublished === true;
  const qos = asPublished || message.qos < grantedQos ? message.qos : grantedQos; // [MQTT-3.8.4-8]
  const retain = retainAsPublished && message.retain; // [MQTT-3.3.1-12] [MQTT-3.3.1-13]
  if (connection === null) {
    if (session.local !== null) deliverLocal(state, session.local, publication.keep(), qos, retain, identifiers);
    else deliverAway(state, session, publication, qos, retain, identifiers, group);
    return;
  }
  const isClog = qos > 0 && isClogged(state, connection);
  // QoS 0 passes by the line, unless such messages may stand in it: they are not overtaken [MQTT-4.6.0-5].
  const isBehindLine = qos === 0 && state.options.queueQos0 === true && session.lasts && session.queue !== null;
  if (isBehindLine || (qos > 0 && (isClog || !session.hasRoom))) {
    enqueue(state, session, new Delivery(publication.keep(), qos, retain, identifiers, group));
    if (isClog) state.wake(session);
    return;
  }
  const isPlain = connection.sentAliases === null && connection.mapping === null && identifiers === null;
  if (qos === 0) {
    if (isClogged(state, connection)) drop(state, session, message, 'unsent-full');
    else if (!isPlain)
      writeAlone(state, session, connection, new Delivery(publication.forOne(), 0, retain, identifiers, null));
    else if (publication.size(connection.version === 5, 0) > connection.packetBytesMax)
      drop(state, session, message, 'packet-too-large');
    else {
      publication.write(state, connection, 0, retain, 0, false);
      if (state.traces !== null) tracedMessage(state, 'sent', session, message, 0, 0, '');
    }
    return;
  }
  if (!isPlain) {
    send(state, session, connection, new Delivery(publication.keepInFlight(), qos, retain, identifiers, group));
    return;
  }
  if (publication.size(connection.version === 5, qos) > connection.packetBytesMax) {
    drop(state, session, message, 'packet-too-large');
    return;
  }
  let packetId: number;
  let waits = false;
  if (session.lasts || group !== null) {
    const delivery = new Delivery(publication.keepInFlight(), qos, retain, null, group);
    waits = depart(state, session, delivery);
    packetId = delivery.packetId;
  } else packetId = openPacketId(session, qos, null); // It never sends again: it holds the state of the packet id, not the message.
  publication.write(state, connection, qos, retain, packetId, waits);
  if (state.traces !== null) tracedMessage(state, 'sent', session, message, qos, packetId, '');
}

function deliverAway(
  state: State,
  session: Session,
  publication: Publication,
  qos: QoS,
  retain: boolean,
  identifiers: readonly number[] | null,
  group: SharedGroup | null,
): void {
  if (qos === 0 && state.options.queueQos0 !== true) {
    drop(state, session, publication.message, 'offline-qos0');
    return;
  }
  enqueue(state, session, new Delivery(publication.keep(), qos, retain, identifiers, group));
}
