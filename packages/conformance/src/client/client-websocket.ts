/** WebSocket as the client uses it: section 6. */
import { encodePacket, PacketType } from '@pipit/protocol';
import { field, frame } from '../bytes.ts';
import { expectEqual, expectTrue } from '../outcome.ts';
import type { ClientBench } from './client-bench.ts';
import { type ClientCase, clientCases, roundTrip, text } from './client-case.ts';

const textFrame = 1;
const binaryFrame = 2;

function publish({ version }: ClientBench, packetId: number): Uint8Array {
  const plain = { topic: 't', payload: text(`${packetId}`), qos: 1, retain: false, dup: false } as const;
  return encodePacket({ type: PacketType.Publish, ...plain, packetId }, version, 'server');
}

export const webSocketCases: readonly ClientCase[] = [
  ...clientCases(['MQTT-6.0.0-3', 'MQTT3-6.0.0-3'], 'WebSocket: the sub-protocol "mqtt" is offered', async (bench) => {
    const offered = /^sec-websocket-protocol: *(.*)$/im.exec(await bench.request())?.[1] ?? '';
    const names = offered.split(',').map((name) => name.trim());
    expectTrue(names.includes('mqtt'), 'mqtt among the sub-protocols', offered);
  }),
  ...clientCases(
    ['MQTT-6.0.0-1 client', 'MQTT3-6.0.0-1 client'],
    'WebSocket: what the client sends is in binary frames, and a text frame of the server closes',
    async (bench) => {
      const { client, peer, end } = await bench.byWebSocket();
      await peer.take(PacketType.Connect, 'CONNECT');
      bench.welcome(peer);
      await bench.accepted(client);
      await roundTrip(client, peer);
      const wrong = end.opcodes.filter((opcode) => opcode !== binaryFrame && opcode !== 0);
      expectEqual(wrong, [], 'opcodes of other frames than binary ones');
      // A PUBLISH that is UTF-8 as well.
      end.frame(textFrame, frame(0x30, field('t'), bench.version === 5 ? [0] : [], [0x78]));
      await bench.closes(peer, 'a text frame');
    },
  ),
  ...clientCases(
    ['MQTT-6.0.0-2 client', 'MQTT3-6.0.0-2 client'],
    'WebSocket: packets of the server need not keep to frames',
    async (bench) => {
      const { client, peer, end } = await bench.byWebSocket();
      await peer.take(PacketType.Connect, 'CONNECT');
      const connack = { type: PacketType.Connack, sessionPresent: false, reasonCode: 0 } as const;
      const bytes = encodePacket(connack, bench.version, 'server');
      for (const byte of bytes) end.frame(binaryFrame, Uint8Array.of(byte));
      await bench.accepted(client);
      const all = [1, 2, 3, 4].flatMap((packetId) => [...publish(bench, packetId)]);
      for (let at = 0; at < all.length; at += 15) end.frame(binaryFrame, Uint8Array.from(all.slice(at, at + 15)));
      for (const packetId of [1, 2, 3, 4]) await peer.takeAck(PacketType.Puback, packetId);
      await bench.silence(peer);
    },
  ),
];
