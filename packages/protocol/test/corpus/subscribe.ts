/** SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK. */
import { PacketType, type SubscribePacket, type SubscriptionRequest } from '@pipit/protocol';
import type { Case } from './case.ts';
import { bad, bin, frame, good, props, str, tolerated, variant } from './case.ts';

const malformed = 0x81;
const protocolError = 0x82;
const filterInvalid = 0x8f;
const a = str('a');

const request = (filter: string, part: Partial<SubscriptionRequest> = {}): SubscriptionRequest => ({
  filter,
  qos: 0,
  noLocal: false,
  retainAsPublished: false,
  retainHandling: 0,
  ...part,
});
const subscribe = (...subscriptions: SubscriptionRequest[]): SubscribePacket => ({
  type: PacketType.Subscribe,
  packetId: 10,
  subscriptions,
});
const suback = (...reasonCodes: number[]) => ({ type: PacketType.Suback, packetId: 10, reasonCodes }) as const;
const unsubscribe = (...filters: string[]) => ({ type: PacketType.Unsubscribe, packetId: 10, filters }) as const;
const unsuback = (...reasonCodes: number[]) => ({ type: PacketType.Unsuback, packetId: 10, reasonCodes }) as const;

/** Options bytes and what they mean. */
const options: readonly (readonly [hex: string, part: Partial<SubscriptionRequest>])[] = [
  ['00', {}],
  ['01', { qos: 1 }],
  ['02', { qos: 2 }],
  ['04', { noLocal: true }],
  ['08', { retainAsPublished: true }],
  ['10', { retainHandling: 1 }],
  ['20', { retainHandling: 2 }],
  ['2e', { qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 }],
];

/** Filters that are strings but no filters: decoded, so that SUBACK can say so; never encoded. */
const badFilters = [
  'a#',
  '#/',
  'a/#/b',
  'a+',
  '+a',
  'a/b+/c',
  '$share//t',
  '$share/g',
  '$share/g/',
  '$share/g+/t',
  '$share/#/t',
  '$share/g/a#',
];

const subscribes: readonly Case[] = [
  ...([3, 4] as const).flatMap((version) => [
    good(`subscribe-${version}-one`, version, 'client', frame('82', '000A', a, '00'), subscribe(request('a'))),
    good(
      `subscribe-${version}-three`,
      ...([version, 'client', frame('82', '000A', a, '01', str('b/+'), '02', str('#'), '00')] as const),
      subscribe(request('a', { qos: 1 }), request('b/+', { qos: 2 }), request('#')),
    ),
    bad(`subscribe-${version}-qos-3`, version, 'client', frame('82', '000A', a, '03'), malformed),
    bad(
      `subscribe-${version}-options`,
      ...([version, 'client', frame('82', '000A', a, '04'), malformed] as const),
      subscribe(request('a', { noLocal: true })),
    ),
    // [MQTT3-3.8.3-4]
    bad(`subscribe-${version}-reserved`, version, 'client', frame('82', '000A', a, '80'), malformed),
  ]),
  ...options.map(([hex, part]) =>
    good(`subscribe-5-options-${hex}`, 5, 'client', frame('82', '000A 00', a, hex), subscribe(request('a', part))),
  ),
  good(
    'subscribe-5-two',
    ...([5, 'client', frame('82', '000A 00', a, '01', str('$share/g/t/#'), '02')] as const),
    subscribe(request('a', { qos: 1 }), request('$share/g/t/#', { qos: 2 })),
  ),
  good('subscribe-5-share-rap', 5, 'client', frame('82', '000A 00', str('$share/g/t'), '18'), {
    ...subscribe(request('$share/g/t', { retainAsPublished: true, retainHandling: 1 })),
  }),
  good('subscribe-5-identifier-max', 5, 'client', frame('82', '000A 05 0BFFFFFF7F', a, '00'), {
    ...subscribe(request('a')),
    properties: { subscriptionIdentifier: 268_435_455 },
  }),
  variant('subscribe-3-dup', 3, 'client', frame('8A', '000A', a, '00'), subscribe(request('a'))),
  tolerated('subscribe-3-empty', 3, 'client', '82 02 000A', subscribe(), protocolError),
  tolerated(
    'subscribe-5-empty-filter',
    5,
    'client',
    frame('82', '000A 00', '0000 00'),
    subscribe(request('')),
    filterInvalid,
  ),
  ...badFilters.map((filter, index) => {
    const bytes = frame('82', '000A 00', str(filter), '00');
    return tolerated(`subscribe-5-bad-filter-${index}`, 5, 'client', bytes, subscribe(request(filter)), filterInvalid);
  }),
  // [MQTT-3.8.3-2] [MQTT3-3.8.3-3]
  bad('subscribe-4-empty', 4, 'client', '82 02 000A', protocolError, subscribe()),
  bad('subscribe-5-empty', 5, 'client', '82 03 000A 00', protocolError, subscribe()),
  bad('subscribe-4-packet-id-0', 4, 'client', frame('82', '0000', a, '00'), protocolError, {
    ...subscribe(request('a')),
    packetId: 0,
  }),
  bad('subscribe-5-packet-id-0', 5, 'client', frame('82', '0000 00', a, '00'), protocolError),
  bad(
    'subscribe-5-qos-3',
    5,
    'client',
    frame('82', '000A 00', a, '03'),
    protocolError,
    subscribe(request('a', { qos: 3 as 2 })),
  ),
  bad(
    'subscribe-5-retain-handling-3',
    ...([5, 'client', frame('82', '000A 00', a, '30'), protocolError] as const),
    subscribe(request('a', { retainHandling: 3 as 2 })),
  ),
  // [MQTT-3.8.3-5]
  bad('subscribe-5-reserved-6', 5, 'client', frame('82', '000A 00', a, '40'), malformed),
  bad('subscribe-5-reserved-7', 5, 'client', frame('82', '000A 00', a, '80'), malformed),
  // [MQTT-3.8.3-4]
  bad(
    'subscribe-5-no-local-shared',
    ...([5, 'client', frame('82', '000A 00', str('$share/g/t'), '04'), protocolError] as const),
    subscribe(request('$share/g/t', { noLocal: true })),
  ),
  bad('subscribe-4-no-options', 4, 'client', frame('82', '000A', a), malformed),
  bad('subscribe-5-no-options', 5, 'client', frame('82', '000A 00', a), malformed),
  bad('subscribe-5-second-without-options', 5, 'client', frame('82', '000A 00', a, '00', a), malformed),
  bad('subscribe-4-filter-cut', 4, 'client', frame('82', '000A', '0002 61'), malformed),
  bad('subscribe-5-no-properties', 5, 'client', '82 02 000A', malformed),
  bad('subscribe-4-no-packet-id', 4, 'client', '82 00', malformed),
  // [MQTT-3.8.3-1] [MQTT3-3.8.3-1]
  bad('subscribe-4-filter-invalid-utf8', 4, 'client', frame('82', '000A', bin('FF'), '00'), malformed),
  bad('subscribe-5-filter-null', 5, 'client', frame('82', '000A 00', bin('61 00'), '00'), malformed),
];

const subackCodes = [0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2];
const unsubackCodes = [0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91];
const hex = (code: number): string => code.toString(16).padStart(2, '0');

const subacks: readonly Case[] = [
  ...[0, 1, 2, 0x80].map((code) =>
    good(`suback-4-code-${hex(code)}`, 4, 'server', `90 03 000A ${hex(code)}`, suback(code)),
  ),
  ...[0, 1, 2].map((code) => good(`suback-3-code-${hex(code)}`, 3, 'server', `90 03 000A ${hex(code)}`, suback(code))),
  // [MQTT-3.9.3-2]
  ...subackCodes.map((code) =>
    good(`suback-5-code-${hex(code)}`, 5, 'server', `90 04 000A 00 ${hex(code)}`, suback(code)),
  ),
  good('suback-4-three', 4, 'server', '90 05 000A 00 80 02', suback(0, 0x80, 2)),
  good('suback-5-three', 5, 'server', '90 06 000A 00 01 87 02', suback(1, 0x87, 2)),
  good('suback-3-empty', 3, 'server', '90 02 000A', suback()),
  bad('suback-3-failure', 3, 'server', '90 03 000A 80', protocolError, suback(0x80)),
  // [MQTT3-3.9.3-2]
  bad('suback-4-code-3', 4, 'server', '90 03 000A 03', protocolError, suback(3)),
  bad('suback-4-code-87', 4, 'server', '90 03 000A 87', protocolError, suback(0x87)),
  bad('suback-5-code-03', 5, 'server', '90 04 000A 00 03', protocolError, suback(3)),
  bad('suback-5-code-11', 5, 'server', '90 04 000A 00 11', protocolError, suback(0x11)),
  bad('suback-5-second-code-81', 5, 'server', '90 05 000A 00 00 81', protocolError, suback(0, 0x81)),
  bad('suback-4-empty', 4, 'server', '90 02 000A', protocolError, suback()),
  bad('suback-5-empty', 5, 'server', '90 03 000A 00', protocolError, suback()),
  bad('suback-4-packet-id-0', 4, 'server', '90 03 0000 00', protocolError),
  bad('suback-5-no-properties', 5, 'server', '90 02 000A', malformed),
];

const unsubscribes: readonly Case[] = [
  ...([3, 4] as const).flatMap((version) => [
    good(`unsubscribe-${version}-one`, version, 'client', frame('A2', '000A', a), unsubscribe('a')),
    good(`unsubscribe-${version}-two`, version, 'client', frame('A2', '000A', a, str('+/#')), unsubscribe('a', '+/#')),
    // [MQTT3-3.10.3-2]
    bad(`unsubscribe-${version}-empty`, version, 'client', 'A2 02 000A', protocolError, unsubscribe()),
  ]),
  good('unsubscribe-5-one', 5, 'client', frame('A2', '000A 00', a), unsubscribe('a')),
  good('unsubscribe-5-two', 5, 'client', frame('A2', '000A 00', a, str('$share/g/t')), unsubscribe('a', '$share/g/t')),
  variant('unsubscribe-3-dup', 3, 'client', frame('AA', '000A', a), unsubscribe('a')),
  tolerated(
    'unsubscribe-5-bad-filter',
    5,
    'client',
    frame('A2', '000A 00', str('a#')),
    unsubscribe('a#'),
    filterInvalid,
  ),
  // [MQTT-3.10.3-2]
  bad('unsubscribe-5-empty', 5, 'client', 'A2 03 000A 00', protocolError, unsubscribe()),
  bad('unsubscribe-4-packet-id-0', 4, 'client', frame('A2', '0000', a), protocolError, {
    ...unsubscribe('a'),
    packetId: 0,
  }),
  bad('unsubscribe-5-no-properties', 5, 'client', 'A2 02 000A', malformed),
  bad('unsubscribe-5-filter-cut', 5, 'client', frame('A2', '000A 00', '0003 61'), malformed),
  // [MQTT-3.10.3-1] [MQTT3-3.10.3-1]
  bad('unsubscribe-5-filter-surrogate', 5, 'client', frame('A2', '000A 00', bin('EDA080')), malformed),
  bad('unsubscribe-4-options', 4, 'client', frame('A2', '000A', a, '00'), malformed),

  good('unsuback-3', 3, 'server', 'B0 02 000A', unsuback()),
  good('unsuback-4', 4, 'server', 'B0 02 000A', unsuback()),
  // [MQTT-3.11.3-2]
  ...unsubackCodes.map((code) =>
    good(`unsuback-5-code-${hex(code)}`, 5, 'server', `B0 04 000A 00 ${hex(code)}`, unsuback(code)),
  ),
  good('unsuback-5-properties', 5, 'server', frame('B0', '000A', props(`1F${str('r')}`), '00 11'), {
    ...unsuback(0, 0x11),
    properties: { reasonString: 'r' },
  }),
  bad('unsuback-4-codes', 4, 'server', 'B0 03 000A 00', malformed, unsuback(0)),
  bad('unsuback-5-code-01', 5, 'server', 'B0 04 000A 00 01', protocolError, unsuback(1)),
  bad('unsuback-5-code-97', 5, 'server', 'B0 04 000A 00 97', protocolError, unsuback(0x97)),
  bad('unsuback-5-empty', 5, 'server', 'B0 03 000A 00', protocolError, unsuback()),
  bad('unsuback-5-no-properties', 5, 'server', 'B0 02 000A', malformed),
  bad('unsuback-5-packet-id-0', 5, 'server', 'B0 04 0000 00 00', protocolError),
];

export const subscribeCases: readonly Case[] = [...subscribes, ...subacks, ...unsubscribes];
