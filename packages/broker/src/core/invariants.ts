/**
 * What must be true of the whole state after every step, whatever happened: for scenarios and the simulator, never in production.
 *
 * Throws an Error that names the rule and the place.
 */

import { Phase } from './connection.ts';
import type { Core } from './core.ts';
import type { Session } from './session.ts';
import type { State } from './state.ts';

export function checkInvariants(core: Core): void {
  const { state } = core;
  let unsent = 0;
  const dirty = new Set(state.dirty);
  for (const { isDirty, clientId } of dirty) expect(isDirty, 'who is to be written is marked so', clientId);
  for (const connection of state.connections) {
    unsent += connection.unsent;
    expect(connection.isDirty === dirty.has(connection), 'and only they are', connection.clientId);
    expect(connection.phase !== Phase.Closed, 'a closed connection is in no table', connection.clientId);
    const { session } = connection;
    expect(
      (session !== null) === connection.isOpen,
      'an open connection has a session, another has none',
      connection.clientId,
    );
    expect(session === null || session.connection === connection, 'one owner per session', connection.clientId);
    expect(state.journal !== null || !connection.isHolding, 'nothing is held without a store', connection.clientId);
  }
  expect(unsent === state.unsentTotal, 'the unsent bytes of all are the sum of each', '');
  let subscriptions = 0;
  let messages = 0;
  let bytes = 0;
  let prefixBytes = 0;
  for (const [key, session] of state.sessions) {
    expect(session.key === key && !session.isEnded, 'the session table holds living sessions under their keys', key);
    subscriptions += session.subscriptionCount;
    checkSession(state, session);
    messages += (session.queue?.count ?? 0) + session.flightMessages;
    bytes += (session.queue?.bytes ?? 0) + session.flightBytes;
    prefixBytes += session.queue === null ? 0 : session.queue.bytes - session.queue.tailBytes;
  }
  checkPrincipals(state);
  const { queueTotal } = state;
  expect(
    messages === queueTotal.messages && bytes === queueTotal.bytes,
    `what waits for all is the sum of each: ${messages} and ${bytes}, not ${queueTotal.messages} and ${queueTotal.bytes}`,
    '',
  );
  expect(prefixBytes === queueTotal.prefixBytes, 'what of it waits in memory is, too', '');
  checkReplays(state);
  expect(subscriptions === state.router.count, 'subscriptions are those of the sessions', '');
}

/** What is counted for a principal, and for wills, is the sum of what there is. */
function checkPrincipals(state: State): void {
  const { principals, queueTotal, retained } = state;
  let willBytes = 0;
  const connections = new Map<string, number>();
  for (const { will, connection, principal } of state.sessions.values()) {
    willBytes += will?.message.cost ?? 0;
    if (connection !== null && principal !== null) connections.set(principal, (connections.get(principal) ?? 0) + 1);
  }
  expect(willBytes === queueTotal.willBytes, 'the bytes of all wills are the sum of each', '');
  let owned = 0;
  for (const { name, connections: counted, retainedMessages, retainedBytes } of principals) {
    expect(counted === (connections.get(name) ?? 0), 'connections of a principal are counted', name);
    expect(counted > 0 || retainedMessages > 0, 'a principal that has nothing is forgotten', name);
    expect(retainedMessages > 0 || retainedBytes === 0, 'no retained messages have no bytes', name);
    owned += retainedMessages;
    connections.delete(name);
  }
  expect(connections.size === 0, 'every principal with a connection is known', '');
  expect(owned <= retained.count, 'no retained message has two owners', '');
}

/** Nothing holds a place among retained messages, or room for reading them, that no replay of a session accounts for. */
function checkReplays(state: State): void {
  let replays = 0;
  let stalledBytes = 0;
  for (const session of state.sessions.values()) {
    for (const replay of session.replays?.values() ?? []) {
      replays++;
      stalledBytes += replay.stalledBytes;
    }
  }
  const { retained, fetches } = state;
  expect(retained.cursors === replays, 'every cursor is that of a replay', '');
  expect(replays > 0 || retained.tree.pinCount === 0, 'only cursors pin topics', '');
  expect(fetches.stalledBytes === stalledBytes, 'what was read and is not taken is what stalled replays have', '');
  expect(fetches.activeBytes >= 0, 'bytes being read are counted down once', '');
  expect(replays > 0 || fetches.open.size > 0 || fetches.activeBytes === 0, 'nothing is read for nobody', '');
}

function checkSession(state: State, session: Session): void {
  const { connection, queue, window, key, local } = session;
  const { limits } = state;
  // After a restart one that does not last may be there, for its will, until its deadline in the same turn.
  const goes = session.deadline?.isArmed === true && session.deadline.at <= state.now;
  expect(connection !== null || local !== null || session.lasts || goes, 'a session without a connection lasts', key);
  expect(connection === null || connection.session === session, 'a connection knows its session', key);
  expect(session.deadline?.isArmed !== true || connection === null, 'only a session without a connection expires', key);
  expect(
    session.willDeadline?.isArmed !== true || (connection === null && session.will !== null),
    'only a closed session has a will due',
    key,
  );
  // The oldest are being read back to be dropped.
  const times = queue?.isOver === true ? 2 : 1;
  const isAway = connection === null && local === null;
  expect(!isAway || queue?.count !== 0 || session.isWaiting, 'an empty queue of a sleeper is no queue', key);
  expect(queue === null || queue.count <= times * limits.queueMessagesMax, 'a queue is within its count', key);
  expect(queue === null || queue.bytes <= times * limits.queueBytesMax, 'a queue is within its bytes', key);
  expect(session.subscriptionCount <= limits.subscriptionsPerSessionMax, 'subscriptions are within their limit', key);
  expect(session.subscriptionBytes <= limits.subscriptionBytesPerSessionMax, 'so are their bytes', key);
  expect(session.subscriptionBytes > 0 === session.subscriptionCount > 0, 'none has no bytes, each has some', key);
  if (connection !== null && !session.isResending) {
    expect(
      session.quota >= 0 && session.quota <= connection.receiveMaximum,
      'the quota is within Receive Maximum',
      key,
    );
    expect(
      window === null || local !== null || session.quota + window.inUse >= connection.receiveMaximum,
      'what is not in the quota is in flight',
      key,
    );
  }
  let last = 0;
  for (const delivery of queue ?? []) {
    expect(!delivery.isSettled, 'nothing settled waits', key);
    expect(!session.lasts || delivery.sequence > last, 'a line is in order', key);
    last = delivery.sequence;
  }
}

function expect(truth: boolean, rule: string, where: string): void {
  if (!truth) throw new Error(`Invariant broken: ${rule}${where === '' ? '' : ` (${where})`}`);
}
