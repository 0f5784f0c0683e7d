/**
 * Wills: taken at CONNECT, published when the connection ends without a normal DISCONNECT, after their delay or with the session.
 *
 * A will is due at min(connection closed + Will Delay Interval, session end) [MQTT-3.1.3-9]. A new connection that resumes the
 * session before that cancels it; one that does not (Clean Start) ends the session, which publishes it.
 */

import type { ConnectPacket } from '@pipit/protocol';
import { Deadline } from './deadlines.ts';
import { toMessage } from './local-message.ts';
import { Counter } from './metrics.ts';
import { publishMessage } from './publish.ts';
import type { Session, Will } from './session.ts';
import type { State } from './state.ts';

/** The will of a CONNECT; its topic must have been checked. */
export function takeWill(
  state: State,
  will: NonNullable<ConnectPacket['will']>,
  topic: string,
  clientId: string,
): Will {
  const { willDelayInterval = 0, ...properties } = will.properties ?? {};
  const { payload, qos, retain } = will;
  const message = toMessage(state, { topic, payload, qos, retain, properties, clientId });
  return { message, delaySeconds: willDelayInterval };
}

/** The connection is gone and the session goes on: the will waits for its delay, or is published now. */
export function scheduleWill(state: State, session: Session): void {
  if (session.will === null) return;
  const delaySeconds = Math.min(session.will.delaySeconds, session.expirySeconds);
  const dueAt = session.closedAt + delaySeconds * 1000;
  if (dueAt <= state.now) {
    publishWill(state, session);
    return;
  }
  session.willDeadline ??= Deadline.of(session, publishWill);
  state.deadlines.arm(session.willDeadline, dueAt);
}

/** The session is resumed, or was left by DISCONNECT 0x00: the will is deleted [MQTT-3.1.2-10]. */
export function cancelWill(state: State, session: Session): void {
  if (session.will === null) return;
  if (session.willDeadline?.isArmed === true) {
    state.deadlines.disarm(session.willDeadline);
    state.tell({ type: 'will-cancelled', clientId: session.clientId, topic: session.will.message.topic.name });
  }
  session.will = null;
  if (session.lasts) state.journal?.touch(session);
}

/** Publishes the will if there is one, once [MQTT-3.1.2-8]. */
export function publishWill(state: State, session: Session): void {
  const { will, clientId } = session;
  if (will === null) return;
  session.will = null;
  if (session.willDeadline !== null) state.deadlines.disarm(session.willDeadline);
  if (session.lasts && !session.isEnded) state.journal?.touch(session);
  const { message } = will;
  const topic = message.topic.name;
  if (session.permissions !== null && session.permissions.publish(topic, message.qos, message.retain) !== 0) {
    state.tell({ type: 'will-refused', clientId, topic });
    return;
  }
  // Its lifetime counts from now on.
  if (message.expiryAt >= 0) message.expiresAt = state.now + message.view.getUint32(message.expiryAt) * 1000;
  publishMessage(state, message, null, session.principal);
  state.metrics.count(Counter.WillsPublished);
  state.tell({ type: 'will-published', clientId, topic });
}
