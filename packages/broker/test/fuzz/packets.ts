/** Legal packets of clients that have much to do with one another, and with the limits of the broker under test. */

import { type Packet, PacketType, type ProtocolVersion, type QoS } from '@pipit/protocol';
import fc from 'fast-check';
import { userNames } from './authority.ts';

export const qos = fc.constantFrom<QoS>(0, 1, 2);
const packetId = fc.oneof(
  { weight: 9, arbitrary: fc.integer({ min: 1, max: 6 }) },
  { weight: 1, arbitrary: fc.constantFrom(17, 33, 65_535) },
);
const seconds = fc.constantFrom(0, 1, 60, 3_600, 0xffff_ffff);
const payload = fc.oneof(
  { weight: 6, arbitrary: fc.uint8Array({ maxLength: 8 }) },
  { weight: 1, arbitrary: fc.constantFrom(400, 3_000, 33_000).map((length) => new Uint8Array(length)) },
);
const deep = '/a'.repeat(15);
const topic = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('x', 'x/y', 'z/1') },
  { weight: 2, arbitrary: fc.constantFrom('y', 'z/2', 'z/3', 'z/4', 'z/5', 'claim/1', 'inside/1') },
  { weight: 1, arbitrary: fc.constantFrom('honest/t', '$SYS/x', deep, `${deep}/a`) },
);
const filter = fc.oneof(
  { weight: 2, arbitrary: fc.constantFrom('#', 'x', 'x/#', 'z/+', '$share/g/x', '$share/g/#') },
  { weight: 1, arbitrary: fc.constantFrom('+', '+/+', 'honest/#', 'honest/t', '$SYS/#', `${deep}/#`, '/#', 'claim/#') },
  { weight: 1, arbitrary: fc.constantFrom('$share/g/honest/t', '$share/h/x', 'mapped/#') },
);
const clientId = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom('p', 'q', 'r', 's') },
  { weight: 1, arbitrary: fc.constantFrom('', 'honest-subscriber', 'honest-publisher', 'inside') },
);
const userProperties = fc.constantFrom(1, 8, 9).map((length) => Array.from({ length }, () => ['a', 'b'] as const));

/** Some of the properties, and none before 5.0. */
function some<T extends object>(
  version: ProtocolVersion,
  model: { [K in keyof T]: fc.Arbitrary<T[K]> },
): fc.Arbitrary<{ properties?: Partial<T> }> {
  if (version !== 5) return fc.constant({});
  return fc
    .record(model, { requiredKeys: [], noNullPrototype: true })
    .map((properties) => ({ properties: properties as Partial<T> }));
}

export function connect(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const properties = some(version, {
    sessionExpiryInterval: seconds,
    receiveMaximum: fc.integer({ min: 1, max: 4 }),
    maximumPacketSize: fc.constantFrom(1, 5, 20, 60, 500),
    topicAliasMaximum: fc.nat(4),
    requestProblemInformation: fc.boolean(),
  });
  const method = some(version, { authenticationMethod: fc.constant('m') });
  const will = fc
    .tuple(
      topic,
      qos,
      fc.boolean(),
      payload,
      some(version, { willDelayInterval: seconds, messageExpiryInterval: seconds }),
    )
    .map(([name, of, retain, bytes, rest]) => ({ topic: name, qos: of, retain, payload: bytes, ...rest }));
  return fc
    .record({
      clientId,
      cleanStart: fc.boolean(),
      keepAlive: fc.constantFrom(0, 0, 1, 60),
      will: fc.option(will),
      username: fc.option(fc.constantFrom(...userNames), { freq: 3 }),
      properties,
      method: fc.oneof({ weight: 8, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: method }),
      bridge: fc.boolean(),
    })
    .map(({ will: last, username, properties: some5, method: auth, bridge, ...rest }): Packet => {
      const all = { ...some5.properties, ...('properties' in auth ? (auth.properties as object) : {}) };
      return {
        type: PacketType.Connect,
        version,
        ...rest,
        clientId: rest.clientId === '' && version !== 5 ? 'p' : rest.clientId,
        ...(bridge && version !== 5 ? { bridge } : {}),
        ...(last === null ? {} : { will: last }),
        ...(username === null ? {} : { username }),
        ...(version === 5 ? { properties: all } : {}),
      };
    });
}

function publish(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const properties = some(version, {
    topicAlias: fc.integer({ min: 1, max: 5 }),
    messageExpiryInterval: seconds,
    userProperties,
  });
  return fc
    .record({
      topic,
      qos,
      packetId,
      payload,
      retain: fc.boolean(),
      dup: fc.boolean(),
      properties,
      isAlias: fc.boolean(),
    })
    .map(
      ({ properties: some5, isAlias, ...rest }): Packet => ({
        type: PacketType.Publish,
        ...rest,
        ...some5,
        topic: isAlias && some5.properties?.topicAlias !== undefined ? '' : rest.topic,
        dup: rest.dup && rest.qos > 0,
        packetId: rest.qos === 0 ? 0 : rest.packetId,
      }),
    );
}

function subscribe(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const isV5 = version === 5;
  const one = fc
    .record({ filter, qos, flags: fc.nat(3), retainHandling: fc.constantFrom<QoS>(0, 1, 2) })
    .map(({ flags, ...rest }) => ({
      ...rest,
      noLocal: isV5 && (flags & 1) !== 0 && !rest.filter.startsWith('$share'),
      retainAsPublished: isV5 && (flags & 2) !== 0,
      retainHandling: isV5 ? rest.retainHandling : 0,
    }));
  const properties = some(version, { subscriptionIdentifier: fc.integer({ min: 1, max: 300 }) });
  return fc
    .tuple(packetId, fc.array(one, { minLength: 1, maxLength: 11 }), properties)
    .map(([id, subscriptions, rest]): Packet => ({ type: PacketType.Subscribe, packetId: id, subscriptions, ...rest }));
}

function acknowledgement(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const type = fc.constantFrom(PacketType.Puback, PacketType.Pubrec, PacketType.Pubrel, PacketType.Pubcomp);
  return fc.tuple(type, packetId, fc.nat(4)).map(([of, id, isBad]): Packet => {
    const bad = of === PacketType.Puback || of === PacketType.Pubrec ? 0x80 : 0x92;
    return { type: of, packetId: id, reasonCode: isBad === 0 && version === 5 ? bad : 0 };
  });
}

/** An AUTH, or a DISCONNECT with what it may change. */
function rare(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const disconnect = fc
    .tuple(fc.constantFrom(0, 4), some(version, { sessionExpiryInterval: seconds }))
    .map(([code, rest]): Packet => ({ type: PacketType.Disconnect, reasonCode: version === 5 ? code : 0, ...rest }));
  if (version !== 5) return disconnect;
  const auth = fc.tuple(fc.constantFrom(0x18, 0x19), fc.constantFrom('m', 'n'), fc.nat(1)).map(
    ([reasonCode, authenticationMethod, byte]): Packet => ({
      type: PacketType.Auth,
      reasonCode,
      properties: { authenticationMethod, authenticationData: Uint8Array.of(byte) },
    }),
  );
  return fc.oneof({ weight: 1, arbitrary: disconnect }, { weight: 2, arbitrary: auth });
}

/** Packets that mean something to one another: few ids, few topics, few client ids. */
export function meaningful(version: ProtocolVersion): fc.Arbitrary<Packet> {
  const unsubscribe = fc
    .tuple(packetId, fc.array(filter, { minLength: 1, maxLength: 3 }))
    .map(([id, filters]): Packet => ({ type: PacketType.Unsubscribe, packetId: id, filters }));
  return fc.oneof(
    { weight: 8, arbitrary: publish(version) },
    { weight: 4, arbitrary: subscribe(version) },
    { weight: 6, arbitrary: acknowledgement(version) },
    { weight: 1, arbitrary: unsubscribe },
    { weight: 1, arbitrary: rare(version) },
    { weight: 1, arbitrary: fc.constant<Packet>({ type: PacketType.Pingreq }) },
  );
}
