/** What a server may not send: the client has to close. */
import { PacketType } from '@pipit/protocol';
import { field, frame, hex, properties, uint16 } from '../bytes.ts';
import { type ClientCase, clientCases } from './client-case.ts';

const none = (version: number): number[] => (version === 5 ? [0] : []);

const illegal: readonly (readonly [ids: readonly string[], what: string, bytes: (version: number) => Uint8Array])[] = [
  [['MQTT-2.1.3-1 client', 'MQTT3-2.2.2-2 client'], 'PINGRESP with flags 1', () => Uint8Array.of(0xd1, 0)],
  [
    ['MQTT-3.3.1-4 client', 'MQTT3-3.3.1-4 client'],
    'PUBLISH of QoS 3',
    (version) => frame(0x36, field('t'), uint16(1), none(version)),
  ],
  [['MQTT-3.14.1-1 client'], 'DISCONNECT with flags 1', () => Uint8Array.of(0xe1, 0)],
  [
    ['MQTT-4.13.2-1 client', 'MQTT3-4.8.0-1 client'],
    'UNSUBSCRIBE, which only a client may send',
    (version) => frame(0xa2, uint16(1), none(version), field('t')),
  ],
  [
    ['MQTT-1.5.4-1 client', 'MQTT3-1.5.3-1 client'],
    'a topic that is not UTF-8',
    (version) => frame(0x30, field(hex('ED A0 80')), none(version)),
  ],
  [
    ['MQTT-3.3.2-2 client', 'MQTT3-3.3.2-2 client'],
    'a topic with a wildcard',
    (version) => frame(0x30, field('a/#'), none(version)),
  ],
  [
    ['MQTT-3.14.2-2 client'],
    'DISCONNECT with a Session Expiry',
    () => frame(0xe0, [0], properties(hex('11 00 00 00 05'))),
  ],
  [['MQTT-3.3.2-8 client'], 'topic alias 0', () => frame(0x30, field('t'), properties(hex('23 00 00')))],
];

const refusals: readonly ClientCase[] = illegal.flatMap(([ids, what, bytes]) =>
  clientCases(ids, `The client closes: ${what}`, async (bench) => {
    const { peer } = await bench.connected();
    peer.sendBytes(bytes(bench.version));
    await bench.closes(peer, what);
  }),
);

export const errorCases: readonly ClientCase[] = [
  ...refusals,
  ...clientCases('MQTT-3.2.2-1 client', 'A CONNACK with a reserved flag closes', async (bench) => {
    await bench.dial();
    const peer = await bench.link();
    await peer.take(PacketType.Connect, 'CONNECT');
    peer.sendBytes(hex('20 03 02 00 00'));
    await bench.closes(peer, 'CONNACK with flags 2');
  }),
];
