/** Arbitrary legal packets of each version, as decodePacket gives them. */
import {
  type Packet,
  PacketType,
  type PropertyValues,
  type ProtocolVersion,
  ReasonCode,
  reasonCodeAllowed,
  type Sender,
} from '@pipit/protocol';
import fc from 'fast-check';

const uint16 = fc.oneof(fc.constantFrom(0, 1, 65_534, 65_535), fc.nat(65_535));
const packetId = fc.oneof(fc.constantFrom(1, 65_535), fc.integer({ min: 1, max: 65_535 }));
const uint32 = fc.oneof(fc.constantFrom(0, 1, 0xffff_ffff), fc.nat(0xffff_ffff));
const qos = fc.constantFrom(0 as const, 1 as const, 2 as const);
const text = fc.string({ unit: 'binary', maxLength: 12 }).map((value) => value.replaceAll('\0', '0'));
const data = fc.uint8Array({ maxLength: 200 });
const topic = text.map((value) => value.replaceAll(/[+#]/g, '/')).filter((value) => value !== '');
const level = text.map((value) => value.replaceAll(/[+#/]/g, '_'));
const plainFilter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([levels, open]) => (open ? [...levels, '#'] : levels).join('/'))
  .filter((filter) => filter !== '' && !filter.startsWith('$share/'));
const shareName = level.filter((name) => name !== '');
const sharedFilter = fc.tuple(shareName, plainFilter).map(([name, filter]) => `$share/${name}/${filter}`);
const userProperties = fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 4 });

const values: { readonly [Name in keyof Required<PropertyValues>]: fc.Arbitrary<Required<PropertyValues>[Name]> } = {
  payloadFormatIndicator: fc.constantFrom(0 as const, 1 as const),
  messageExpiryInterval: uint32,
  contentType: text,
  responseTopic: topic,
  correlationData: data,
  subscriptionIdentifier: fc.integer({ min: 1, max: 268_435_455 }),
  subscriptionIdentifiers: fc.array(fc.integer({ min: 1, max: 268_435_455 }), { minLength: 1, maxLength: 4 }),
  sessionExpiryInterval: uint32,
  assignedClientIdentifier: text,
  serverKeepAlive: uint16,
  authenticationMethod: text,
  authenticationData: data,
  requestProblemInformation: fc.boolean(),
  willDelayInterval: uint32,
  requestResponseInformation: fc.boolean(),
  responseInformation: text,
  serverReference: text,
  reasonString: text,
  receiveMaximum: packetId,
  topicAliasMaximum: uint16,
  topicAlias: packetId,
  maximumQoS: fc.constantFrom(0 as const, 1 as const),
  retainAvailable: fc.boolean(),
  userProperties,
  maximumPacketSize: fc.integer({ min: 1, max: 0xffff_ffff }),
  wildcardSubscriptionAvailable: fc.boolean(),
  subscriptionIdentifierAvailable: fc.boolean(),
  sharedSubscriptionAvailable: fc.boolean(),
};

type Name = keyof PropertyValues;
type Model<T> = { [K in keyof T]: fc.Arbitrary<T[K]> };

/** Plain objects, as the decoder makes them. */
function record<T>(model: Model<T>): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true });
}

/** The same with any of the fields missing. */
function partial<T>(model: Model<T>): fc.Arbitrary<Partial<T>> {
  return fc.record(model, { requiredKeys: [], noNullPrototype: true }) as fc.Arbitrary<Partial<T>>;
}

/** Some of the named properties, or none at all: then the field is absent, as it is before 5.0. */
function withProperties(version: ProtocolVersion, ...names: Name[]): fc.Arbitrary<{ properties?: PropertyValues }> {
  if (version !== 5) return fc.constant({});
  const model = Object.fromEntries(names.map((name) => [name, values[name]]));
  return fc
    .record(model, { requiredKeys: [], noNullPrototype: true })
    .map((properties) => (Object.keys(properties).length === 0 ? {} : { properties }));
}

const connect = (version: ProtocolVersion): fc.Arbitrary<Packet> =>
  record({
    base: record({ cleanStart: fc.boolean(), keepAlive: uint16 }),
    clientId: version === 3 ? text.filter((id) => id !== '') : text,
    bridge: fc.boolean(),
    credentials: partial({ username: text, password: data }),
    will: fc.option(
      fc
        .tuple(
          record({ topic, payload: data, qos, retain: fc.boolean() }),
          withProperties(
            version,
            ...(['willDelayInterval', 'messageExpiryInterval', 'contentType', 'responseTopic'] as const),
            ...(['correlationData', 'userProperties'] as const),
          ),
        )
        .map(([will, properties]) => ({ ...will, ...properties })),
    ),
    properties: withProperties(
      version,
      ...(['sessionExpiryInterval', 'receiveMaximum', 'maximumPacketSize', 'topicAliasMaximum'] as const),
      ...(['requestResponseInformation', 'requestProblemInformation', 'userProperties'] as const),
      'authenticationMethod',
    ),
  }).map(({ base, clientId, bridge, credentials, will, properties }) => {
    const { username, password } = credentials;
    return {
      type: PacketType.Connect,
      version,
      ...base,
      clientId: clientId === '' && version === 4 && !base.cleanStart ? 'c' : clientId,
      ...(bridge && version !== 5 ? { bridge } : {}),
      ...(username === undefined ? {} : { username }),
      ...(password === undefined || (version !== 5 && username === undefined) ? {} : { password }),
      ...(will === null ? {} : { will }),
      ...properties,
    };
  });

const allCodes: readonly number[] = [...new Set(Object.values(ReasonCode))];

function reasonCode(version: ProtocolVersion, type: PacketType, sender: Sender): fc.Arbitrary<number> {
  if (version === 5) return fc.constantFrom(...allCodes.filter((code) => reasonCodeAllowed(code, type, sender)));
  if (type === PacketType.Connack) return fc.nat(5);
  if (type === PacketType.Suback) return fc.constantFrom(...(version === 4 ? [0, 1, 2, 0x80] : [0, 1, 2]));
  return fc.constant(0);
}

const connack = (version: ProtocolVersion): fc.Arbitrary<Packet> =>
  fc
    .tuple(
      fc.boolean(),
      reasonCode(version, PacketType.Connack, 'server'),
      withProperties(
        version,
        ...(['sessionExpiryInterval', 'receiveMaximum', 'maximumQoS', 'retainAvailable', 'maximumPacketSize'] as const),
        ...(['assignedClientIdentifier', 'topicAliasMaximum', 'reasonString', 'userProperties'] as const),
        ...(['wildcardSubscriptionAvailable', 'subscriptionIdentifierAvailable', 'serverKeepAlive'] as const),
        ...(['sharedSubscriptionAvailable', 'responseInformation', 'serverReference'] as const),
        ...(['authenticationMethod', 'authenticationData'] as const),
      ),
    )
    .map(([present, code, properties]) => ({
      type: PacketType.Connack,
      sessionPresent: present && code === 0 && version !== 3,
      reasonCode: code,
      ...properties,
    }));

export const publish = (version: ProtocolVersion, sender: Sender): fc.Arbitrary<Packet> =>
  record({
    base: record({ topic, payload: data, qos, retain: fc.boolean() }),
    dup: fc.boolean(),
    packetId,
    named: fc.boolean(),
    properties: withProperties(
      version,
      ...(['payloadFormatIndicator', 'messageExpiryInterval', 'topicAlias', 'responseTopic'] as const),
      ...(['correlationData', 'userProperties', 'contentType'] as const),
      ...(sender === 'server' ? (['subscriptionIdentifiers'] as const) : []),
    ),
  }).map(({ base, dup, packetId: id, named, properties }) => ({
    type: PacketType.Publish,
    ...base,
    topic: !named && properties.properties?.topicAlias !== undefined ? '' : base.topic,
    // Text is ASCII here, so that the indicator is true.
    payload:
      properties.properties?.payloadFormatIndicator === 1 ? base.payload.map((byte) => byte & 0x7f) : base.payload,
    dup: dup && base.qos !== 0,
    packetId: base.qos === 0 ? 0 : id,
    ...properties,
  }));

const ack = (version: ProtocolVersion, sender: Sender): fc.Arbitrary<Packet> =>
  fc
    .constantFrom(PacketType.Puback, PacketType.Pubrec, PacketType.Pubrel, PacketType.Pubcomp)
    .chain((type) =>
      fc
        .tuple(packetId, reasonCode(version, type, sender), withProperties(version, 'reasonString', 'userProperties'))
        .map(([id, code, properties]): Packet => ({ type, packetId: id, reasonCode: code, ...properties })),
    );

const subscription = (version: ProtocolVersion) =>
  version === 5
    ? fc.oneof(
        record({
          filter: plainFilter,
          qos,
          noLocal: fc.boolean(),
          retainAsPublished: fc.boolean(),
          retainHandling: qos,
        }),
        record({
          filter: sharedFilter,
          qos,
          noLocal: fc.constant(false),
          retainAsPublished: fc.boolean(),
          retainHandling: qos,
        }),
      )
    : record({
        filter: fc.oneof(plainFilter, sharedFilter),
        qos,
        noLocal: fc.constant(false),
        retainAsPublished: fc.constant(false),
        retainHandling: fc.constant(0 as const),
      });

const subscribe = (version: ProtocolVersion): fc.Arbitrary<Packet> =>
  fc
    .tuple(
      packetId,
      fc.array(subscription(version), { minLength: 1, maxLength: 4 }),
      withProperties(version, 'subscriptionIdentifier', 'userProperties'),
    )
    .map(([id, subscriptions, properties]) => ({
      type: PacketType.Subscribe,
      packetId: id,
      subscriptions,
      ...properties,
    }));

const unsubscribe = (version: ProtocolVersion): fc.Arbitrary<Packet> =>
  fc
    .tuple(
      packetId,
      fc.array(fc.oneof(plainFilter, sharedFilter), { minLength: 1, maxLength: 4 }),
      withProperties(version, 'userProperties'),
    )
    .map(([id, filters, properties]) => ({ type: PacketType.Unsubscribe, packetId: id, filters, ...properties }));

const grant = (version: ProtocolVersion, type: typeof PacketType.Suback | typeof PacketType.Unsuback) =>
  fc
    .tuple(
      packetId,
      fc.array(reasonCode(version, type, 'server'), { minLength: 1, maxLength: 4 }),
      withProperties(version, 'reasonString', 'userProperties'),
    )
    .map(
      ([id, codes, properties]): Packet => ({
        type,
        packetId: id,
        reasonCodes: type === PacketType.Unsuback && version !== 5 ? [] : codes,
        ...properties,
      }),
    );

const disconnect = (version: ProtocolVersion, sender: Sender): fc.Arbitrary<Packet> =>
  fc
    .tuple(
      reasonCode(version, PacketType.Disconnect, sender),
      withProperties(
        version,
        ...(['reasonString', 'userProperties'] as const),
        sender === 'client' ? 'sessionExpiryInterval' : 'serverReference',
      ),
    )
    .map(([code, properties]) => ({ type: PacketType.Disconnect, reasonCode: code, ...properties }));

const auth = (sender: Sender): fc.Arbitrary<Packet> =>
  fc
    .tuple(
      reasonCode(5, PacketType.Auth, sender),
      text,
      fc.record({ authenticationData: data, reasonString: text, userProperties }, { requiredKeys: [] }),
    )
    .map(([code, authenticationMethod, others]) => ({
      type: PacketType.Auth,
      reasonCode: code,
      properties: { authenticationMethod, ...others },
    }));

/** Any packet this side may send in this version. */
export function packet(version: ProtocolVersion, sender: Sender): fc.Arbitrary<Packet> {
  const both = [publish(version, sender), ack(version, sender), ...(version === 5 ? [auth(sender)] : [])];
  if (sender === 'client') {
    const ping = fc.constant<Packet>({ type: PacketType.Pingreq });
    return fc.oneof(
      ...both,
      connect(version),
      subscribe(version),
      unsubscribe(version),
      ping,
      disconnect(version, sender),
    );
  }
  const ping = fc.constant<Packet>({ type: PacketType.Pingresp });
  const grants = [grant(version, PacketType.Suback), grant(version, PacketType.Unsuback)];
  const farewell = version === 5 ? [disconnect(version, sender)] : [];
  return fc.oneof(...both, connack(version), ...grants, ping, ...farewell);
}

export interface Sent {
  readonly version: ProtocolVersion;
  readonly sender: Sender;
  readonly packet: Packet;
}

export const version: fc.Arbitrary<ProtocolVersion> = fc.constantFrom(3, 4, 5);
export const sender: fc.Arbitrary<Sender> = fc.constantFrom('client', 'server');

/** Any packet of any version and side. */
export const sent: fc.Arbitrary<Sent> = fc
  .tuple(version, sender)
  .chain(([v, s]) => packet(v, s).map((each) => ({ version: v, sender: s, packet: each })));
