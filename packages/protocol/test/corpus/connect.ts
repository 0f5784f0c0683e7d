/** CONNECT and CONNACK. Properties one by one are in property.ts. */
import { type ConnackPacket, type ConnectPacket, PacketType } from '@pipit/protocol';
import type { Case } from './case.ts';
import { bad, bin, bytes, frame, good, props, str, tolerated, variant } from './case.ts';

const malformed = 0x81;
const protocolError = 0x82;
const unsupported = 0x84;
const name = str('MQTT');
const name3 = str('MQIsdp');
const c = str('c');
const user = str('user');
const pass = bin('FF 00');
const will = str('w') + bin('01 02');

const plain: ConnectPacket = { type: PacketType.Connect, version: 4, clientId: 'c', cleanStart: true, keepAlive: 60 };
const plain3: ConnectPacket = { ...plain, version: 3 };
const plain5: ConnectPacket = { ...plain, version: 5 };
const password = bytes('FF 00');
const theWill = { topic: 'w', payload: bytes('01 02'), qos: 0, retain: false } as const;

const ok = (id: string, packet: ConnectPacket, ...body: string[]): Case =>
  good(`connect-${packet.version}-${id}`, packet.version, 'client', frame('10', ...body), packet);
const accepted = (id: string, packet: ConnectPacket, ...body: string[]): Case =>
  variant(`connect-${packet.version}-${id}`, packet.version, 'client', frame('10', ...body), packet);
const no = (id: string, refused: number, ...body: string[]): Case =>
  bad(`connect-${id}`, 5, 'client', frame('10', ...body), refused);
const unwritable = (id: string, refused: number, packet: ConnectPacket, ...body: string[]): Case =>
  bad(`connect-${packet.version}-${id}`, packet.version, 'client', frame('10', ...body), refused, packet);

const legal: readonly Case[] = [
  ok('plain', plain3, name3, '03 02 003C', c),
  ok('plain', plain, name, '04 02 003C', c),
  ok('plain', plain5, name, '05 02 003C 00', c),
  ok('bridge', { ...plain3, bridge: true }, name3, '83 02 003C', c),
  ok('bridge', { ...plain, bridge: true }, name, '84 02 003C', c),
  ok('persistent', { ...plain3, cleanStart: false }, name3, '03 00 003C', c),
  ok('persistent', { ...plain, cleanStart: false }, name, '04 00 003C', c),
  ok('resume', { ...plain5, cleanStart: false }, name, '05 00 003C 00', c),
  ok('empty-client-id', { ...plain, clientId: '' }, name, '04 02 003C', '0000'),
  ok('empty-client-id', { ...plain5, clientId: '' }, name, '05 02 003C 00', '0000'),
  ok('empty-client-id-resume', { ...plain5, clientId: '', cleanStart: false }, name, '05 00 003C 00', '0000'),
  tolerated(
    'connect-4-empty-client-id-persistent',
    4,
    'client',
    frame('10', name, '04 00 003C', '0000'),
    { ...plain, clientId: '', cleanStart: false },
    0x85,
  ),
  tolerated(
    'connect-3-empty-client-id',
    3,
    'client',
    frame('10', name3, '03 02 003C', '0000'),
    { ...plain3, clientId: '' },
    0x85,
  ),
  ok('client-id-24', { ...plain3, clientId: 'x'.repeat(24) }, name3, '03 02 003C', str('x'.repeat(24))),
  // [MQTT-1.5.4-3] [MQTT3-1.5.3-3]
  ok('client-id-feff', { ...plain5, clientId: '\uFEFFa' }, name, '05 02 003C 00', bin('EFBBBF 61')),
  ok('client-id-four-bytes', { ...plain5, clientId: '😀' }, name, '05 02 003C 00', bin('F09F9880')),
  ok('keep-alive-0', { ...plain, keepAlive: 0 }, name, '04 02 0000', c),
  ok('keep-alive-1', { ...plain, keepAlive: 1 }, name, '04 02 0001', c),
  ok('keep-alive-max', { ...plain, keepAlive: 65_535 }, name, '04 02 FFFF', c),
  ok('username', { ...plain3, username: 'user' }, name3, '03 82 003C', c, user),
  ok('username', { ...plain, username: 'user' }, name, '04 82 003C', c, user),
  ok('username', { ...plain5, username: 'user' }, name, '05 82 003C 00', c, user),
  ok('username-empty', { ...plain, username: '' }, name, '04 82 003C', c, '0000'),
  ok('credentials', { ...plain3, username: 'user', password }, name3, '03 C2 003C', c, user, pass),
  ok('credentials', { ...plain, username: 'user', password }, name, '04 C2 003C', c, user, pass),
  ok('credentials', { ...plain5, username: 'user', password }, name, '05 C2 003C 00', c, user, pass),
  ok('password-empty', { ...plain, username: 'user', password: bytes('') }, name, '04 C2 003C', c, user, '0000'),
  // [MQTT-3.1.2-19]
  ok('password-alone', { ...plain5, password }, name, '05 42 003C 00', c, pass),
  ok('will', { ...plain3, will: theWill }, name3, '03 06 003C', c, will),
  ok('will', { ...plain, will: theWill }, name, '04 06 003C', c, will),
  ok('will', { ...plain5, will: theWill }, name, '05 06 003C 00', c, '00', will),
  ok('will-qos-1', { ...plain, will: { ...theWill, qos: 1 } }, name, '04 0E 003C', c, will),
  ok('will-qos-2', { ...plain, will: { ...theWill, qos: 2 } }, name, '04 16 003C', c, will),
  ok('will-qos-1', { ...plain5, will: { ...theWill, qos: 1 } }, name, '05 0E 003C 00', c, '00', will),
  ok('will-qos-2', { ...plain5, will: { ...theWill, qos: 2 } }, name, '05 16 003C 00', c, '00', will),
  ok('will-retain', { ...plain, will: { ...theWill, retain: true } }, name, '04 26 003C', c, will),
  ok('will-retain', { ...plain5, will: { ...theWill, retain: true } }, name, '05 26 003C 00', c, '00', will),
  ok('will-empty', { ...plain, will: { ...theWill, payload: bytes('') } }, name, '04 06 003C', c, str('w'), '0000'),
  // [MQTT3-3.1.3-1]
  ok(
    'everything',
    { ...plain, cleanStart: false, username: 'user', password, will: { ...theWill, qos: 2, retain: true } },
    ...[name, '04 F4 003C', c, will, user, pass],
  ),
  // [MQTT-3.1.3-1]
  ok(
    'everything',
    {
      ...plain5,
      username: 'user',
      password,
      will: { ...theWill, qos: 1, retain: true, properties: { willDelayInterval: 5, contentType: 't' } },
      properties: {
        sessionExpiryInterval: 0xffff_ffff,
        authenticationMethod: 'm',
        authenticationData: bytes('09'),
        requestProblemInformation: false,
        requestResponseInformation: true,
        receiveMaximum: 10,
        topicAliasMaximum: 11,
        userProperties: [
          ['a', 'b'],
          ['a', 'b'],
        ],
        maximumPacketSize: 1000,
      },
    },
    ...[name, '05 EE 003C'],
    props(
      `11 FFFFFFFF 15${str('m')}16${bin('09')}17 00 19 01 21 000A 22 000B`,
      `26${str('a')}${str('b')}26${str('a')}${str('b')}27 000003E8`,
    ),
    ...[c, props(`03${str('t')}18 00000005`), will, user, pass],
  ),
  // What MQTT 3.1 servers tolerate.
  accepted('username-missing', plain3, name3, '03 82 003C', c),
  accepted('credentials-missing', plain3, name3, '03 C2 003C', c),
  accepted('password-missing', { ...plain3, username: 'user' }, name3, '03 C2 003C', c, user),
  accepted('reserved-flag', plain3, name3, '03 03 003C', c),
  accepted('will-bits-without-will', plain3, name3, '03 3A 003C', c),
];

const illegal: readonly Case[] = [
  // [MQTT-3.1.2-1] [MQTT3-3.1.2-1]
  no('name-unknown', unsupported, str('MQTTT'), '04 02 003C', c),
  no('name-case', unsupported, str('MQTt'), '05 02 003C 00', c),
  no('name-empty', unsupported, '0000', '04 02 003C', c),
  no('name-http', unsupported, str('HTTP'), '05 02 003C 00', c),
  no('name-invalid-utf8', malformed, bin('4D 51 FF 54'), '04 02 003C', c),
  // [MQTT-3.1.2-2] [MQTT3-3.1.2-2]
  no('level-0', unsupported, name, '00 02 003C', c),
  no('level-3-as-mqtt', unsupported, name, '03 02 003C', c),
  no('level-6', unsupported, name, '06 02 003C 00', c),
  no('level-5-bridge', unsupported, name, '85 02 003C 00', c),
  no('level-255', unsupported, name, 'FF 02 003C', c),
  no('mqisdp-level-4', unsupported, name3, '04 02 003C', c),
  no('mqisdp-level-5', unsupported, name3, '05 02 003C 00', c),
  // [MQTT3-3.1.2-3]
  no('4-reserved-flag', malformed, name, '04 03 003C', c),
  // [MQTT-3.1.2-3]
  no('5-reserved-flag', malformed, name, '05 03 003C 00', c),
  no('3-will-qos-3', malformed, name3, '03 1E 003C', c, will),
  // [MQTT3-3.1.2-14]
  unwritable('will-qos-3', malformed, { ...plain, will: { ...theWill, qos: 3 as 2 } }, name, '04 1E 003C', c, will),
  // [MQTT-3.1.2-12]
  unwritable(
    'will-qos-3',
    malformed,
    { ...plain5, will: { ...theWill, qos: 3 as 2 } },
    name,
    '05 1E 003C 00',
    c,
    '00',
    will,
  ),
  // [MQTT3-3.1.2-11] [MQTT3-3.1.2-13]
  no('4-will-qos-1-without-will', malformed, name, '04 0A 003C', c),
  no('4-will-qos-2-without-will', malformed, name, '04 12 003C', c),
  // [MQTT-3.1.2-11]
  no('5-will-qos-1-without-will', malformed, name, '05 0A 003C 00', c),
  no('5-will-qos-2-without-will', malformed, name, '05 12 003C 00', c),
  // [MQTT3-3.1.2-15]
  no('4-will-retain-without-will', malformed, name, '04 22 003C', c),
  // [MQTT-3.1.2-13]
  no('5-will-retain-without-will', malformed, name, '05 22 003C 00', c),
  unwritable('password-alone', malformed, { ...plain3, password }, name3, '03 42 003C', c, pass),
  // [MQTT3-3.1.2-22]
  unwritable('password-alone', malformed, { ...plain, password }, name, '04 42 003C', c, pass),
  // [MQTT3-3.1.2-19]
  no('4-username-missing', malformed, name, '04 82 003C', c),
  // [MQTT-3.1.2-17]
  no('5-username-missing', malformed, name, '05 82 003C 00', c),
  // [MQTT3-3.1.2-21]
  no('4-password-missing', malformed, name, '04 C2 003C', c, user),
  // [MQTT-3.1.2-19]
  no('5-password-missing', malformed, name, '05 C2 003C 00', c, user),
  // [MQTT3-3.1.2-18] [MQTT3-3.1.2-20]
  no('4-username-unannounced', malformed, name, '04 02 003C', c, user),
  // [MQTT-3.1.2-16] [MQTT-3.1.2-18]
  no('5-password-unannounced', malformed, name, '05 82 003C 00', c, user, pass),
  no('3-surplus', malformed, name3, '03 02 003C', c, '00'),
  no('5-surplus', malformed, name, '05 02 003C 00', c, '00'),
  // [MQTT3-3.1.3-3]
  no('4-no-client-id', malformed, name, '04 02 003C'),
  // [MQTT-3.1.3-3]
  no('5-no-client-id', malformed, name, '05 02 003C 00'),
  // [MQTT-2.2.2-1]
  no('5-no-properties', malformed, name, '05 02 003C'),
  no('5-no-keep-alive', malformed, name, '05 02'),
  no('5-half-keep-alive', malformed, name, '05 02 00'),
  no('no-flags', malformed, name, '04'),
  no('no-level', malformed, name),
  no('half-name', malformed, '0004 4D51'),
  no('empty', malformed, ''),
  // [MQTT3-3.1.2-9]
  no('4-no-will', malformed, name, '04 06 003C', c),
  no('4-no-will-payload', malformed, name, '04 06 003C', c, str('w')),
  // [MQTT-3.1.2-9]
  no('5-no-will-properties', malformed, name, '05 06 003C 00', c),
  no('5-no-will-topic', malformed, name, '05 06 003C 00', c, '00'),
  no('5-no-will-payload', malformed, name, '05 06 003C 00', c, '00', str('w')),
  unwritable(
    'will-topic-empty',
    0x90,
    { ...plain5, will: { ...theWill, topic: '' } },
    name,
    '05 06 003C 00',
    c,
    '00',
    '0000',
    '0000',
  ),
  unwritable(
    'will-topic-wildcard',
    0x90,
    { ...plain, will: { ...theWill, topic: 'a/#' } },
    name,
    '04 06 003C',
    c,
    str('a/#'),
    '0000',
  ),
  unwritable(
    'will-topic-plus',
    0x90,
    { ...plain5, will: { ...theWill, topic: '+' } },
    name,
    '05 06 003C 00',
    c,
    '00',
    str('+'),
    '0000',
  ),
  // [MQTT3-3.1.3-4] [MQTT3-1.5.3-2]
  unwritable('client-id-null', malformed, { ...plain, clientId: 'a\0' }, name, '04 02 003C', bin('61 00')),
  // [MQTT-3.1.3-4]
  unwritable(
    'client-id-surrogate',
    malformed,
    { ...plain5, clientId: '\uD800' },
    name,
    '05 02 003C 00',
    bin('ED A0 80'),
  ),
  no('5-client-id-overlong', malformed, name, '05 02 003C 00', bin('C0 AF')),
  // [MQTT-3.1.3-12]
  no('5-username-invalid', malformed, name, '05 82 003C 00', c, bin('FF')),
  // [MQTT-3.1.3-11]
  no('5-will-topic-invalid', malformed, name, '05 06 003C 00', c, '00', bin('80'), '0000'),
  // [MQTT3-3.1.3-11]
  no('4-username-invalid', malformed, name, '04 82 003C', c, bin('FF')),
  // [MQTT3-3.1.3-10]
  no('4-will-topic-invalid', malformed, name, '04 06 003C', c, bin('80'), '0000'),
  no('5-property-length-past-end', malformed, name, '05 02 003C 7F', c),
  no('5-property-length-over-long', malformed, name, '05 02 003C 8000', c),
  unwritable(
    'authentication-data-alone',
    protocolError,
    { ...plain5, properties: { authenticationData: bytes('01') } },
    ...[name, '05 02 003C', props(`16${bin('01')}`), c],
  ),
];

const connack = (reasonCode: number, sessionPresent = false): ConnackPacket => ({
  type: PacketType.Connack,
  sessionPresent,
  reasonCode,
});

const connackCodes = [
  0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x90, 0x95, 0x97, 0x99, 0x9a, 0x9b,
  0x9c, 0x9d, 0x9f,
];

const connacks: readonly Case[] = [
  // [MQTT-3.2.2-8]
  ...connackCodes.map((code) => {
    const hex = code.toString(16).padStart(2, '0');
    return good(`connack-5-code-${hex}`, 5, 'server', `20 03 00 ${hex} 00`, connack(code));
  }),
  ...[0, 1, 2, 3, 4, 5].map((code) => good(`connack-4-code-${code}`, 4, 'server', `20 02 00 0${code}`, connack(code))),
  ...[0, 1, 2, 3, 4, 5].map((code) => good(`connack-3-code-${code}`, 3, 'server', `20 02 00 0${code}`, connack(code))),
  good('connack-4-session-present', 4, 'server', '20 02 01 00', connack(0, true)),
  good('connack-5-session-present', 5, 'server', '20 03 01 00 00', connack(0, true)),
  variant('connack-3-reserved-byte', 3, 'server', '20 02 01 00', connack(0)),
  bad('connack-4-code-6', 4, 'server', '20 02 00 06', protocolError, connack(6)),
  bad('connack-3-code-128', 3, 'server', '20 02 00 80', protocolError, connack(0x80)),
  bad('connack-5-code-1', 5, 'server', '20 03 00 01 00', protocolError, connack(1)),
  bad('connack-5-code-8b', 5, 'server', '20 03 00 8B 00', protocolError, connack(0x8b)),
  bad('connack-5-code-8e', 5, 'server', '20 03 00 8E 00', protocolError, connack(0x8e)),
  bad('connack-5-code-ff', 5, 'server', '20 03 00 FF 00', protocolError, connack(0xff)),
  // [MQTT-3.2.2-6] [MQTT3-3.2.2-4]
  bad('connack-4-session-present-refusal', 4, 'server', '20 02 01 05', protocolError, connack(5, true)),
  bad('connack-5-session-present-refusal', 5, 'server', '20 03 01 87 00', protocolError, connack(0x87, true)),
  // [MQTT-3.2.2-1]
  bad('connack-4-reserved-flag', 4, 'server', '20 02 02 00', malformed),
  bad('connack-5-reserved-flag', 5, 'server', '20 03 81 00 00', malformed),
  bad('connack-5-no-properties', 5, 'server', '20 02 00 00', malformed),
  bad('connack-4-properties', 4, 'server', '20 03 00 00 00', malformed, {
    ...connack(0),
    properties: { reasonString: 'r' },
  }),
  bad('connack-4-short', 4, 'server', '20 01 00', malformed),
  bad('connack-4-empty', 4, 'server', '20 00', malformed),
  bad('connack-5-surplus', 5, 'server', '20 04 00 00 00 00', malformed),
];

export const connectCases: readonly Case[] = [...legal, ...illegal, ...connacks];
