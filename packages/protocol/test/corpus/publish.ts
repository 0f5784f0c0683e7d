/** PUBLISH and its four acknowledgements. Properties one by one are in property.ts. */
import { PacketType, type PublishPacket } from '@pipit/protocol';
import type { Case } from './case.ts';
import { bad, bin, bytes, frame, good, props, str, tolerated, variant } from './case.ts';

const malformed = 0x81;
const protocolError = 0x82;
const topicInvalid = 0x90;
const t = str('t');

const plain: PublishPacket = {
  type: PacketType.Publish,
  topic: 't',
  payload: bytes('01 02'),
  qos: 0,
  retain: false,
  dup: false,
  packetId: 0,
};
const qos1: PublishPacket = { ...plain, qos: 1, packetId: 10 };
const qos2: PublishPacket = { ...plain, qos: 2, packetId: 10 };
const utf8 = (topic: string): PublishPacket => ({ ...plain, topic });

const v4 = (id: string, hex: string, packet: PublishPacket): Case => good(`publish-4-${id}`, 4, 'client', hex, packet);
const v5 = (id: string, hex: string, packet: PublishPacket): Case => good(`publish-5-${id}`, 5, 'client', hex, packet);

const legal: readonly Case[] = [
  good('publish-3-qos-0', 3, 'client', frame('30', t, '0102'), plain),
  good('publish-3-qos-1', 3, 'server', frame('32', t, '000A 0102'), qos1),
  good('publish-3-qos-2-dup', 3, 'client', frame('3C', t, '000A 0102'), { ...qos2, dup: true }),
  // [MQTT3-2.3.1-5]
  v4('qos-0', frame('30', t, '0102'), plain),
  v4('qos-0-retain', frame('31', t, '0102'), { ...plain, retain: true }),
  v4('qos-1', frame('32', t, '000A 0102'), qos1),
  v4('qos-1-retain', frame('33', t, '000A 0102'), { ...qos1, retain: true }),
  v4('qos-2', frame('34', t, '000A 0102'), qos2),
  v4('qos-2-retain', frame('35', t, '000A 0102'), { ...qos2, retain: true }),
  v4('qos-1-dup', frame('3A', t, '000A 0102'), { ...qos1, dup: true }),
  v4('qos-1-dup-retain', frame('3B', t, '000A 0102'), { ...qos1, dup: true, retain: true }),
  v4('qos-2-dup', frame('3C', t, '000A 0102'), { ...qos2, dup: true }),
  v4('qos-2-dup-retain', frame('3D', t, '000A 0102'), { ...qos2, dup: true, retain: true }),
  v4('empty-payload', frame('30', t), { ...plain, payload: bytes('') }),
  v4('empty-payload-qos-1', frame('32', t, '000A'), { ...qos1, payload: bytes('') }),
  v4('packet-id-1', frame('32', t, '0001 0102'), { ...qos1, packetId: 1 }),
  v4('packet-id-max', frame('32', t, 'FFFF 0102'), { ...qos1, packetId: 65_535 }),
  v4('payload-121', frame('30', t, '00'.repeat(121)), { ...plain, payload: new Uint8Array(121) }),
  v4('length-127', frame('30', t, '00'.repeat(124)), { ...plain, payload: new Uint8Array(124) }),
  v4('length-128', frame('30', t, '00'.repeat(125)), { ...plain, payload: new Uint8Array(125) }),
  v4('length-16383', frame('30', t, 'AB'.repeat(16_380)), { ...plain, payload: new Uint8Array(16_380).fill(0xab) }),
  v4('length-16384', frame('30', t, 'AB'.repeat(16_381)), { ...plain, payload: new Uint8Array(16_381).fill(0xab) }),
  // [MQTT-2.2.1-2]
  v5('qos-0', frame('30', t, '00 0102'), plain),
  v5('qos-1', frame('32', t, '000A 00 0102'), qos1),
  v5('qos-2', frame('34', t, '000A 00 0102'), qos2),
  v5('retain', frame('31', t, '00 0102'), { ...plain, retain: true }),
  v5('qos-1-dup', frame('3A', t, '000A 00 0102'), { ...qos1, dup: true }),
  v5('empty-payload', frame('30', t, '00'), { ...plain, payload: bytes('') }),
  v5('alias', frame('30', t, '03 23 0001 0102'), { ...plain, properties: { topicAlias: 1 } }),
  v5('alias-alone', frame('30', '0000', '03 23 FFFF 0102'), {
    ...plain,
    topic: '',
    properties: { topicAlias: 65_535 },
  }),
  v5('text', frame('30', t, '02 01 01', '68C3A9'), {
    ...plain,
    payload: bytes('68C3A9'),
    properties: { payloadFormatIndicator: 1 },
  }),
  v5('text-with-null', frame('30', t, '02 01 01', '00'), {
    ...plain,
    payload: bytes('00'),
    properties: { payloadFormatIndicator: 1 },
  }),
  good('publish-5-server-text-unchecked', 5, 'server', frame('30', t, '02 01 01', 'FF'), {
    ...plain,
    payload: bytes('FF'),
    properties: { payloadFormatIndicator: 1 },
  }),
  tolerated(
    'publish-5-client-text-unchecked',
    5,
    'client',
    frame('30', t, '02 01 01', 'FF'),
    {
      ...plain,
      payload: bytes('FF'),
      properties: { payloadFormatIndicator: 1 },
    },
    0x99,
  ),
  good('publish-5-subscription-identifiers', 5, 'server', frame('30', t, props('0B 01 0B 01 0BFFFFFF7F'), '0102'), {
    ...plain,
    properties: { subscriptionIdentifiers: [1, 1, 268_435_455] },
  }),
  v5(
    'everything',
    frame(
      '3D',
      ...[t, '000A'],
      props(
        `01 00 02 00000000 03${str('c')}08${str('r/t')}09${bin('00FF')}23 0007`,
        `26${str('b')}${str('1')}26${str('a')}0000`,
      ),
      '0102',
    ),
    {
      ...qos2,
      dup: true,
      retain: true,
      properties: {
        payloadFormatIndicator: 0,
        messageExpiryInterval: 0,
        contentType: 'c',
        responseTopic: 'r/t',
        correlationData: bytes('00FF'),
        topicAlias: 7,
        userProperties: [
          ['b', '1'],
          ['a', ''],
        ],
      },
    },
  ),
  variant('publish-5-property-order', 5, 'client', frame('30', t, props(`23 0007 01 00`), '0102'), {
    ...plain,
    properties: { payloadFormatIndicator: 0, topicAlias: 7 },
  }),
  v4('topic-slash', frame('30', str('/'), '0102'), utf8('/')),
  v4('topic-dollar', frame('30', str('$SYS/x'), '0102'), utf8('$SYS/x')),
  v4('topic-spaces', frame('30', str(' a b '), '0102'), utf8(' a b ')),
  v4('topic-control', frame('30', bin('01 7F C285'), '0102'), utf8('\u0001\u007F\u0085')),
  v4('topic-non-character', frame('30', bin('EFBFBF'), '0102'), utf8('\uFFFF')),
  v4('topic-feff', frame('30', bin('EFBBBF 61'), '0102'), utf8('\uFEFFa')),
  v4('topic-two-byte-min', frame('30', bin('C280'), '0102'), utf8('\u0080')),
  v4('topic-two-byte-max', frame('30', bin('DFBF'), '0102'), utf8('\u07FF')),
  v4('topic-three-byte-min', frame('30', bin('E0A080'), '0102'), utf8('\u0800')),
  v4('topic-below-surrogates', frame('30', bin('ED9FBF'), '0102'), utf8('\uD7FF')),
  v4('topic-above-surrogates', frame('30', bin('EE8080'), '0102'), utf8('\uE000')),
  v4('topic-four-byte-min', frame('30', bin('F0908080'), '0102'), utf8('\u{10000}')),
  v4('topic-four-byte-max', frame('30', bin('F48FBFBF'), '0102'), utf8('\u{10FFFF}')),
  v4('topic-200-levels', frame('30', str('/'.repeat(199)), '0102'), utf8('/'.repeat(199))),
];

/** What may not stand in a string, with the rule it breaks. */
const badText: readonly (readonly [what: string, hex: string])[] = [
  ['null', '61 00 62'],
  ['surrogate-high', 'ED A0 80'],
  ['surrogate-low', 'ED BF BF'],
  ['surrogate-pair', 'ED A0 BD ED B8 80'],
  ['continuation-alone', '80'],
  ['continuation-last', '61 BF'],
  ['overlong-two-c0', 'C0 80'],
  ['overlong-two-c1', 'C1 BF'],
  ['overlong-three', 'E0 9F BF'],
  ['overlong-four', 'F0 8F BF BF'],
  ['above-10ffff', 'F4 90 80 80'],
  ['f5', 'F5 80 80 80'],
  ['ff', 'FF'],
  ['fe', '61 FE 62'],
  ['cut-two', 'C3'],
  ['cut-three', 'E2 82'],
  ['cut-four', 'F0 9F 98'],
  ['two-without-continuation', 'C3 28'],
  ['three-bad-third', 'E2 82 28'],
  ['four-bad-fourth', 'F0 9F 98 28'],
];

const illegal: readonly Case[] = [
  // [MQTT-3.3.1-4] [MQTT3-3.3.1-4]
  ...[3, 4, 5].map((version) =>
    bad(`publish-${version}-qos-3`, version as 4, 'client', frame('36', t, '000A 00 0102'), malformed, {
      ...qos1,
      qos: 3 as 2,
    }),
  ),
  // [MQTT-3.3.1-2] [MQTT3-3.3.1-2]
  ...[3, 4, 5].map((version) =>
    bad(`publish-${version}-dup-qos-0`, version as 4, 'client', frame('38', t, '00 0102'), malformed, {
      ...plain,
      dup: true,
    }),
  ),
  bad('publish-4-dup-qos-0-retain', 4, 'server', frame('39', t), malformed),
  // [MQTT-2.2.1-3] [MQTT-2.2.1-4] [MQTT3-2.3.1-1]
  bad('publish-4-packet-id-0', 4, 'client', frame('32', t, '0000 0102'), protocolError, { ...qos1, packetId: 0 }),
  bad('publish-5-packet-id-0', 5, 'server', frame('34', t, '0000 00 0102'), protocolError, { ...qos2, packetId: 0 }),
  bad('publish-3-topic-empty', 3, 'client', frame('30', '0000 0102'), malformed, { ...plain, topic: '' }),
  // [MQTT3-4.7.3-1]
  bad('publish-4-topic-empty', 4, 'client', frame('30', '0000 0102'), malformed, { ...plain, topic: '' }),
  bad('publish-5-topic-empty', 5, 'client', frame('30', '0000 00 0102'), protocolError, { ...plain, topic: '' }),
  bad('publish-5-topic-empty-from-server', 5, 'server', frame('32', '0000 000A 00'), protocolError),
  // [MQTT3-3.3.2-2] [MQTT3-4.7.1-1]
  bad('publish-4-topic-plus', 4, 'client', frame('30', str('a/+'), '0102'), topicInvalid, utf8('a/+')),
  bad('publish-4-topic-hash', 4, 'server', frame('30', str('#'), '0102'), topicInvalid, utf8('#')),
  // [MQTT-3.3.2-2] [MQTT-4.7.0-1]
  bad('publish-5-topic-plus', 5, 'client', frame('30', str('a+b'), '00 0102'), topicInvalid, utf8('a+b')),
  bad('publish-5-topic-hash', 5, 'client', frame('30', str('a/#'), '00 0102'), topicInvalid, utf8('a/#')),
  bad('publish-4-empty', 4, 'client', '30 00', malformed),
  bad('publish-4-one-byte', 4, 'client', '30 01 00', malformed),
  bad('publish-4-topic-cut', 4, 'client', '30 03 0002 61', malformed),
  bad('publish-4-no-packet-id', 4, 'client', frame('32', t), malformed),
  bad('publish-4-half-packet-id', 4, 'client', frame('32', t, '00'), malformed),
  bad('publish-5-no-properties', 5, 'client', frame('30', t), malformed),
  bad('publish-5-no-properties-qos-1', 5, 'client', frame('32', t, '000A'), malformed),
  bad('publish-5-property-length-past-end', 5, 'client', frame('30', t, '04 23 0001'), malformed),
  bad('publish-5-property-length-cut', 5, 'client', frame('30', t, '80'), malformed),
  bad('publish-5-property-length-over-long', 5, 'client', frame('30', t, '8000'), malformed),
  bad('publish-5-property-length-five-bytes', 5, 'client', frame('30', t, '8080808000'), malformed),
  bad('publish-5-property-past-block', 5, 'client', frame('30', t, '02 23 0001'), malformed),
  bad('publish-5-subscription-identifier-from-client', 5, 'client', frame('30', t, '02 0B 01'), protocolError, {
    ...plain,
    properties: { subscriptionIdentifiers: [1] },
  }),
  // [MQTT-3.3.2-14]
  bad('publish-5-response-topic-wildcard', 5, 'client', frame('30', t, props(`08${str('a/#')}`)), protocolError, {
    ...plain,
    properties: { responseTopic: 'a/#' },
  }),
  bad('publish-5-response-topic-empty', 5, 'server', frame('30', t, props('08 0000')), protocolError, {
    ...plain,
    properties: { responseTopic: '' },
  }),
  bad('publish-4-properties', 4, 'client', '30 02 0001', malformed, { ...plain, properties: { contentType: 'x' } }),
  // [MQTT-3.3.2-1] [MQTT-1.5.4-1] [MQTT-1.5.4-2] [MQTT3-3.3.2-1] [MQTT3-1.5.3-1] [MQTT3-1.5.3-2]
  ...badText.map(([what, hex]) =>
    bad(`publish-4-topic-${what}`, 4, 'client', frame('30', bin(hex), '0102'), malformed),
  ),
  // [MQTT-3.3.2-19]
  ...badText.map(([what, hex]) =>
    bad(`publish-5-content-type-${what}`, 5, 'client', frame('30', t, props(`03${bin(hex)}`)), malformed),
  ),
  // [MQTT-1.5.7-1]
  ...badText.map(([what, hex]) =>
    bad(`publish-5-user-property-name-${what}`, 5, 'server', frame('30', t, props(`26${bin(hex)}0000`)), malformed),
  ),
  ...badText.map(([what, hex]) =>
    bad(`publish-5-user-property-value-${what}`, 5, 'server', frame('30', t, props(`26 0000${bin(hex)}`)), malformed),
  ),
];

type Ack = 4 | 5 | 6 | 7;
const acks = [
  ['puback', 4, '40'],
  ['pubrec', 5, '50'],
  ['pubrel', 6, '62'],
  ['pubcomp', 7, '70'],
] as const;
const pubackCodes = [0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const ack = (type: Ack, reasonCode = 0, packetId = 10) => ({ type, packetId, reasonCode }) as const;

function* ackCases(name: string, type: Ack, first: string): Generator<Case> {
  for (const version of [3, 4, 5] as const) {
    for (const sender of ['client', 'server'] as const) {
      yield good(`${name}-${version}-${sender}`, version, sender, `${first} 02 000A`, ack(type));
    }
    yield good(`${name}-${version}-packet-id-max`, version, 'client', `${first} 02 FFFF`, ack(type, 0, 65_535));
    yield bad(`${name}-${version}-packet-id-0`, version, 'client', `${first} 02 0000`, protocolError);
    yield bad(`${name}-${version}-empty`, version, 'client', `${first} 00`, malformed);
    yield bad(`${name}-${version}-short`, version, 'client', `${first} 01 00`, malformed);
  }
  yield bad(`${name}-4-reason-code`, 4, 'client', `${first} 03 000A 00`, malformed, ack(type, 0x80));
  yield bad(`${name}-3-properties`, 3, 'client', `${first} 04 000A 00 00`, malformed);
  yield variant(`${name}-5-code-0`, 5, 'client', `${first} 03 000A 00`, ack(type));
  yield variant(`${name}-5-code-0-no-properties`, 5, 'server', `${first} 04 000A 00 00`, ack(type));
  const right = type <= 5 ? pubackCodes : [0x92];
  const wrong = [...(type <= 5 ? [0x92] : pubackCodes), 0x01, 0x04, 0x18, 0x81, 0x8e, 0xff];
  for (const code of right) {
    const hex = code.toString(16).padStart(2, '0');
    yield good(`${name}-5-code-${hex}`, 5, 'client', `${first} 03 000A ${hex}`, ack(type, code));
    yield variant(`${name}-5-code-${hex}-no-properties`, 5, 'server', `${first} 04 000A ${hex} 00`, ack(type, code));
  }
  // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
  for (const code of wrong) {
    const hex = code.toString(16).padStart(2, '0');
    yield bad(`${name}-5-code-${hex}`, 5, 'client', `${first} 03 000A ${hex}`, protocolError, ack(type, code));
  }
  const reason = props(`1F${str('why')}26${str('a')}${str('b')}`);
  const properties = { reasonString: 'why', userProperties: [['a', 'b'] as const] };
  yield good(`${name}-5-properties`, 5, 'server', frame(first, '000A 00', reason), { ...ack(type), properties });
  yield bad(`${name}-5-surplus`, 5, 'client', `${first} 05 000A 00 00 00`, malformed);
  yield bad(`${name}-5-property-length-past-end`, 5, 'client', `${first} 04 000A 00 01`, malformed);
}

export const publishCases: readonly Case[] = [
  ...legal,
  ...illegal,
  ...acks.flatMap(([name, type, first]) => [...ackCases(name, type, first)]),
  variant('pubrel-3-dup', 3, 'client', '6A 02 000A', ack(6)),
];
