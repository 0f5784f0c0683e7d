/**
 * From CONNECT to CONNACK: the packet's own rules, the verdict of the authority, the session, the answer.
 *
 * Until the verdict nothing changes: the session table is untouched and what the peer sent behind CONNECT stays unparsed. The
 * last verdict, not the last CONNECT, owns the session. A takeover is: accept the new one, fence the old one (0x8E), settle its
 * will, resume.
 */

import {
  type AuthPacket,
  type ConnackProperties,
  type ConnectPacket,
  connackReturnCode,
  DecodeError,
  decodePacket,
  EncodeError,
  hasUnwantedCharacters,
  PacketType,
  type ProtocolVersion,
  peekConnect,
  ReasonCode,
  reasonCodeAllowed,
  reasonCodeName,
  SentAliases,
} from '@pipit/protocol';
import { disconnect, refused, shut } from './closing.ts';
import { type Connection, Phase } from './connection.ts';
import { Deadline } from './deadlines.ts';
import { encodeFitting } from './fitting.ts';
import { Counter } from './metrics.ts';
import type { Acceptance, AuthenticationRequest, Refusal, Verdict } from './ports.ts';
import { isClogged } from './sending.ts';
import type { Session, Will } from './session.ts';
import { attach, createSession, endSession, permit } from './sessions.ts';
import type { State } from './state.ts';
import { Violation } from './violation.ts';
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
    reject(state, connection, version, error.reasonCode, error.message);
  }
}

/** What CONNECT alone decides; then it goes to the authority. */
function admit(state: State, connection: Connection, connect: ConnectPacket): void {
  const { version, properties } = connect;
  let { clientId } = connect;
  if (clientId === '') {
    // 3.1 knows no empty id; 3.1.1 only with Clean Session [MQTT3-3.1.3-8].
    if (version === 3 || (version === 4 && !connect.cleanStart)) {
      throw new Violation(ReasonCode.ClientIdentifierNotValid, 'the client id is empty');
    }
    clientId = `auto-${hex(connection.entropy)}`; // [MQTT-3.1.3-6]
  }
  if (state.options.strictText === true && hasUnwantedCharacters(clientId)) {
    throw new Violation(
      ReasonCode.ClientIdentifierNotValid,
      'the client id contains control characters or non-characters',
    );
  }
  if (state.isStopping) throw new Violation(ReasonCode.ServerUnavailable, 'the server is shutting down');
  connection.phase = Phase.Authenticating;
  if (connection.deadline !== null) state.deadlines.arm(connection.deadline, state.now + state.limits.connectTimeoutMs);
  connection.packetBytesMax = properties?.maximumPacketSize ?? Number.POSITIVE_INFINITY;
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

type Question = Pick<AuthenticationRequest, 'kind' | 'password' | 'data' | 'userProperties'>;

function ask(state: State, connection: Connection, question: Question): void {
  const { peer, version, clientId, username, authenticationMethod: method } = connection;
  const principal = connection.session?.principal ?? null;
  const request = { ...question, peer, version, clientId, username, method, principal };
  // Beside traffic a new exchange stops nothing; before CONNACK everything waits for the verdict.
  connection.awaitsVerdict = true;
  connection.isStalled ||= !connection.isOpen;
  state.effects.push({ kind: 'authenticate', connection, exchange: ++connection.exchange, request });
}

/** AUTH: the next step of enhanced authentication, or its beginning beside traffic (5.0, 4.12). */
export function authReceived(state: State, connection: Connection, packet: AuthPacket): void {
  const method = packet.properties?.authenticationMethod ?? null;
  if (method === null || method !== connection.authenticationMethod) {
    throw new Violation(ReasonCode.ProtocolError, 'AUTH with another method than CONNECT'); // [MQTT-4.12.1-1]
  }
  const isContinuation = packet.reasonCode === ReasonCode.ContinueAuthentication;
  const isUnderWay = connection.phase === Phase.Authenticating || connection.isReauthenticating;
  // The next step is the client's only once the broker has asked for it.
  if (isContinuation !== isUnderWay || connection.awaitsVerdict)
    throw new Violation(ReasonCode.ProtocolError, 'AUTH out of order');
  if (connection.isOpen) connection.isReauthenticating = true;
  ask(state, connection, {
    kind: isContinuation ? 'continue' : 're-authenticate',
    password: null,
    data: packet.properties?.authenticationData ?? null,
    userProperties: packet.properties?.userProperties ?? [],
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
    sendAuth(state, connection, ReasonCode.ContinueAuthentication, verdict.data, verdict.reason);
    state.wake(connection);
  } else if (connection.isOpen) reauthenticated(state, connection, verdict);
  else if (verdict.outcome === 'refuse') refuse(state, connection, verdict);
  else accept(state, connection, verdict);
}

function reauthenticated(state: State, connection: Connection, verdict: Acceptance | Refusal): void {
  connection.isReauthenticating = false;
  if (verdict.outcome === 'refuse') {
    const { reasonCode, reason = 're-authentication failed', serverReference } = verdict;
    const isAllowed = reasonCodeAllowed(reasonCode, PacketType.Disconnect, 'server');
    const code = isAllowed ? reasonCode : ReasonCode.NotAuthorized;
    disconnect(state, connection, code, reason, serverReference); // [MQTT-4.12.1-2]
    return;
  }
  const session = connection.session as Session;
  if (session.principal !== verdict.principal) {
    disconnect(state, connection, ReasonCode.NotAuthorized, 're-authenticated as somebody else');
    return;
  }
  permit(state, session, verdict.permissions ?? null);
  connection.lastTopicEpoch = -1;
  limitLife(state, connection, verdict.expiresInMs);
  sendAuth(state, connection, ReasonCode.Success, verdict.data ?? null, verdict.reason);
}

function sendAuth(
  state: State,
  connection: Connection,
  reasonCode: number,
  data: Uint8Array | null,
  reason: string | undefined,
): void {
  const properties = {
    authenticationMethod: connection.authenticationMethod ?? '',
    ...(data === null ? {} : { authenticationData: data }),
    ...(reason === undefined || !connection.wantsProblems ? {} : { reasonString: reason }),
  };
  const bytes = encodeFitting({ type: PacketType.Auth, reasonCode, properties }, 5, connection.packetBytesMax);
  const why = 'the AUTH packet is larger than the client accepts';
  if (bytes !== null) connection.send(state, bytes, connection.isHolding);
  else end(state, connection, ReasonCode.PacketTooLarge, why);
}

/** DISCONNECT, or CONNACK before there was one. */
function end(state: State, connection: Connection, reasonCode: number, reason: string): void {
  if (connection.isOpen) disconnect(state, connection, reasonCode, reason);
  else reject(state, connection, connection.version, reasonCode, reason);
}

// ── Accepted

function accept(state: State, connection: Connection, verdict: Acceptance): void {
  const connect = connection.connect as ConnectPacket;
  connection.connect = null;
  if (connect.clientId === '' && verdict.assignedClientId !== undefined) connection.clientId = verdict.assignedClientId;
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
  const properties = connackProperties(state, connection, connect, verdict, expirySeconds);
  if (welcome(connection, properties, false) === null) {
    refuse(state, connection, { outcome: 'refuse', reasonCode: ReasonCode.PacketTooLarge });
    return;
  }
  const before = state.journal?.mark;
  const key = verdict.sessionKey ?? connection.clientId;
  const { session, isPresent } = claimSession(state, connection, connect, verdict, key);
  connection.phase = Phase.Open;
  attach(state, session, connection, { expirySeconds, will, permissions: verdict.permissions ?? null });
  if (!isPresent && session.lasts) state.tell({ type: 'session-created', clientId: connection.clientId });
  connection.holdsAll = state.journal?.mark !== before;
  connection.send(state, welcome(connection, properties, isPresent) as Uint8Array, false);
  const { clientId, username, peer, version } = connection;
  state.metrics.count(Counter.ConnectionsOpened);
  state.tell({ type: 'connected', clientId, username, peer, version, sessionPresent: isPresent });
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
  if (existing === undefined && state.sessions.size >= state.limits.sessionsMax) {
    return {
      outcome: 'refuse',
      reasonCode: ReasonCode.QuotaExceeded,
      reason: 'the server has as many sessions as it may',
    };
  }
  const { limits } = state;
  const { capabilities = {} } = verdict;
  const properties = connect.properties ?? {};
  connection.maximumQoS = capabilities.maximumQoS ?? 2;
  connection.mayRetain = capabilities.retain ?? true;
  connection.mayUseWildcards = capabilities.wildcards ?? true;
  connection.mayShare = capabilities.shared ?? true;
  connection.mayIdentify = capabilities.subscriptionIdentifiers ?? true;
  connection.deliversAsPublished = capabilities.deliveredQoS === 'published';
  connection.mapping = verdict.mapping ?? null;
  connection.inboundMax = Math.min(limits.receiveMaximum, verdict.limits?.receiveMaximum ?? limits.receiveMaximum);
  connection.aliasMaximum = Math.min(
    limits.topicAliasMaximum,
    verdict.limits?.topicAliasMaximum ?? limits.topicAliasMaximum,
  );
  connection.expiryAsked = expiryAsked(connect);
  connection.expiryMax = Math.min(limits.sessionExpiryMax, verdict.limits?.sessionExpiryMax ?? limits.sessionExpiryMax);
  connection.receiveMaximum = properties.receiveMaximum ?? 65_535;
  const sentAliases = Math.min(properties.topicAliasMaximum ?? 0, limits.sentTopicAliasMaximum);
  connection.sentAliases = sentAliases > 0 ? new SentAliases(sentAliases) : null;
  const keepAlive = keepAliveSeconds(state, connect, verdict);
  connection.keepAliveMs = keepAlive === 0 ? Number.POSITIVE_INFINITY : keepAlive * 1000 * limits.keepAliveFactor;
  return null;
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
  const refusal = topic.isSystem ? ReasonCode.NotAuthorized : (verdict.permissions?.publish(topic.name) ?? 0);
  if (refusal !== 0) return no(ReasonCode.NotAuthorized, 'publishing to the will topic is not allowed');
  return takeWill(state, will, topic.name, connection.clientId);
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

function keepAliveSeconds(state: State, connect: ConnectPacket, verdict: Acceptance): number {
  if (connect.version !== 5) return connect.keepAlive;
  const maximum = Math.min(state.limits.serverKeepAliveMax, verdict.limits?.keepAliveMax ?? 65_535);
  // At 65,535 there is no cap, not even on a Keep Alive that is switched off.
  return maximum === 65_535 || (connect.keepAlive > 0 && connect.keepAlive <= maximum) ? connect.keepAlive : maximum;
}

function packetBytesMax(state: State, verdict: Acceptance): number {
  return Math.min(state.limits.packetBytesMax, verdict.limits?.packetBytesMax ?? state.limits.packetBytesMax);
}

/** The CONNACK of an accepted connection; null when it cannot be made small enough for the peer. */
function welcome(connection: Connection, properties: ConnackProperties, isPresent: boolean): Uint8Array | null {
  const { version, packetBytesMax: bytesMax } = connection;
  // 3.1 has no Session Present: the byte is reserved there.
  const sessionPresent = isPresent && version !== 3;
  const packet = { type: PacketType.Connack, sessionPresent, reasonCode: ReasonCode.Success };
  return encodeFitting(version === 5 ? { ...packet, properties } : packet, version, bytesMax);
}

function connackProperties(
  state: State,
  connection: Connection,
  connect: ConnectPacket,
  verdict: Acceptance,
  expirySeconds: number,
): ConnackProperties {
  const asked = connect.properties ?? {};
  const keepAlive = keepAliveSeconds(state, connect, verdict);
  return {
    ...((asked.sessionExpiryInterval ?? 0) === expirySeconds ? {} : { sessionExpiryInterval: expirySeconds }),
    ...(connection.inboundMax === 65_535 ? {} : { receiveMaximum: connection.inboundMax }),
    ...(connection.maximumQoS === 2 ? {} : { maximumQoS: connection.maximumQoS }),
    ...(connection.mayRetain ? {} : { retainAvailable: false }),
    maximumPacketSize: packetBytesMax(state, verdict),
    ...(connect.clientId === '' ? { assignedClientIdentifier: connection.clientId } : {}), // [MQTT-3.2.2-16]
    ...(connection.aliasMaximum === 0 ? {} : { topicAliasMaximum: connection.aliasMaximum }),
    ...(verdict.reason === undefined ? {} : { reasonString: verdict.reason }),
    ...(verdict.userProperties === undefined ? {} : { userProperties: [...verdict.userProperties] }),
    ...(connection.mayUseWildcards ? {} : { wildcardSubscriptionAvailable: false }),
    ...(connection.mayIdentify ? {} : { subscriptionIdentifierAvailable: false }),
    ...(connection.mayShare ? {} : { sharedSubscriptionAvailable: false }),
    ...(keepAlive === connect.keepAlive ? {} : { serverKeepAlive: keepAlive }), // [MQTT-3.2.2-21]
    ...(asked.requestResponseInformation === true && verdict.responseInformation !== undefined
      ? { responseInformation: verdict.responseInformation }
      : {}),
    ...(connection.authenticationMethod === null ? {} : { authenticationMethod: connection.authenticationMethod }),
    ...(verdict.data === undefined || connection.authenticationMethod === null
      ? {}
      : { authenticationData: verdict.data }),
  };
}

// ── Refused

function refuse(state: State, connection: Connection, refusal: Refusal): void {
  const { reasonCode, reason = reasonCodeName(reasonCode), serverReference } = refusal;
  reject(state, connection, connection.version, reasonCode, reason, serverReference);
}

/** Answers a CONNECT with a failure, as far as its version has words for it, and closes. */
export function reject(
  state: State,
  connection: Connection,
  version: ProtocolVersion | null,
  reasonCode: number,
  reason: string,
  serverReference?: string,
): void {
  if (version === 5) {
    const properties = { reasonString: reason, ...(serverReference === undefined ? {} : { serverReference }) };
    const isAllowed = reasonCodeAllowed(reasonCode, PacketType.Connack, 'server'); // [MQTT-3.2.2-8]
    sendRefusal(state, connection, 5, isAllowed ? reasonCode : ReasonCode.UnspecifiedError, properties);
  } else if (version !== null) {
    const returnCode = connackReturnCode(reasonCode as ReasonCode);
    if (returnCode !== undefined && returnCode !== 0) sendRefusal(state, connection, version, returnCode, undefined);
  }
  refused(state, connection, reasonCode, reason);
  shut(state, connection, true); // [MQTT-3.2.2-7]
}

function sendRefusal(
  state: State,
  connection: Connection,
  version: ProtocolVersion,
  reasonCode: number,
  properties: ConnackProperties | undefined,
): void {
  const packet = { type: PacketType.Connack, sessionPresent: false, reasonCode };
  const bytes = encodeFitting(
    properties === undefined ? packet : { ...packet, properties },
    version,
    connection.packetBytesMax,
  );
  if (bytes !== null) connection.send(state, bytes, false);
}

/** An unknown level gets the answer its own version would most likely understand [MQTT-3.1.2-2]; another protocol gets none. */
function rejectVersion(
  state: State,
  connection: Connection,
  name: string | undefined,
  level: number | undefined,
): void {
  const isOurs = (name === 'MQTT' || name === 'MQIsdp') && level !== undefined;
  const version = !isOurs ? null : name === 'MQTT' && (level as number) > 5 ? 5 : 4;
  const reason = isOurs ? `protocol level ${level} is not supported` : 'not an MQTT CONNECT';
  reject(state, connection, version, ReasonCode.UnsupportedProtocolVersion, reason);
}

// ── Deadlines of an open connection

function watchKeepAlive(state: State, connection: Connection): void {
  if (connection.deadline !== null) state.deadlines.disarm(connection.deadline);
  connection.deadline = null;
  if (connection.keepAliveMs === Number.POSITIVE_INFINITY) return;
  connection.deadline = Deadline.of(connection, keepAliveDue);
  state.deadlines.arm(connection.deadline, state.now + connection.keepAliveMs);
}

/** Packets only stamp the connection; here is where the stamp is looked at. */
function keepAliveDue(state: State, connection: Connection): void {
  // A peer we do not read cannot keep itself alive, unless it is not read because it does not read either.
  const isClog = isClogged(state, connection);
  const aliveAt =
    connection.isPaused && !isClog ? state.now : Math.max(connection.lastReceivedAt, isClog ? connection.drainedAt : 0);
  const dueAt = aliveAt + connection.keepAliveMs;
  if (dueAt > state.now) state.deadlines.arm(connection.deadline as Deadline, dueAt);
  else disconnect(state, connection, ReasonCode.KeepAliveTimeout, 'nothing received within 1.5 times the keep alive'); // [MQTT-3.1.2-22]
}

function limitLife(state: State, connection: Connection, expiresInMs: number | undefined): void {
  if (connection.expiryDeadline !== null) state.deadlines.disarm(connection.expiryDeadline);
  if (expiresInMs === undefined) return;
  connection.expiryDeadline = Deadline.of(connection, (at, expired) => {
    disconnect(at, expired, ReasonCode.MaximumConnectTime, 'what the connection was authenticated by has expired');
  });
  state.deadlines.arm(connection.expiryDeadline, state.now + expiresInMs);
}

/** A socket that sends no complete CONNECT, or gets no verdict, in time. */
export function connectDue(state: State, connection: Connection): void {
  if (connection.phase === Phase.Connecting) {
    refused(state, connection, ReasonCode.UnspecifiedError, 'no CONNECT in time');
    shut(state, connection, true);
  } else if (connection.phase === Phase.Authenticating) {
    reject(state, connection, connection.version, ReasonCode.ServerUnavailable, 'no verdict in time');
  }
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
