/**
 * Errors of 5.0 that have no statement of their own: properties twice, in the wrong packet, unknown, cut, or of a value
 * out of range. Named by the section of the property, after its packet.
 */
import { connectBytes, orCode } from '../bench.ts';
import { type Bytes, field, frame, hex, properties, uint16, uint32 } from '../bytes.ts';
import { type Case, cases } from '../case.ts';
import { expectEqual } from '../outcome.ts';

interface Property {
  readonly id: number;
  readonly name: string;
  readonly value: Bytes;
  readonly repeats?: true;
}

const all: readonly Property[] = [
  { id: 0x01, name: 'payload-format-indicator', value: [1] },
  { id: 0x02, name: 'message-expiry-interval', value: uint32(60) },
  { id: 0x03, name: 'content-type', value: field('a') },
  { id: 0x08, name: 'response-topic', value: field('a') },
  { id: 0x09, name: 'correlation-data', value: field('a') },
  { id: 0x0b, name: 'subscription-identifier', value: [1] },
  { id: 0x11, name: 'session-expiry-interval', value: uint32(0) },
  { id: 0x12, name: 'assigned-client-identifier', value: field('a') },
  { id: 0x13, name: 'server-keep-alive', value: uint16(1) },
  { id: 0x15, name: 'authentication-method', value: field('a') },
  { id: 0x16, name: 'authentication-data', value: field('a') },
  { id: 0x17, name: 'request-problem-information', value: [1] },
  { id: 0x18, name: 'will-delay-interval', value: uint32(0) },
  { id: 0x19, name: 'request-response-information', value: [1] },
  { id: 0x1a, name: 'response-information', value: field('a') },
  { id: 0x1c, name: 'server-reference', value: field('a') },
  { id: 0x1f, name: 'reason-string', value: field('a') },
  { id: 0x21, name: 'receive-maximum', value: uint16(10) },
  { id: 0x22, name: 'topic-alias-maximum', value: uint16(10) },
  { id: 0x23, name: 'topic-alias', value: uint16(1) },
  { id: 0x24, name: 'maximum-qos', value: [1] },
  { id: 0x25, name: 'retain-available', value: [1] },
  { id: 0x26, name: 'user-property', value: [...field('a'), ...field('b')], repeats: true },
  { id: 0x27, name: 'maximum-packet-size', value: uint32(1000) },
  { id: 0x28, name: 'wildcard-subscription-available', value: [1] },
  { id: 0x29, name: 'subscription-identifier-available', value: [1] },
  { id: 0x2a, name: 'shared-subscription-available', value: [1] },
];

/** Which properties a packet from a client may have. */
const places = {
  CONNECT: { section: '3.1.2.11', ids: [0x11, 0x21, 0x27, 0x22, 0x19, 0x17, 0x26, 0x15, 0x16] },
  Will: { section: '3.1.3.2', ids: [0x18, 0x01, 0x02, 0x03, 0x08, 0x09, 0x26] },
  PUBLISH: { section: '3.3.2.3', ids: [0x01, 0x02, 0x23, 0x08, 0x09, 0x26, 0x03] },
  PUBACK: { section: '3.4.2.2', ids: [0x1f, 0x26] },
  PUBREC: { section: '3.5.2.2', ids: [0x1f, 0x26] },
  PUBREL: { section: '3.6.2.2', ids: [0x1f, 0x26] },
  PUBCOMP: { section: '3.7.2.2', ids: [0x1f, 0x26] },
  SUBSCRIBE: { section: '3.8.2.1', ids: [0x0b, 0x26] },
  UNSUBSCRIBE: { section: '3.10.2.1', ids: [0x26] },
  DISCONNECT: { section: '3.14.2.2', ids: [0x11, 0x1f, 0x26] },
} as const;
type Place = keyof typeof places;

/** A packet that is legal but for its property block. */
function packetWith(place: Place, list: Bytes, clientId: string, topic: string): Uint8Array {
  const ack = { PUBACK: 0x40, PUBREC: 0x50, PUBREL: 0x62, PUBCOMP: 0x70 } as const;
  switch (place) {
    case 'CONNECT':
      return connectBytes(5, clientId, { properties: list });
    case 'Will':
      return connectBytes(5, clientId, {
        flags: 0x06,
        payload: [...field(clientId), ...list, ...field(topic), ...field('x')],
      });
    case 'PUBLISH':
      return frame(0x30, field(topic), list, [0x78]);
    case 'SUBSCRIBE':
      return frame(0x82, uint16(1), list, field(topic), [0]);
    case 'UNSUBSCRIBE':
      return frame(0xa2, uint16(1), list, field(topic));
    case 'DISCONNECT':
      return frame(0xe0, [0], list);
    default:
      return frame(ack[place], uint16(1), [0], list);
  }
}

const block = (...list: readonly Property[]): Bytes => properties(...list.flatMap(({ id, value }) => [[id], value]));

/** One case for a place: each of some property blocks is refused. */
function refusedBlocks(
  id: string,
  title: string,
  place: Place,
  blocks: Readonly<Record<string, Bytes>>,
  ...codes: number[]
): Case[] {
  return cases(id, title, (bench) => {
    const entries = Object.entries(blocks).map(([what, list]) => [
      what,
      packetWith(place, list, bench.clientId(), bench.topic()),
    ]);
    const inputs = Object.fromEntries(entries) as Record<string, Uint8Array>;
    const isCode = orCode(...codes);
    if (place === 'CONNECT' || place === 'Will') return bench.refusesConnect(inputs, { isCode });
    return bench.refuses(inputs, { isCode });
  });
}

const perPlace = (Object.keys(places) as Place[]).flatMap((place): Case[] => {
  const { section, ids } = places[place];
  const own = all.filter(({ id }) => ids.some((other) => other === id));
  // Subscription Identifier in a client's PUBLISH is an error of another kind: MQTT-3.3.4-6.
  const foreign = all.filter(
    ({ id }) => !own.some((property) => property.id === id) && !(place === 'PUBLISH' && id === 0x0b),
  );
  const companion = (property: Property): Property[] =>
    property.id === 0x16 ? [all.find(({ id }) => id === 0x15) as Property] : [];
  const single = own.filter(({ repeats }) => repeats === undefined);
  const twice = Object.fromEntries(
    single.map((property) => [property.name, block(...companion(property), property, property)]),
  );
  const foreigners = Object.fromEntries(foreign.map((property) => [property.name, block(property)]));
  const cut = {
    'a length beyond the packet': [0x7f],
    'a cut value': properties([0x26, 0, 1]),
    'an identifier alone': properties([0x26]),
    'an unknown identifier': properties([0x7e, 0]),
    'identifier 0': properties([0, 0]),
    'an identifier of two bytes': properties([0x80, 0x01, 0]),
  };
  return [
    ...(single.length === 0
      ? []
      : refusedBlocks(`5.0/${section} twice`, `${place}: a property twice is refused`, place, twice, 0x94)),
    ...refusedBlocks(
      `5.0/${section} foreign`,
      `${place}: a property of other packets is refused`,
      place,
      foreigners,
      0x94,
    ),
    ...refusedBlocks(
      `5.0/${section} malformed`,
      `${place}: a property block that is cut or unknown is refused`,
      place,
      cut,
    ),
  ];
});

const values: readonly Case[] = [
  ...refusedBlocks('5.0/3.1.2.11.3 receive-maximum-0', 'Receive Maximum 0 is refused', 'CONNECT', {
    0: properties(hex('21 00 00')),
  }),
  ...refusedBlocks('5.0/3.1.2.11.4 maximum-packet-size-0', 'Maximum Packet Size 0 is refused', 'CONNECT', {
    0: properties(hex('27 00 00 00 00')),
  }),
  ...refusedBlocks(
    '5.0/3.1.2.11.6 request-response-information-2',
    'Request Response Information is 0 or 1',
    'CONNECT',
    {
      2: properties(hex('19 02')),
      255: properties(hex('19 FF')),
    },
  ),
  ...refusedBlocks('5.0/3.1.2.11.7 request-problem-information-2', 'Request Problem Information is 0 or 1', 'CONNECT', {
    2: properties(hex('17 02')),
    255: properties(hex('17 FF')),
  }),
  ...refusedBlocks(
    '5.0/3.1.2.11.10 data-without-method',
    'Authentication Data without a method is refused',
    'CONNECT',
    {
      data: properties([0x16], field('x')),
    },
  ),
  ...refusedBlocks('5.0/3.3.2.3.8 identifier-0', 'Subscription Identifier 0 in a PUBLISH is refused', 'PUBLISH', {
    0: properties(hex('0B 00')),
  }),
  ...cases(
    '5.0/3.3.4 subscription-identifier',
    'A Subscription Identifier in a PUBLISH to the broker is refused, or goes no further',
    async (bench) => {
      const topic = bench.topic();
      const watcher = await bench.subscriber(topic, 0);
      const peer = await bench.client();
      peer.sendBytes(frame(0x30, field(topic), properties(hex('0B 05')), [0x78]));
      peer.send({ type: 12 });
      await peer.takeOrEnd('PINGRESP, or an end');
      for (const message of await bench.received(watcher)) {
        expectEqual(message.properties?.subscriptionIdentifiers, undefined, 'Subscription Identifiers');
      }
    },
  ),
  ...refusedBlocks('5.0/3.14.2.2.3 server-reference', 'A Server Reference from a client is refused', 'DISCONNECT', {
    'server reference': properties([0x1c], field('x')),
  }),
  ...cases(
    '5.0/3.14.2.2.2 expiry-after-0',
    'A Session Expiry in DISCONNECT after 0 in CONNECT is an error: the will is published',
    async (bench) => {
      const topic = bench.topic();
      const watcher = await bench.subscriber(topic, 0);
      const peer = await bench.client({ will: { topic, payload: Uint8Array.of(1), qos: 0, retain: false } });
      peer.sendBytes(frame(0xe0, [0], properties([0x11], uint32(60))));
      await bench.refused(peer, 'a Session Expiry after 0', { isCode: orCode() });
      await watcher.takePublish('the will');
      await bench.silence(watcher);
    },
  ),
  ...cases('5.0/3.4 unknown-puback', 'PUBACK and PUBCOMP for unknown identifiers harm nobody else', async (bench) => {
    const peer = await bench.client();
    peer.ack(4, 77);
    peer.ack(7, 78);
    peer.send({ type: 12 });
    await peer.takeOrEnd('PINGRESP, or an end');
    const other = await bench.client();
    await other.ping();
  }),
  ...cases(
    '5.0/2.2.2.2 user-property-everywhere',
    'Every packet may have User Properties, the same name twice too',
    async (bench) => {
      const list = properties([0x26], field('a'), field('b'), [0x26], field('a'), field('b'));
      const topic = bench.topic();
      const peer = bench.open();
      peer.sendBytes(connectBytes(5, bench.clientId(), { properties: list }));
      await peer.take(2, 'CONNACK');
      peer.sendBytes(packetWith('SUBSCRIBE', list, '', topic));
      await peer.take(9, 'SUBACK');
      peer.sendBytes(packetWith('PUBLISH', list, '', topic));
      await peer.takePublish();
      peer.sendBytes(packetWith('UNSUBSCRIBE', list, '', topic));
      await peer.take(11, 'UNSUBACK');
      await bench.silence(peer);
      peer.sendBytes(packetWith('DISCONNECT', list, '', topic));
      await peer.over();
    },
  ),
  ...cases(
    '5.0/2.2.2 short-forms',
    'Acknowledgements and DISCONNECT are read in all their short and long forms',
    async (bench) => {
      bench.needsQoS(2);
      const forms: readonly Bytes[] = [[], [0], [0, 0], [0, ...properties([0x1f], field('why'))]];
      const topic = bench.topic();
      const publisher = await bench.client();
      for (const form of forms) {
        const peer = await bench.subscriber(topic, 2);
        await publisher.published(topic, 'one', { qos: 1 });
        const one = await peer.takePublish();
        peer.sendBytes(frame(0x40, uint16(one.packetId), form));
        await publisher.published(topic, 'two', { qos: 2 });
        const two = await peer.takePublish();
        peer.sendBytes(frame(0x50, uint16(two.packetId), form));
        await peer.takeAck(6, two.packetId);
        peer.sendBytes(frame(0x70, uint16(two.packetId), form));
        peer.sendPublish(bench.topic(), 'x', { qos: 2, packetId: 9 });
        await peer.takeAck(5, 9);
        peer.sendBytes(frame(0x62, uint16(9), form));
        await peer.takeAck(7, 9);
        await bench.silence(peer, publisher);
        peer.sendBytes(frame(0xe0, form));
        await peer.over();
      }
    },
  ),
];

export const protocolErrorCases: readonly Case[] = [...perPlace, ...values];
