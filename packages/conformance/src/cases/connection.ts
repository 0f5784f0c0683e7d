/** The life of a connection: PING, DISCONNECT, byte streams, WebSocket. Sections 3.12, 3.14, 4.2, 4.13, 6. */
import { encodePacket } from '@pipit/protocol';
import { type Bench, connectBytes, orCode } from '../bench.ts';
import { type Bytes, field, frame, hex, join, uint16 } from '../bytes.ts';
import { type Case, cases } from '../case.ts';
import { selectedProtocol, sendAsText } from '../link.ts';
import { expectEqual, expectTrue, Mismatch } from '../outcome.ts';
import { type Peer, publishPacket, subscribePacket, textOf } from '../peer.ts';

const none = (version: number): number[] => (version === 5 ? [0] : []);

/** Inputs that are each an error of its own kind, and legal until there. */
function errors(bench: Bench): Record<string, Bytes> {
  const topic = field(bench.topic());
  const list = none(bench.version);
  return {
    'packet type 0': hex('00 00'),
    'CONNACK from a client': hex('20 02 00 00'),
    'SUBACK from a client': [...frame(0x90, uint16(1), list, [0])],
    'UNSUBACK from a client': bench.version === 5 ? hex('B0 04 00 01 00 00') : hex('B0 02 00 01'),
    'PINGRESP from a client': hex('D0 00'),
    'PINGREQ with a body': hex('C0 01 00'),
    'PUBACK of one byte': hex('40 01 00'),
    'PUBLISH of QoS 1 without an identifier': frame(0x32, topic),
    'SUBSCRIBE of one byte': hex('82 01 00'),
    'DISCONNECT with a body': bench.version === 5 ? hex('E0 03 00 00 00') : hex('E0 01 00'),
    'AUTH without a method': hex('F0 00'),
  };
}

/** Sends the pieces one by one, letting each leave before the next. */
async function inPieces(bench: Bench, peer: Peer, pieces: readonly Uint8Array[]): Promise<void> {
  for (const piece of pieces) {
    peer.sendBytes(piece);
    await bench.wait(0.002);
  }
}

/** A whole conversation by a stream that is cut as `cut` says: its answers are as ever. */
async function conversation(bench: Bench, url: string, cut: (all: Uint8Array) => Uint8Array[]): Promise<void> {
  const { version } = bench;
  const topic = bench.topic();
  const peer = bench.open({ url });
  const packets = [
    bench.connectPacket(),
    subscribePacket(1, topic, 1),
    publishPacket(topic, 'x'.repeat(200), { qos: 1, packetId: 2 }),
    { type: 12 } as const,
  ];
  const all = join(packets.map((packet) => encodePacket(packet, version, 'client')));
  await inPieces(bench, peer, cut(all));
  const { packet } = await peer.takeFirst('CONNACK');
  expectEqual(packet.type, 2, 'first packet');
  await peer.take(9, 'SUBACK');
  await peer.takeAck(4, 2);
  expectEqual(textOf(await peer.receive()).length, 200, 'payload bytes');
  await peer.take(13, 'PINGRESP');
  await peer.ping();
  peer.expectNothing();
}

const pieces =
  (size: number) =>
  (all: Uint8Array): Uint8Array[] =>
    Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));

const life: readonly Case[] = [
  ...cases(['MQTT-3.12.4-1', 'MQTT3-3.12.4-1'], 'PINGREQ gets PINGRESP, each one', async (bench) => {
    const peer = await bench.client();
    peer.sendBytes(hex('C0 00 C0 00 C0 00'));
    for (let i = 0; i < 3; i++)
      expectEqual((await peer.takeFirst('PINGRESP')).bytes, Uint8Array.of(0xd0, 0), 'PINGRESP');
    await bench.silence(peer);
  }),
  ...cases(
    ['MQTT-4.13.1-1', 'MQTT-4.13.2-1', 'MQTT3-4.8.0-1'],
    'Every error closes the connection, and nobody else notices',
    async (bench) => {
      const other = await bench.client();
      await bench.refuses(errors(bench), { isCode: orCode() });
      await other.ping();
      other.expectNothing();
    },
  ),
  ...cases(
    ['MQTT-3.14.4-1', 'MQTT-3.14.4-2', 'MQTT-3.14.2-1', 'MQTT-3.14.2-2'],
    'DISCONNECT of the broker has a code of its table and no Session Expiry; nothing follows, and it closes',
    async (bench) => {
      // Code and properties are checked as the packet is read.
      await bench.refuses({
        'PUBLISH of QoS 3': frame(0x36, field(bench.topic()), uint16(1), [0, 1]),
        'SUBSCRIBE without a filter': frame(0x82, uint16(1), [0]),
        'a topic with a wildcard': frame(0x30, field('a/#'), [0, 1]),
        'a property twice': frame(0x30, field(bench.topic()), hex('04 01 01 01 01')),
      });
      const clientId = bench.clientId();
      const one = await bench.client({ clientId });
      await bench.client({ clientId });
      await bench.refused(one, 'taken over');
    },
  ),
  ...cases(
    'MQTT-3.14.2-1 client',
    'A DISCONNECT code that only a server may send, or that does not exist, closes',
    (bench) => {
      const packets = [0x8b, 0x8e, 0x01, 0x7f].map((code) => [`code ${code}`, frame(0xe0, [code])]);
      return bench.refuses(Object.fromEntries(packets));
    },
  ),
  ...cases('MQTT-3.14.0-1', 'No DISCONNECT is sent on a connection that was not accepted', async (bench) => {
    const id = bench.clientId();
    const inputs: Record<string, Bytes> = {
      'level 9': connectBytes(5, id, { level: 9 }),
      'reserved flag': connectBytes(5, id, { flags: 0x03 }),
      'surplus bytes': connectBytes(5, id, { payload: [...field(id), 1, 2] }),
      'PUBLISH first': frame(0x30, field('a'), [0]),
      'packet type 0': hex('00 00'),
      'AUTH first': hex('F0 00'),
      'DISCONNECT first': hex('E0 00'),
    };
    await bench.each(Object.entries(inputs), async ([what, bytes]) => {
      const peer = bench.open();
      peer.sendBytes(bytes);
      await peer.over(`the connection to be closed: ${what}`).catch((error) => {
        // What answers an unknown level may be a CONNACK of 3.x.
        if (!peer.log.includes('< 20 02 00 01')) throw error;
      });
      expectTrue(!peer.log.some((line) => line.startsWith('< e')), `no DISCONNECT: ${what}`, peer.log);
    });
  }),
  ...cases(
    ['MQTT-4.2-1', 'MQTT3-7.1.1-1', '3.1/byte-stream'],
    'The connection is a stream: packets may be split and joined anywhere',
    async (bench) => {
      for (const cut of [pieces(1), pieces(7), pieces(100), (all: Uint8Array) => [all]])
        await conversation(bench, bench.url, cut);
    },
    { isSlow: true },
  ),
  ...cases('5.0/3.12 stall', 'Half a packet holds nobody else up', async (bench) => {
    const half = await bench.client();
    half.sendBytes(hex('30 FF'));
    const other = await bench.client();
    await other.ping();
    half.sendBytes(hex('01 00 01'));
    await other.ping();
    half.cut();
  }),
];

function webSocketUrl(bench: Bench): string {
  if (/^wss?:/.test(bench.url)) return bench.url;
  bench.needs('webSocketUrl', 'of a WebSocket address');
  return bench.facts.webSocketUrl as string;
}

const webSocket: readonly Case[] = [
  ...cases(
    ['MQTT-6.0.0-1', 'MQTT3-6.0.0-1'],
    'MQTT travels in binary frames; a text frame closes the connection',
    async (bench) => {
      const url = webSocketUrl(bench);
      const peer = bench.open({ url });
      // A text frame from the broker would end the link.
      await bench.connect(peer, bench.connectPacket());
      await peer.ping();
      peer.expectNothing();
      const text = new TextDecoder().decode(encodePacket(bench.connectPacket(), 4, 'client'));
      const late = bench.wait(bench.timeoutMs / 1000).then(() => {
        throw new Mismatch('the connection to be closed after a text frame', 'it stays open');
      });
      await Promise.race([sendAsText(url, text), late]);
      late.catch(() => {});
    },
  ),
  ...cases(['MQTT-6.0.0-2', 'MQTT3-6.0.0-2'], 'Packets need not keep to frames', async (bench) => {
    const url = webSocketUrl(bench);
    for (const cut of [pieces(1), pieces(9), (all: Uint8Array) => [all]]) await conversation(bench, url, cut);
  }),
  ...cases(['MQTT-6.0.0-4', 'MQTT3-6.0.0-4'], 'The sub-protocol selected is "mqtt"', async (bench) => {
    const url = webSocketUrl(bench);
    expectEqual(await selectedProtocol(url, ['mqtt']), 'mqtt', 'sub-protocol');
    expectEqual(await selectedProtocol(url, ['x-other', 'mqtt']), 'mqtt', 'sub-protocol');
  }),
];

export const connectionCases: readonly Case[] = [...life, ...webSocket];
