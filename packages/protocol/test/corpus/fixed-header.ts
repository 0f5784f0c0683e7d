/** Fixed headers: reserved types, flags, directions, Remaining Length. */
import { PacketType } from '@pipit/protocol';
import type { Case } from './case.ts';
import { bad, frame, good, str } from './case.ts';

const malformed = 0x81;
const protocolError = 0x82;

/** A legal body for each type in 3.1.1, where bodies are shortest. */
const bodies: readonly (readonly [name: string, type: number, flags: number, body: string])[] = [
  ['connect', 1, 0, `${str('MQTT')}04 02 0000${str('c')}`],
  ['connack', 2, 0, '00 00'],
  ['puback', 4, 0, '0001'],
  ['pubrec', 5, 0, '0001'],
  ['pubrel', 6, 2, '0001'],
  ['pubcomp', 7, 0, '0001'],
  ['subscribe', 8, 2, `0001${str('a')}00`],
  ['suback', 9, 0, '0001 00'],
  ['unsubscribe', 10, 2, `0001${str('a')}`],
  ['unsuback', 11, 0, '0001'],
  ['pingreq', 12, 0, ''],
  ['pingresp', 13, 0, ''],
  ['disconnect', 14, 0, ''],
];
const serverOnly = ['connack', 'suback', 'unsuback', 'pingresp'];

/** Every type with every flag nibble that is not its own. */
function* wrongFlags(): Generator<Case> {
  for (const [name, type, right, body] of bodies) {
    for (let flags = 0; flags < 16; flags++) {
      if (flags === right) continue;
      const first = ((type << 4) | flags).toString(16);
      const sender = serverOnly.includes(name) ? 'server' : 'client';
      yield bad(`${name}-4-flags-${flags}`, 4, sender, frame(first, body), malformed);
    }
  }
}

export const fixedHeaderCases: readonly Case[] = [
  // [MQTT-2.1.3-1] [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT-3.14.1-1]
  // [MQTT3-2.2.2-1] [MQTT3-2.2.2-2] [MQTT3-3.6.1-1] [MQTT3-3.8.1-1] [MQTT3-3.10.1-1] [MQTT3-3.14.1-1]
  ...wrongFlags(),
  bad('type-0', 5, 'client', '00 00', malformed),
  bad('type-0-flags-15', 5, 'server', '0F 02 00 00', malformed),
  bad('auth-3', 3, 'client', 'F0 00', malformed),
  bad('auth-4', 4, 'client', 'F0 00', malformed),
  // [MQTT-3.15.1-1]
  bad('auth-5-flags-1', 5, 'client', frame('F1', '18 05 15', str('SC')), malformed),
  bad('pingreq-5-flags-1', 5, 'client', 'C1 00', malformed),
  bad('pubrel-5-flags-0', 5, 'client', '60 02 0001', malformed),
  bad('pubrel-5-dup', 5, 'client', '6A 02 0001', malformed),
  bad('subscribe-5-dup', 5, 'client', frame('8A', '0001 00', str('a'), '00'), malformed),
  bad('puback-3-dup', 3, 'client', '48 02 0001', malformed),
  bad('disconnect-5-flags-8', 5, 'client', 'E8 00', malformed),

  bad('connect-from-server', 5, 'server', frame('10', str('MQTT'), '05 02 0000 00', str('c')), protocolError),
  bad('connack-from-client', 5, 'client', '20 03 00 00 00', protocolError, {
    type: PacketType.Connack,
    sessionPresent: false,
    reasonCode: 0,
  }),
  bad('subscribe-from-server', 5, 'server', frame('82', '0001 00', str('a'), '00'), protocolError, {
    type: PacketType.Subscribe,
    packetId: 1,
    subscriptions: [{ filter: 'a', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }],
  }),
  bad('suback-from-client', 4, 'client', '90 03 0001 00', protocolError, {
    type: PacketType.Suback,
    packetId: 1,
    reasonCodes: [0],
  }),
  bad('unsubscribe-from-server', 4, 'server', frame('A2', '0001', str('a')), protocolError, {
    type: PacketType.Unsubscribe,
    packetId: 1,
    filters: ['a'],
  }),
  bad('unsuback-from-client', 4, 'client', 'B0 02 0001', protocolError, {
    type: PacketType.Unsuback,
    packetId: 1,
    reasonCodes: [],
  }),
  bad('pingreq-from-server', 4, 'server', 'C0 00', protocolError, { type: PacketType.Pingreq }),
  bad('pingresp-from-client', 4, 'client', 'D0 00', protocolError, { type: PacketType.Pingresp }),
  bad('disconnect-3-from-server', 3, 'server', 'E0 00', protocolError, { type: PacketType.Disconnect, reasonCode: 0 }),
  bad('disconnect-4-from-server', 4, 'server', 'E0 00', protocolError, { type: PacketType.Disconnect, reasonCode: 0 }),

  bad('remaining-length-five-bytes', 5, 'client', 'C0 80 80 80 80 00', malformed),
  bad('remaining-length-five-bytes-full', 5, 'client', '30 FF FF FF FF 7F', malformed),
  // [MQTT-1.5.5-1]
  bad('remaining-length-over-long-two', 5, 'client', 'C0 80 00', malformed),
  bad('remaining-length-over-long-three', 4, 'client', '40 82 80 00 0001', malformed),
  bad('remaining-length-over-long-four', 4, 'client', '40 82 80 80 00 0001', malformed),
  ...([3, 4, 5] as const).map((version) =>
    good(`pingreq-${version}`, version, 'client', 'C0 00', { type: PacketType.Pingreq }),
  ),
  ...([3, 4, 5] as const).map((version) =>
    good(`pingresp-${version}`, version, 'server', 'D0 00', { type: PacketType.Pingresp }),
  ),
  bad('pingreq-5-body', 5, 'client', 'C0 01 00', malformed),
  bad('pingresp-4-body', 4, 'server', 'D0 02 0000', malformed),
];
