/** What binds both ends beside delivery, asked of the client: names, filters, sizes, aliases, byte streams, and when to close. */
import { encodePacket, PacketType } from '@pipit/protocol';
import { expectEqual, expectTrue } from '../outcome.ts';
import type { Peer } from '../peer.ts';
import type { ClientBench } from './client-bench.ts';
import { type ClientCase, clientCases, publishing, roundTrip, takePublishes, text } from './client-case.ts';

/** Everything the client sent, in bytes a packet. */
function sizes(peer: Peer): number[] {
  return peer.log.flatMap((line) => {
    if (!line.startsWith('< ')) return [];
    const told = /\((\d+) bytes\)$/.exec(line)?.[1];
    return [told === undefined ? line.slice(2).split(' ').length : Number(told)];
  });
}

export const conductCases: readonly ClientCase[] = [
  ...clientCases(
    ['MQTT-3.1.2-1 client', 'MQTT3-3.1.2-1 client'],
    'CONNECT begins with the name and the level of the version',
    async (bench) => {
      await bench.dial();
      const { bytes } = await (await bench.link()).takeFirst('CONNECT');
      const head = [0, 4, 0x4d, 0x51, 0x54, 0x54, bench.version];
      expectEqual(bytes.slice(2, 9), Uint8Array.from(head), 'protocol name and level');
    },
  ),
  ...clientCases(
    ['MQTT-4.7.0-1 client', 'MQTT-3.3.2-2 sent', 'MQTT3-4.7.1-1 client', 'MQTT3-3.3.2-2 sent'],
    'A topic name with a wildcard is not sent',
    async (bench) => {
      const { client, peer } = await bench.connected();
      for (const topic of ['a/#', 'a/+', '#']) await refused(() => client.publish(topic, text('x'), { qos: 0 }));
      await bench.silence(peer, 'nothing');
    },
  ),
  ...clientCases(
    ['MQTT-4.7.1-1 client', 'MQTT-4.7.1-2 client', 'MQTT3-4.7.1-2 client', 'MQTT3-4.7.1-3 client'],
    'A filter whose wildcards are in the wrong place is not sent',
    async (bench) => {
      const { client, peer } = await bench.connected();
      for (const filter of ['a#', 'a/#/b', 'b+', 'a/+b']) await refused(() => client.subscribe(filter, 0));
      await bench.silence(peer, 'nothing');
    },
  ),
  ...clientCases(
    ['MQTT-4.7.3-1 client', 'MQTT-4.7.3-2 client', 'MQTT3-4.7.3-1 client', 'MQTT3-4.7.3-2 client'],
    'A topic or filter without a character, or with U+0000, is not sent',
    async (bench) => {
      const { client, peer } = await bench.connected();
      for (const name of ['', 'a\0b']) {
        await refused(() => client.publish(name, text('x'), { qos: 0 }));
        await refused(() => client.subscribe(name, 0));
      }
      await bench.silence(peer, 'nothing');
    },
  ),
  ...clientCases(
    ['MQTT-4.8.2-1 client', 'MQTT-4.8.2-2 client'],
    'A shared subscription without its name or filter, or with a wildcard in its name, is not sent',
    async (bench) => {
      const { client, peer } = await bench.connected();
      for (const filter of ['$share/g', '$share//a', '$share/g/', '$share/g+/a'])
        await refused(() => client.subscribe(filter, 0));
      await bench.silence(peer, 'nothing');
    },
  ),
  ...clientCases('MQTT-3.3.2-14 client', 'A Response Topic with a wildcard is not sent', async (bench) => {
    const { client, peer } = await bench.connected();
    for (const responseTopic of ['a/#', '+']) {
      await refused(() => client.publish('t', text('x'), { qos: 0, properties: { responseTopic } }));
    }
    await bench.silence(peer, 'nothing');
  }),
  ...clientCases(
    'MQTT-3.3.2-7 client',
    'Aliases end with their connection: on the next each topic comes before its alias',
    async (bench) => {
      const { client, peer } = await bench.connected({ ...bench.durable, usesAliases: true }, aliases);
      for (let i = 0; i < 4; i++) publishing(client, 't', `${i}`, 0);
      await takePublishes(peer, 4);
      peer.cut();
      const { peer: again } = await bench.accept({ sessionPresent: true, ...aliases });
      const published = client.publish('t', text('again'), { qos: 1 });
      const first = await again.takePublish();
      expectEqual(first.topic, 't', 'topic of the first PUBLISH');
      again.ack(PacketType.Puback, first.packetId);
      await published;
    },
  ),
  ...clientCases(
    'MQTT-3.3.2-7 client received',
    'An alias that the server gave on an earlier connection means nothing: using it closes',
    async (bench) => {
      const { peer } = await bench.connected({ ...bench.durable, topicAliasMaximum: 5 });
      peer.sendPublish('t', 'x', { properties: { topicAlias: 1 } });
      await bench.silence(peer);
      peer.cut();
      const { peer: again } = await bench.accept({ sessionPresent: true });
      again.sendPublish('', 'y', { properties: { topicAlias: 1 } });
      await bench.closes(again, 'an alias that is not known');
    },
  ),
  ...clientCases(
    [
      'MQTT-3.4.2-2 client',
      'MQTT-3.4.2-3 client',
      'MQTT-3.5.2-2 client',
      'MQTT-3.5.2-3 client',
      'MQTT-3.6.2-1 client',
      'MQTT-3.6.2-2 client',
      'MQTT-3.6.2-3 client',
      'MQTT-3.7.2-2 client',
      'MQTT-3.7.2-3 client',
    ],
    'Acknowledgements have codes of their tables and leave text out that the server has no room for',
    async (bench) => {
      const { client, peer } = await bench.connected({}, { properties: { maximumPacketSize: 30 } });
      peer.log.length = 0;
      peer.sendPublish('t', 'x', { qos: 1, packetId: 5 });
      peer.sendPublish('t', 'x', { qos: 2, packetId: 6 });
      await peer.takeAck(PacketType.Puback, 5);
      await peer.takeAck(PacketType.Pubrec, 6);
      peer.ack(PacketType.Pubrel, 6);
      await peer.takeAck(PacketType.Pubcomp, 6);
      publishing(client, 't', 'x', 2);
      const { packetId } = await peer.takePublish();
      peer.ack(PacketType.Pubrec, packetId);
      await peer.takeAck(PacketType.Pubrel, packetId);
      peer.ack(PacketType.Pubcomp, packetId);
      // Unknown to the client: it may answer, or close.
      peer.ack(PacketType.Pubrel, 999);
      await peer.takeOrEnd('PUBCOMP, or an end');
      const all = sizes(peer);
      expectTrue(Math.max(...all) <= 30, 'no packet of more than 30 bytes', all);
    },
  ),
  ...clientCases(
    ['MQTT-3.14.2-1 received', 'MQTT-3.14.2-3 client', 'MQTT-3.14.2-4 client'],
    'A DISCONNECT of the client has a code of its table and leaves text out that the server has no room for',
    async (bench) => {
      const { peer } = await bench.connected({}, { properties: { maximumPacketSize: 20 } });
      peer.log.length = 0;
      peer.sendBytes([0x36, 6, 0, 1, 0x74, 0, 1, 0]);
      // Whether it closes is for another case.
      await peer.over().catch(() => {});
      const all = sizes(peer);
      expectTrue(Math.max(0, ...all) <= 20, 'no packet of more than 20 bytes', all);
    },
  ),
  ...clientCases(
    ['MQTT-4.2-1 client', 'MQTT3-7.1.2-1 stream'],
    'The connection is a stream: packets of the server may come byte by byte, or all at once',
    async (bench) => {
      const { client, peer } = await bench.connected();
      const packets = [1, 2, 3].map((packetId) => publish(bench, `${packetId}`, packetId));
      for (const byte of packets[0] as Uint8Array) {
        peer.sendBytes([byte]);
        await new Promise((done) => setTimeout(done, 2));
      }
      peer.sendBytes([...(packets[1] as Uint8Array), ...(packets[2] as Uint8Array)]);
      for (const packetId of [1, 2, 3]) await peer.takeAck(PacketType.Puback, packetId);
      await roundTrip(client, peer);
    },
  ),
];

const aliases = { properties: { topicAliasMaximum: 5 } } as const;

/** Asks for what the client should refuse; what it does instead is what counts. */
async function refused(ask: () => Promise<void>): Promise<void> {
  await Promise.race([ask().catch(() => {}), new Promise((done) => setTimeout(done, 50))]);
}

function publish({ version }: ClientBench, payload: string, packetId: number): Uint8Array {
  const plain = { topic: 't', qos: 1, retain: false, dup: false } as const;
  return encodePacket({ type: PacketType.Publish, ...plain, payload: text(payload), packetId }, version, 'server');
}
