/** What section 4.3 asks of both ends, asked of the client: as sender and as receiver of QoS 0, 1 and 2. */
import { PacketType, type PublishPacket } from '@pipit/protocol';
import { expectEqual } from '../outcome.ts';
import type { Peer } from '../peer.ts';
import type { ClientBench } from './client-bench.ts';
import { type ClientCase, clientCases, publishing, takePublishes, text } from './client-case.ts';

const wait = (seconds: number): Promise<void> => new Promise((done) => setTimeout(done, seconds * 1000));

/** Payloads of what the application got, fences left out. */
const handedOn = ({ received }: ClientBench): string[] =>
  received.filter(({ topic }) => topic !== 'fence').map(({ payload }) => String.fromCharCode(...payload));

/** PUBREC, then PUBREL and PUBCOMP, for one QoS 2 PUBLISH of the client. */
async function complete(peer: Peer, packetId: number): Promise<void> {
  peer.ack(PacketType.Pubrec, packetId);
  await peer.takeAck(PacketType.Pubrel, packetId);
  peer.ack(PacketType.Pubcomp, packetId);
}

const sending: readonly ClientCase[] = [
  ...clientCases(
    [
      'MQTT-3.3.1-2 client',
      'MQTT-4.3.1-1 client',
      'MQTT-4.3.2-2 client',
      'MQTT-4.3.3-2 client',
      'MQTT3-3.3.1-2 client',
      'MQTT3-4.3.1-1 client',
    ],
    'The first time a PUBLISH has its QoS and DUP 0',
    async (bench) => {
      const { client, peer } = await bench.connected();
      for (const qos of [0, 1, 2] as const) publishing(client, 't', `${qos}`, qos);
      for (const packet of await takePublishes(peer, 3)) {
        expectEqual([packet.dup, packet.qos], [false, Number(String.fromCharCode(...packet.payload))], 'DUP and QoS');
      }
    },
  ),
  ...clientCases(
    [
      'MQTT-4.3.3-4 client',
      'MQTT-2.2.1-5 client',
      'MQTT-4.3.2-3 client',
      'MQTT3-2.3.1-6 client',
      'MQTT3-4.3.2-1 client',
    ],
    'PUBREL repeats the identifier of its PUBLISH, and each promise waits for the end of its exchange',
    async (bench) => {
      const { client, peer } = await bench.connected();
      const ended: string[] = [];
      const published = ['a', 'b', 'c'].map(async (name) => {
        await client.publish('t', text(name), { qos: name === 'b' ? 1 : 2 });
        ended.push(name);
      });
      const [a, b, c] = (await takePublishes(peer, 3)) as [PublishPacket, PublishPacket, PublishPacket];
      await bench.silence(peer);
      expectEqual(ended, [], 'publishes that are over before any acknowledgement');
      for (const { packetId } of [c, a]) peer.ack(PacketType.Pubrec, packetId);
      for (const { packetId } of [c, a]) await peer.takeAck(PacketType.Pubrel, packetId);
      for (const { packetId } of [c, a]) peer.ack(PacketType.Pubcomp, packetId);
      peer.ack(PacketType.Puback, b.packetId);
      await Promise.all(published);
      await bench.silence(peer);
    },
  ),
  ...clientCases(
    [
      'MQTT-4.3.3-3 client',
      'MQTT-3.1.2-23 client',
      'MQTT3-4.4.0-1 client',
      'MQTT3-3.1.2-4 client',
      'MQTT3-4.3.3-1 open',
    ],
    'QoS 2: without PUBREC the PUBLISH comes again, and is completed then',
    async (bench) => {
      const { client, peer } = await bench.connected(bench.durable);
      const published = client.publish('t', text('x'), { qos: 2 });
      const { packetId } = await peer.takePublish();
      peer.cut();
      const { peer: again } = await bench.accept({ sessionPresent: true });
      expectEqual((await again.takePublish('the message again')).packetId, packetId, 'identifier');
      await complete(again, packetId);
      await published;
      await bench.silence(again);
    },
  ),
  ...clientCases('MQTT-4.4.0-2 client', 'What the server refused is not sent again', async (bench) => {
    const { client, peer } = await bench.connected(bench.durable);
    for (const qos of [1, 2] as const) publishing(client, 't', `${qos}`, qos);
    for (const { qos, packetId } of await takePublishes(peer, 2)) {
      peer.ack(qos === 1 ? PacketType.Puback : PacketType.Pubrec, packetId, 0x87);
    }
    await bench.silence(peer, 'no PUBREL after a refusal');
    peer.cut();
    const { peer: again } = await bench.accept({ sessionPresent: true });
    await bench.silence(again, 'nothing that was refused');
  }),
  ...clientCases(
    'MQTT-4.3.3-7 client',
    'What was sent is sent again, though its Message Expiry is over',
    async (bench) => {
      const { client, peer } = await bench.connected(bench.durable);
      client.publish('t', text('x'), { qos: 2, properties: { messageExpiryInterval: 1 } }).catch(() => {});
      const { packetId } = await peer.takePublish();
      await wait(1.5);
      peer.cut();
      const { peer: again } = await bench.accept({ sessionPresent: true });
      expectEqual((await again.takePublish('the message again')).packetId, packetId, 'identifier');
      await complete(again, packetId);
    },
  ),
  ...clientCases(
    ['MQTT-3.1.2-4 client', 'MQTT3-3.1.2-6 client'],
    'Begun with a clean start, and no session being there: nothing is sent again as such',
    async (bench) => {
      const { client, peer } = await bench.connected();
      publishing(client, 't', 'x', 1);
      await peer.takePublish();
      peer.cut();
      const { peer: again } = await bench.accept();
      again.sendPublish('fence', 'fence', { qos: 1, packetId: 65_000 });
      await again.takeAck(PacketType.Puback, 65_000);
      const repeated = again.untaken.filter((packet) => packet.type === PacketType.Publish && packet.dup);
      expectEqual(repeated, [], 'PUBLISHes with DUP 1');
    },
  ),
  ...clientCases(
    ['MQTT-3.1.3-2 client', 'MQTT3-3.1.3-2 client'],
    'The session is asked for under the same client id every time',
    async (bench) => {
      await bench.dial({ ...bench.durable, clientId: 'one-and-the-same' });
      for (let i = 0; i < 3; i++) {
        const { peer, connect } = await bench.accept({ sessionPresent: i > 0 });
        expectEqual(connect.clientId, 'one-and-the-same', 'client id');
        peer.cut();
      }
    },
  ),
];

const receiving: readonly ClientCase[] = [
  ...clientCases(
    [
      'MQTT-3.3.4-1 client',
      'MQTT-4.3.2-4 client',
      'MQTT-4.3.3-8 client',
      'MQTT-4.3.3-11 client',
      'MQTT-3.4.2-1 client',
      'MQTT-3.5.2-1 client',
      'MQTT-3.7.2-1 client',
      'MQTT3-3.3.4-1 client',
    ],
    'A PUBLISH is answered as its QoS asks: not, by PUBACK, by PUBREC and PUBCOMP',
    async (bench) => {
      const { peer } = await bench.connected();
      peer.sendPublish('t', '0');
      peer.sendPublish('t', '1', { qos: 1, packetId: 0x1234 });
      peer.sendPublish('t', '2', { qos: 2, packetId: 65_535 });
      await peer.takeAck(PacketType.Puback, 0x1234);
      await peer.takeAck(PacketType.Pubrec, 65_535);
      peer.ack(PacketType.Pubrel, 65_535);
      await peer.takeAck(PacketType.Pubcomp, 65_535);
      await bench.silence(peer);
      expectEqual(handedOn(bench).sort(), ['0', '1', '2'], 'messages the application got');
    },
  ),
  ...clientCases(
    ['MQTT-4.3.2-5 client', 'MQTT-4.3.3-12 client', 'MQTT3-4.3.2-2 client', 'MQTT3-4.3.3-2 reuse client'],
    'An identifier that was acknowledged to its end stands for a new message, whatever its DUP',
    async (bench) => {
      const { peer } = await bench.connected();
      for (const dup of [false, true]) {
        peer.sendPublish('t', `1${dup}`, { qos: 1, packetId: 5, dup });
        await peer.takeAck(PacketType.Puback, 5);
        peer.sendPublish('t', `2${dup}`, { qos: 2, packetId: 6, dup });
        await peer.takeAck(PacketType.Pubrec, 6);
        peer.ack(PacketType.Pubrel, 6);
        await peer.takeAck(PacketType.Pubcomp, 6);
      }
      await bench.silence(peer);
      expectEqual(handedOn(bench), ['1false', '2false', '1true', '2true'], 'messages the application got');
    },
  ),
  ...clientCases(
    'MQTT-4.3.3-13 client',
    'QoS 2: the exchange goes on although the message has expired',
    async (bench) => {
      const { peer } = await bench.connected();
      peer.sendPublish('t', 'x', { qos: 2, packetId: 7, properties: { messageExpiryInterval: 1 } });
      await peer.takeAck(PacketType.Pubrec, 7);
      await wait(1.5);
      peer.ack(PacketType.Pubrel, 7);
      await peer.takeAck(PacketType.Pubcomp, 7);
    },
  ),
  ...clientCases(
    ['MQTT-4.1.0-1 client', 'MQTT3-4.1.0-1 client', 'MQTT3-4.1.0-2 client'],
    'As long as the connection is open the session stays: a QoS 2 identifier is known after its Session Expiry',
    async (bench) => {
      const { peer } = await bench.connected({
        ...bench.durable,
        ...(bench.version === 5 && { sessionExpirySeconds: 1 }),
      });
      peer.sendPublish('t', 'x', { qos: 2, packetId: 7 });
      await peer.takeAck(PacketType.Pubrec, 7);
      await wait(1.5);
      peer.sendPublish('t', 'x', { qos: 2, packetId: 7, dup: true });
      await peer.takeAck(PacketType.Pubrec, 7);
      peer.ack(PacketType.Pubrel, 7);
      await peer.takeAck(PacketType.Pubcomp, 7);
      await bench.silence(peer);
      expectEqual(handedOn(bench), ['x'], 'messages the application got');
    },
  ),
];

export const deliveryCases: readonly ClientCase[] = [...sending, ...receiving];
