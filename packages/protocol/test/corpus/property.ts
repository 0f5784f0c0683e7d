/**
 * Every property in every packet: alone, twice, cut short, at and past its legal values, and where it does not belong.
 * Which property belongs where is written down here a second time, from the standard's side of the table: by packet.
 */
import { type Packet, PacketType, type PropertyName, type Sender } from '@pipit/protocol';
import type { Case } from './case.ts';
import { bad, bin, bytes, frame, good, props, str } from './case.ts';

const malformed = 0x81;
const protocolError = 0x82;
const hexId = (id: number): string => id.toString(16).padStart(2, '0');

interface Place {
  readonly name: string;
  readonly sender: Sender;
  readonly allowed: readonly number[];
  /** What the packet needs beside the property under test. */
  readonly needs?: number;
  readonly bytes: (block: string) => string;
  readonly packet: (properties: object) => Packet;
}

const name5 = `${str('MQTT')}05`;
const connect = { type: PacketType.Connect, version: 5, clientId: 'c', cleanStart: true, keepAlive: 0 } as const;
const will = { topic: 'w', payload: bytes(''), qos: 0, retain: false } as const;
const publish = {
  type: PacketType.Publish,
  topic: 't',
  payload: bytes('AA'),
  qos: 0,
  retain: false,
  dup: false,
  packetId: 0,
} as const;
const subscription = { filter: 'a', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;

const ack = (name: string, type: 4 | 5 | 6 | 7, first: string): Place => ({
  name,
  sender: 'client',
  allowed: [0x1f, 0x26],
  bytes: (block) => frame(first, '0001 00', block),
  packet: (properties) => ({ type, packetId: 1, reasonCode: 0, properties }) as Packet,
});

const places: readonly Place[] = [
  {
    name: 'connect',
    sender: 'client',
    allowed: [0x11, 0x21, 0x27, 0x22, 0x19, 0x17, 0x26, 0x15, 0x16],
    bytes: (block) => frame('10', name5, '02 0000', block, str('c')),
    packet: (properties) => ({ ...connect, properties }),
  },
  {
    name: 'will',
    sender: 'client',
    allowed: [0x18, 0x01, 0x02, 0x03, 0x08, 0x09, 0x26],
    bytes: (block) => frame('10', name5, '06 0000 00', str('c'), block, str('w'), '0000'),
    packet: (properties) => ({ ...connect, will: { ...will, properties } }),
  },
  {
    name: 'connack',
    sender: 'server',
    allowed: [0x11, 0x21, 0x24, 0x25, 0x27, 0x12, 0x22, 0x1f, 0x26, 0x28, 0x29, 0x2a, 0x13, 0x1a, 0x1c, 0x15, 0x16],
    bytes: (block) => frame('20', '00 00', block),
    packet: (properties) => ({ type: PacketType.Connack, sessionPresent: false, reasonCode: 0, properties }),
  },
  {
    name: 'publish',
    sender: 'server',
    allowed: [0x01, 0x02, 0x23, 0x08, 0x09, 0x26, 0x0b, 0x03],
    bytes: (block) => frame('30', str('t'), block, 'AA'),
    packet: (properties) => ({ ...publish, properties }),
  },
  ack('puback', 4, '40'),
  ack('pubrec', 5, '50'),
  ack('pubrel', 6, '62'),
  ack('pubcomp', 7, '70'),
  {
    name: 'subscribe',
    sender: 'client',
    allowed: [0x0b, 0x26],
    bytes: (block) => frame('82', '0001', block, str('a'), '00'),
    packet: (properties) => ({ type: PacketType.Subscribe, packetId: 1, subscriptions: [subscription], properties }),
  },
  {
    name: 'suback',
    sender: 'server',
    allowed: [0x1f, 0x26],
    bytes: (block) => frame('90', '0001', block, '00'),
    packet: (properties) => ({ type: PacketType.Suback, packetId: 1, reasonCodes: [0], properties }),
  },
  {
    name: 'unsubscribe',
    sender: 'client',
    allowed: [0x26],
    bytes: (block) => frame('A2', '0001', block, str('a')),
    packet: (properties) => ({ type: PacketType.Unsubscribe, packetId: 1, filters: ['a'], properties }),
  },
  {
    name: 'unsuback',
    sender: 'server',
    allowed: [0x1f, 0x26],
    bytes: (block) => frame('B0', '0001', block, '00'),
    packet: (properties) => ({ type: PacketType.Unsuback, packetId: 1, reasonCodes: [0], properties }),
  },
  {
    name: 'disconnect-client',
    sender: 'client',
    allowed: [0x11, 0x1f, 0x26],
    bytes: (block) => frame('E0', '00', block),
    packet: (properties) => ({ type: PacketType.Disconnect, reasonCode: 0, properties }),
  },
  {
    name: 'disconnect-server',
    sender: 'server',
    allowed: [0x1f, 0x26, 0x1c],
    bytes: (block) => frame('E0', '00', block),
    packet: (properties) => ({ type: PacketType.Disconnect, reasonCode: 0, properties }),
  },
  {
    name: 'auth',
    sender: 'client',
    allowed: [0x15, 0x16, 0x1f, 0x26],
    needs: 0x15,
    bytes: (block) => frame('F0', '18', block),
    packet: (properties) => ({ type: PacketType.Auth, reasonCode: 0x18, properties }),
  },
];

interface Sample {
  readonly id: number;
  readonly name: PropertyName;
  /** A legal value, as bytes and as it decodes. */
  readonly bytes: string;
  readonly value: unknown;
  /** More legal values: the boundaries. */
  readonly legal?: readonly (readonly [bytes: string, value: unknown])[];
  /** Illegal ones, as bytes and as the encoder might be given them, and the reason code if it is not Protocol Error. */
  readonly illegal?: readonly (readonly [bytes: string, value: unknown, code?: number])[];
}

const badString = ['0001 FF', '\uD800', malformed] as const;
const text = (id: number, name: PropertyName): Sample => ({
  id,
  name,
  bytes: str('x'),
  value: 'x',
  legal: [['0000', '']],
  illegal: [badString, ['0001 00', '\0', malformed]],
});
const switchOf = (id: number, name: PropertyName): Sample => ({
  id,
  name,
  bytes: '01',
  value: true,
  legal: [['00', false]],
  illegal: [
    ['02', 2],
    ['FF', 1],
  ],
});
const seconds = (id: number, name: PropertyName): Sample => ({
  id,
  name,
  bytes: '00000001',
  value: 1,
  legal: [
    ['00000000', 0],
    ['FFFFFFFF', 0xffff_ffff],
  ],
});

const samples: readonly Sample[] = [
  { id: 0x01, name: 'payloadFormatIndicator', bytes: '00', value: 0, illegal: [['02', 2]] },
  seconds(0x02, 'messageExpiryInterval'),
  text(0x03, 'contentType'),
  // [MQTT-3.3.2-13] [MQTT-3.3.2-14]
  {
    id: 0x08,
    name: 'responseTopic',
    bytes: str('r/t'),
    value: 'r/t',
    illegal: [badString, ['0000', ''], [str('r/+'), 'r/+'], [str('#'), '#']],
  },
  { id: 0x09, name: 'correlationData', bytes: bin('00FF'), value: bytes('00FF'), legal: [['0000', bytes('')]] },
  {
    id: 0x0b,
    name: 'subscriptionIdentifier',
    bytes: '01',
    value: 1,
    legal: [
      ['7F', 127],
      ['8001', 128],
      ['FFFFFF7F', 268_435_455],
    ],
    illegal: [
      ['00', 0],
      ['8000', 1.5, malformed],
      ['8080808001', 268_435_456, malformed],
    ],
  },
  seconds(0x11, 'sessionExpiryInterval'),
  text(0x12, 'assignedClientIdentifier'),
  { id: 0x13, name: 'serverKeepAlive', bytes: '003C', value: 60, legal: [['0000', 0]] },
  text(0x15, 'authenticationMethod'),
  { id: 0x16, name: 'authenticationData', bytes: bin('00FF'), value: bytes('00FF') },
  switchOf(0x17, 'requestProblemInformation'),
  seconds(0x18, 'willDelayInterval'),
  switchOf(0x19, 'requestResponseInformation'),
  text(0x1a, 'responseInformation'),
  text(0x1c, 'serverReference'),
  text(0x1f, 'reasonString'),
  {
    id: 0x21,
    name: 'receiveMaximum',
    bytes: '0001',
    value: 1,
    legal: [['FFFF', 65_535]],
    illegal: [['0000', 0]],
  },
  {
    id: 0x22,
    name: 'topicAliasMaximum',
    bytes: '0001',
    value: 1,
    legal: [
      ['0000', 0],
      ['FFFF', 65_535],
    ],
  },
  // [MQTT-3.3.2-8]
  { id: 0x23, name: 'topicAlias', bytes: '0001', value: 1, legal: [['FFFF', 65_535]], illegal: [['0000', 0, 0x94]] },
  {
    id: 0x24,
    name: 'maximumQoS',
    bytes: '01',
    value: 1,
    legal: [['00', 0]],
    illegal: [
      ['02', 2],
      ['03', 3],
    ],
  },
  switchOf(0x25, 'retainAvailable'),
  {
    id: 0x26,
    name: 'userProperties',
    bytes: str('k') + str('v'),
    value: ['k', 'v'],
    legal: [['0000 0000', ['', '']]],
    illegal: [
      ['0001FF 0000', ['\uD800', ''], malformed],
      ['0000 0001FF', ['', '\uD800'], malformed],
    ],
  },
  {
    id: 0x27,
    name: 'maximumPacketSize',
    bytes: '00000001',
    value: 1,
    legal: [['FFFFFFFF', 0xffff_ffff]],
    illegal: [['00000000', 0]],
  },
  switchOf(0x28, 'wildcardSubscriptionAvailable'),
  switchOf(0x29, 'subscriptionIdentifierAvailable'),
  switchOf(0x2a, 'sharedSubscriptionAvailable'),
];

/** Where a legal property may not come from this side. */
const bySender: Readonly<Record<string, readonly number[]>> = {
  'disconnect-client': [0x1c],
  'disconnect-server': [0x11],
};

const sampleOf = (id: number): Sample => samples.find((sample) => sample.id === id) as Sample;

function repeats(place: Place, id: number): boolean {
  return id === 0x26 || (id === 0x0b && place.name === 'publish');
}

/** The property, and before it the ones the packet or the property itself cannot do without. */
function block(place: Place, id: number, ...values: string[]): string {
  const needed = neededBy(place, id);
  const own = values.map((value) => hexId(id) + value).join('');
  return needed === undefined ? own : hexId(needed) + sampleOf(needed).bytes + own;
}

function neededBy(place: Place, id: number): number | undefined {
  if (id === 0x15) return undefined;
  return place.needs ?? (place.name === 'connect' && id === 0x16 ? 0x15 : undefined);
}

function propertiesOf(place: Place, sample: Sample, ...values: unknown[]): object {
  const needed = neededBy(place, sample.id);
  const first = needed === undefined ? {} : { [sampleOf(needed).name]: sampleOf(needed).value };
  const name = sample.id === 0x0b && place.name === 'publish' ? 'subscriptionIdentifiers' : sample.name;
  return { ...first, [name]: repeats(place, sample.id) ? values : values[0] };
}

function* allowedCases(place: Place, sample: Sample): Generator<Case> {
  const { id } = sample;
  const prefix = `${place.name}-5-property-${hexId(id)}`;
  const of = (...values: string[]): string => place.bytes(props(block(place, id, ...values)));
  const packet = (...values: unknown[]): Packet => place.packet(propertiesOf(place, sample, ...values));
  yield good(prefix, 5, place.sender, of(sample.bytes), packet(sample.value));
  for (const [index, [hex, value]] of (sample.legal ?? []).entries()) {
    yield good(`${prefix}-legal-${index}`, 5, place.sender, of(hex), packet(value));
  }
  for (const [index, [hex, value, code]] of (sample.illegal ?? []).entries()) {
    yield bad(`${prefix}-illegal-${index}`, 5, place.sender, of(hex), code ?? protocolError, packet(value));
  }
  if (repeats(place, id)) {
    yield good(`${prefix}-twice`, 5, place.sender, of(sample.bytes, sample.bytes), packet(sample.value, sample.value));
  } else {
    yield bad(`${prefix}-twice`, 5, place.sender, of(sample.bytes, sample.bytes), protocolError);
  }
  const whole = bytes(sample.bytes).length;
  for (let length = 0; length < whole; length++) {
    const cut = sample.bytes.replaceAll(' ', '').slice(0, 2 * length);
    yield bad(`${prefix}-cut-${length}`, 5, place.sender, of(cut), malformed);
  }
}

function* placeCases(place: Place): Generator<Case> {
  for (const sample of samples) {
    const { id } = sample;
    if (place.allowed.includes(id)) {
      yield* allowedCases(place, sample);
      continue;
    }
    const code = bySender[place.name]?.includes(id) === true ? protocolError : malformed;
    const form = place.bytes(props(block(place, id, sample.bytes)));
    const packet = place.packet(propertiesOf(place, sample, sample.value));
    yield bad(`${place.name}-5-property-${hexId(id)}-foreign`, 5, place.sender, form, code, packet);
  }
  for (const id of ['00', '04', '2B', '7E', '8001', 'FFFFFF7F']) {
    yield bad(`${place.name}-5-property-unknown-${id}`, 5, place.sender, place.bytes(props(`${id} 00`)), malformed);
  }
  yield bad(`${place.name}-5-property-id-over-long`, 5, place.sender, place.bytes(props('A600 0000 0000')), malformed);
  yield bad(`${place.name}-5-property-id-five-bytes`, 5, place.sender, place.bytes(props('A680808000')), malformed);
}

export const propertyCases: readonly Case[] = places.flatMap((place) => [...placeCases(place)]);
