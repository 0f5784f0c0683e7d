/**
 * From CONNECT to CONNACK: the packet's own rules, the verdict of the authority, the session, the answer.
 *
 * Until the verdict nothing changes: the session table is untouched and what the peer sent behind CONNECT stays unparsed. The
 * last verdict, not the last CONNECT, owns the session. A takeover is: accept the new one, fence the old one (0x8E), settle its
 * will, resume.
 */

import {
  type ConnectPacket,
  DecodeError,
  decodePacket,
  EncodeError,
  hasUnwantedCharacters,
  noBytes,
  PacketType,
  peekConnect,
  type QoS,
  ReasonCode,
  reasonCodeAllowed,
  SentAliases,
  utf8Length,
} from '@pipit/protocol';
import { ask, end, reauthenticated, sendAuth } from './authentication.ts';
import { disconnect } from './closing.ts';
import {
  connackProperties,
  keepAliveSeconds,
  packetBytesMax,
  refuse,
  reject,
  rejectVersion,
  welcome,
} from './connack.ts';
import { type Connection, Phase, packetBytesMaxOfAll } from './connection.ts';
import { connectCost, readingCost } from './costs.ts';
import { limitLife, watchKeepAlive } from './keep-alive.ts';
import type { LimitName } from './limits.ts';
import { Counter } from './metrics.ts';
import { mounted } from './mount-point.ts';
import type { Acceptance, Refusal, Verdict } from './ports.ts';
import type { Session, Will } from './session.ts';
import { attach, createSession, endSession } from './sessions.ts';
import type { State } from './state.ts';
import { throttleOf } from './throttle.ts';
import { limitDecodedProperties, Violation } from './violation.ts';
import { takeWill } from './will.ts';

const forever = 0xffff_ffff;

/** Handles the first packet of a connection. */
export function connectReceived(state: State, connection: Connection): void {
  const { framer } = connection;
  const { bytes, start, end } = framer;
  if ((bytes[start] as number) >> 4 !== PacketType.Connect) {
    reject(state, connection, null, ReasonCode.ProtocolError, 'the first packet is not CONNECT'); // [MQTT-3.1.0-1]
    return;
  }
  const { version, level, name } = peekConnect(bytes, start, end);
  if (version === undefined) {
    rejectVersion(state, connection, name, level);
    return;
  }
  connection.version = version;
  try {
    const connect = decodePacket(bytes, start, end, version, 'client') as ConnectPacket;
    admit(state, connection, connect);
  } catch (error) {
    if (!(error instanceof DecodeError || error instanceof Violation)) throw error;
    if (error instanceof Violation && error.limit !== null) state.metrics.reached(error.limit);
    reject(state, connection, version, error.reasonCode, error.message);
  }
}

/** What CONNECT alone decides; then it goes to the authority. */
function admit(state: State, connection: Connection, connect: ConnectPacket): void {
  const { version, properties, will } = connect;
  let { clientId } = connect;
  limitDecodedProperties(state.limits, properties?.userProperties);
  limitDecodedProperties(state.limits, will?.properties?.userProperties);
  const { terms = {} } = connection.peer;
  if (terms.usernameAsClientId === true) {
    if (!connect.username)
      throw new Violation(ReasonCode.NotAuthorized, 'the user name is the client id, and there is none');
    clientId = connect.username;
  } else if (clientId === '') {
    const { allowEmptyClientId = true, assignedClientIdPrefix = 'auto-' } = terms;
    // 3.1 knows no empty id; 3.1.1 only with Clean Session [MQTT3-3.1.3-8].
    if (!allowEmptyClientId || version === 3 || (version === 4 && !connect.cleanStart)) {
      throw new Violation(ReasonCode.ClientIdentifierNotValid, 'the client id is empty');
    }
    clientId = `${assignedClientIdPrefix}${hex(connection.entropy)}`; // [MQTT-3.1.3-6]
  }
  connection.entropy = noBytes;
  if (utf8Length(clientId) > state.limits.clientIdBytesMax) {
    const reason = `the client id has more than ${state.limits.clientIdBytesMax} bytes`;
    throw new Violation(ReasonCode.ClientIdentifierNotValid, reason, 'clientIdBytesMax');
  }
  if (state.options.strictText === true && hasUnwantedCharacters(clientId)) {
    throw new Violation(
      ReasonCode.ClientIdentifierNotValid,
      'the client id contains control characters or non-characters',
    );
  }
  if (state.isStopping) throw new Violation(ReasonCode.ServerUnavailable, 'the server is shutting down');
  state.deliveriesLeft -= connectCost + readingCost(connection.framer.end - connection.framer.start);
  connection.phase = Phase.Authenticating;
  if (connection.deadline !== null) state.deadlines.arm(connection.deadline, state.now + state.limits.connectTimeoutMs);
  connection.packetBytesMax = Math.min(properties?.maximumPacketSize ?? packetBytesMaxOfAll, packetBytesMaxOfAll);
  connection.clientId = clientId;
  connection.username = connect.username ?? null;
  connection.isBridge = connect.bridge === true;
  connection.wantsProblems = properties?.requestProblemInformation !== false;
  connection.authenticationMethod = properties?.authenticationMethod ?? null;
  connection.connect = connect;
  ask(state, connection, {
    kind: 'connect',
    password: connect.password ?? null,
    data: properties?.authenticationData ?? null,
    userProperties: properties?.userProperties ?? [],
  });
}

/** The authority's answer. Stale ones, for an exchange or a connection that is over, are ignored. */
export function authenticated(state: State, connection: Connection, exchange: number, verdict: Verdict): void {
  if (!connection.awaitsVerdict || exchange !== connection.exchange || connection.phase === Phase.Closed) return;
  connection.awaitsVerdict = false;
  try {
    obey(state, connection, verdict);
  } catch (error) {
    // A reason or data that no packet can carry: nothing was changed yet, and the client must not wait for ever.
    if (!(error instanceof EncodeError)) throw error;
    end(state, connection, ReasonCode.ImplementationSpecificError, `the verdict cannot be sent: ${error.message}`);
  }
}

function obey(state: State, connection: Connection, verdict: Verdict): void {
  if (verdict.outcome === 'continue') {
    if (connection.authenticationMethod === null) {
      const reason = 'the client names no authentication method'; // [MQTT-4.12.0-6]
      refuse(state, connection, { outcome: 'refuse', reasonCode: ReasonCode.BadAuthenticationMethod, reason });
      return;
    }
    connection.exchangeMemory = verdict.memory ?? null;
    sendAuth(state, connection, ReasonCode.ContinueAuthentication, verdict.data, verdict.reason);
    state.wake(connection);
  } else if (connection.isOpen) reauthenticated(state, connection, verdict);
  else if (verdict.outcome === 'refuse') refuse(state, connection, verdict);
  else accept(state, connection, verdict);
}

// ── Accepted

function accept(state: State, connection: Connection, verdict: Acceptance): void {
  const connect = connection.connect as ConnectPacket;
  connection.connect = null;
  const isAssigned = connect.clientId === '' && connection.peer.terms?.usernameAsClientId !== true;
  if (isAssigned && verdict.assignedClientId !== undefined) connection.clientId = verdict.assignedClientId;
  const problem = prepare(state, connection, connect, verdict);
  if (problem !== null) {
    refuse(state, connection, problem);
    return;
  }
  const will = acceptWill(state, connection, connect, verdict);
  if (will !== null && 'outcome' in will) {
    refuse(state, connection, will);
    return;
  }
  const expirySeconds = Math.min(connection.expiryAsked, connection.expiryMax);
  // Before 5.0 a CONNACK says none of it, and four bytes fit everybody.
  const isV5 = connection.version === 5;
  const properties = isV5 ? connackProperties(state, connection, connect, verdict, expirySeconds) : {};
  if (isV5 && welcome(connection, properties, false) === null) {
    refuse(state, connection, { outcome: 'refuse', reasonCode: ReasonCode.PacketTooLarge });
    return;
  }
  const before = state.journal?.mark;
  const key = verdict.sessionKey ?? connection.clientId;
  const { session, isPresent } = claimSession(state, connection, connect, verdict, key);
  connection.phase = Phase.Open;
  attach(state, session, connection, { expirySeconds, will, permissions: verdict.permissions ?? null });
  if (!isPresent && session.lasts) state.tell({ type: 'session-created', clientId: connection.clientId });
  // That there is no session is a promise, too: one that has ended must not come back by a power cut.
  const isEnding = state.journal?.isEnding(key) === true;
  connection.holdsAll = isEnding || state.journal?.mark !== before;
  connection.send(state, welcome(connection, properties, isPresent) as Uint8Array, false);
  const { clientId, username, peer, version } = connection;
  state.metrics.count(Counter.ConnectionsOpened);
  state.tell({ type: 'connected', clientId, username, peer, version, sessionPresent: isPresent });
  connection.throttle = throttleOf(connection, state.limits, verdict.limits, state.now);
  limitLife(state, connection, verdict.expiresInMs);
  watchKeepAlive(state, connection);
  connection.framer.maximumPacketSize = packetBytesMax(state, verdict);
  state.wake(connection);
}

/** Sets what was agreed on the connection; a refusal when the session may not be had. */
function prepare(state: State, connection: Connection, connect: ConnectPacket, verdict: Acceptance): Refusal | null {
  const key = verdict.sessionKey ?? connection.clientId;
  const existing = state.sessions.get(key);
  if (existing !== undefined && (existing.principal !== verdict.principal || existing.local !== null)) {
    return {
      outcome: 'refuse',
      reasonCode: ReasonCode.ClientIdentifierNotValid,
      reason: 'the client id belongs to somebody else',
    };
  }
  // What a session that is replaced leaves behind may stand beside the new one; not any number of them, while the disk hangs.
  const sessionsMax = state.limits.sessionsMax + (existing === undefined ? 0 : 1);
  const resumes = existing?.lasts === true && !connect.cleanStart;
  if (!resumes && state.sessions.size >= sessionsMax) {
    state.metrics.reached('sessionsMax');
    return {
      outcome: 'refuse',
      reasonCode: ReasonCode.QuotaExceeded,
      reason: 'the server has as many sessions as it may',
    };
  }
  const limited = principalRefusal(state, verdict, existing);
  if (limited !== null) return limited;
  const { limits } = state;
  const isRecorded = existing !== undefined || connect.will !== undefined || expiryAsked(connect) > 0;
  if (isRecorded && state.journal?.isBehind(limits.uncommittedBytesMax) === true) {
    return { outcome: 'refuse', reasonCode: ReasonCode.ServerBusy, reason: 'the store does not keep up' };
  }
  const { capabilities = {} } = verdict;
  const { terms = {} } = connection.peer;
  const properties = connect.properties ?? {};
  connection.maximumQoS = Math.min(terms.maximumQoS ?? 2, capabilities.maximumQoS ?? 2) as QoS;
  connection.mayRetain = (terms.retainAvailable ?? true) && (capabilities.retain ?? true);
  connection.mayUseWildcards = capabilities.wildcards ?? true;
  connection.mayShare = capabilities.shared ?? true;
  connection.mayIdentify = capabilities.subscriptionIdentifiers ?? true;
  connection.deliversAsPublished = capabilities.deliveredQoS === 'published';
  connection.mapping = mounted(terms.mountPoint, verdict.mapping ?? null);
  connection.inboundMax = Math.min(limits.receiveMaximum, verdict.limits?.receiveMaximum ?? limits.receiveMaximum);
  connection.aliasMaximum = Math.min(
    limits.topicAliasMaximum,
    terms.topicAliasMaximum ?? limits.topicAliasMaximum,
    verdict.limits?.topicAliasMaximum ?? limits.topicAliasMaximum,
  );
  connection.expiryAsked = expiryAsked(connect);
  connection.expiryMax = Math.min(limits.sessionExpiryMax, verdict.limits?.sessionExpiryMax ?? limits.sessionExpiryMax);
  connection.receiveMaximum = properties.receiveMaximum ?? 65_535;
  const sentAliases = Math.min(properties.topicAliasMaximum ?? 0, limits.sentTopicAliasMaximum);
  connection.sentAliases = sentAliases > 0 ? new SentAliases(sentAliases) : null;
  const keepAlive = keepAliveSeconds(state, connect, verdict);
  connection.keepAliveMs = Math.round(keepAlive * 1000 * limits.keepAliveFactor);
  return null;
}

function principalRefusal(
  { principals, limits, metrics }: State,
  verdict: Acceptance,
  existing: Session | undefined,
): Refusal | null {
  // The one that is taken over makes room.
  const connections = (principals.find(verdict.principal)?.connections ?? 0) - (existing?.connection == null ? 0 : 1);
  if (connections < limits.connectionsPerPrincipalMax) return null;
  metrics.reached('connectionsPerPrincipalMax');
  const reason = 'this user has as many connections as it may';
  return { outcome: 'refuse', reasonCode: ReasonCode.QuotaExceeded, reason };
}

/** The will passes the gate of a PUBLISH now, and again when it fires. */
function acceptWill(
  state: State,
  connection: Connection,
  connect: ConnectPacket,
  verdict: Acceptance,
): Will | Refusal | null {
  const { will } = connect;
  if (will === undefined) return null;
  const no = (reasonCode: number, reason: string): Refusal => ({ outcome: 'refuse', reasonCode, reason });
  if (will.qos > connection.maximumQoS)
    return no(ReasonCode.QoSNotSupported, 'the will has a QoS that is not available'); // [MQTT-3.2.2-12]
  if (will.retain && !connection.mayRetain)
    return no(ReasonCode.RetainNotSupported, 'the will has RETAIN, which is not available'); // [MQTT-3.2.2-13]
  const name = connection.mapping === null ? will.topic : connection.mapping.topicIn(will.topic);
  const topic = name === null ? null : state.topics.internName(name);
  if (topic === null) return no(ReasonCode.TopicNameInvalid, 'the will topic is not valid here');
  const refusal = topic.isSystem
    ? ReasonCode.NotAuthorized
    : (verdict.permissions?.publish(topic.name, will.qos, will.retain) ?? 0);
  if (refusal === 0) {
    const taken = takeWill(state, will, topic.name, connection.clientId);
    const limit = willLimit(state, taken);
    if (limit === null) return taken;
    state.metrics.reached(limit);
    return no(ReasonCode.QuotaExceeded, 'the will is larger than wills may be');
  }
  const code = reasonCodeAllowed(refusal, PacketType.Connack, 'server') ? refusal : ReasonCode.NotAuthorized;
  return no(code, 'publishing to the will topic is not allowed');
}

function willLimit({ limits, queueTotal }: State, { message }: Will): LimitName | null {
  if (message.cost > limits.willBytesMax) return 'willBytesMax';
  return queueTotal.willBytes + message.cost > limits.willBytesTotalMax ? 'willBytesTotalMax' : null;
}

/** The session of this key for this connection: fenced off from the one before, resumed, or new. */
function claimSession(
  state: State,
  connection: Connection,
  connect: ConnectPacket,
  verdict: Acceptance,
  key: string,
): { session: Session; isPresent: boolean } {
  const existing = state.sessions.get(key);
  const previous = existing?.connection ?? null;
  if (previous !== null)
    disconnect(state, previous, ReasonCode.SessionTakenOver, 'another connection took the session over'); // [MQTT-3.1.4-3]
  if (existing !== undefined && connect.cleanStart) endSession(state, existing, 'clean-start'); // [MQTT-3.1.2-4]
  const left = state.sessions.get(key);
  if (left !== undefined) return { session: left, isPresent: true };
  return { session: createSession(state, key, connection.clientId, verdict.principal), isPresent: false };
}

/** What CONNECT asks for; what comes of it is the lower of this and `expiryMax`. */
function expiryAsked({ version, cleanStart, properties }: ConnectPacket): number {
  if (version === 5) return properties?.sessionExpiryInterval ?? 0;
  return cleanStart ? 0 : forever;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
