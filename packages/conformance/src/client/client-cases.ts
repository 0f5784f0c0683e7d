/** Statements that bind clients, by a scripted server. Written against any client that a driver can be made for. */
import { PacketType, type PublishPacket } from '@pipit/protocol';
import { expectEqual, expectTrue, Mismatch, words } from '../outcome.ts';
import type { Peer } from '../peer.ts';
import { authenticationCases } from './client-authentication.ts';
import type { ClientBench } from './client-bench.ts';
import { type ClientCase, clientCases, publishing, roundTrip, takePublishes, text } from './client-case.ts';
import { conductCases } from './client-conduct.ts';
import { deliveryCases } from './client-delivery.ts';
import { errorCases } from './client-errors.ts';
import { webSocketCases } from './client-websocket.ts';

const payloads = (packets: readonly PublishPacket[]): string[] =>
  packets.map(({ payload }) => String.fromCharCode(...payload));

/** What the client does about a message the server said it does not take: refuses it, or sends something allowed. */
async function refusedOrSent(peer: Peer, send: () => Promise<void>): Promise<PublishPacket | undefined> {
  const refused = send().then(
    () => undefined,
    () => undefined,
  );
  const sent = await Promise.race([refused, peer.takePublish().catch(() => undefined)]);
  return sent;
}

const connecting: readonly ClientCase[] = [
  ...clientCases(['MQTT-3.1.0-1', 'MQTT3-3.1.0-1', 'MQTT3-7.1.2-1'], 'The first packet is CONNECT', async (bench) => {
    await bench.dial();
    const peer = await bench.link();
    const { packet } = await peer.takeFirst('CONNECT');
    expectEqual(packet.type, PacketType.Connect, 'packet type');
    bench.welcome(peer);
    await bench.silence(peer);
  }),
  ...clientCases(
    ['MQTT-3.1.2-20', 'MQTT3-3.1.2-23'],
    'With nothing else to send, PINGREQ comes within the Keep Alive',
    async (bench) => {
      const { peer } = await bench.connected({ keepAliveSeconds: 1 });
      for (let i = 0; i < 2; i++) {
        await peer.take(PacketType.Pingreq, 'PINGREQ', 1500);
        peer.send({ type: PacketType.Pingresp });
      }
    },
  ),
  ...clientCases(['MQTT-3.1.2-21', 'MQTT-3.2.2-21'], 'Server Keep Alive takes the place of the own', async (bench) => {
    const { peer } = await bench.connected({ keepAliveSeconds: 600 }, { properties: { serverKeepAlive: 1 } });
    await peer.take(PacketType.Pingreq, 'PINGREQ', 1500);
  }),
  ...clientCases('MQTT-3.2.2-4', 'Session Present 1 to a client without a session closes', async (bench) => {
    await bench.dial();
    const { peer } = await bench.accept({ sessionPresent: true });
    await bench.closes(peer, 'Session Present 1');
  }),
  ...clientCases(
    'MQTT-3.2.2-5',
    'Session Present 0 drops the session: nothing is sent again as such',
    async (bench) => {
      const { client, peer } = await bench.connected(bench.durable);
      publishing(client, 't', 'x', 1);
      await peer.takePublish();
      peer.cut();
      const { peer: again } = await bench.accept({ sessionPresent: false });
      again.sendPublish('fence', 'fence', { qos: 1, packetId: 65_000 });
      await again.takeAck(PacketType.Puback, 65_000);
      const repeated = again.untaken.filter((packet) => packet.type === PacketType.Publish && packet.dup);
      expectTrue(repeated.length === 0, 'no PUBLISH with DUP 1', repeated);
    },
  ),
  ...clientCases('MQTT3-3.1.3-7', 'An empty client id comes with Clean Session 1 only', async (bench) => {
    const dialled = bench.dial({ clientId: '', cleanStart: false }).catch(() => undefined);
    if ((await dialled) === undefined) return;
    const peer = await bench.link().catch(() => undefined);
    const connect = await peer?.takeOrEnd('CONNECT');
    if (connect?.type !== PacketType.Connect) return;
    expectTrue(connect.clientId !== '' || connect.cleanStart, 'Clean Session 1, or a client id', connect);
  }),
];

const limits: readonly ClientCase[] = [
  ...clientCases('MQTT-3.2.2-11', 'Nothing is published above the Maximum QoS of the server', async (bench) => {
    const { client, peer } = await bench.connected({}, { properties: { maximumQoS: 0 } });
    const sent = await refusedOrSent(peer, () => client.publish('t', text('x'), { qos: 2 }));
    if (sent !== undefined) expectEqual(sent.qos, 0, 'QoS');
  }),
  ...clientCases(
    'MQTT-3.2.2-14',
    'Nothing is published with RETAIN 1 when the server has no retained messages',
    async (bench) => {
      const { client, peer } = await bench.connected({}, { properties: { retainAvailable: false } });
      const sent = await refusedOrSent(peer, () => client.publish('t', text('x'), { qos: 0, retain: true }));
      if (sent !== undefined) expectEqual(sent.retain, false, 'RETAIN');
    },
  ),
  ...clientCases('MQTT-3.2.2-15', 'No packet is larger than the Maximum Packet Size of the server', async (bench) => {
    const { client, peer } = await bench.connected({}, { properties: { maximumPacketSize: 50 } });
    const sent = await refusedOrSent(peer, () => client.publish('t', new Uint8Array(100), { qos: 0 }));
    expectTrue(sent === undefined, 'no PUBLISH of more than 50 bytes', sent);
  }),
  ...clientCases(['MQTT-3.2.2-17', 'MQTT-3.3.2-9'], 'Aliases stay within the maximum of the server', async (bench) => {
    const { client, peer } = await bench.connected({ usesAliases: true }, { properties: { topicAliasMaximum: 2 } });
    for (let i = 0; i < 12; i++) publishing(client, `topic/${i % 4}`, `${i}`, 0);
    for (const packet of await takePublishes(peer, 12)) {
      const alias = packet.properties?.topicAlias;
      expectTrue(alias === undefined || alias <= 2, 'an alias of 2 at most', packet);
    }
  }),
  ...clientCases('MQTT-3.2.2-18', 'No alias is used when the server allows none', async (bench) => {
    const { client, peer } = await bench.connected({ usesAliases: true });
    for (let i = 0; i < 4; i++) publishing(client, 't', `${i}`, 0);
    for (const packet of await takePublishes(peer, 4))
      expectEqual([packet.topic, packet.properties?.topicAlias], ['t', undefined], 'topic and alias');
  }),
  ...clientCases('MQTT-3.3.2-10', 'Every alias up to the own maximum is understood', async (bench) => {
    const { peer } = await bench.connected({ topicAliasMaximum: 5 });
    for (const topic of ['set', '']) {
      for (let alias = 1; alias <= 5; alias++) {
        peer.sendPublish(topic === '' ? '' : `${topic}/${alias}`, 'x', { properties: { topicAlias: alias } });
      }
    }
    await bench.silence(peer);
    const topics = bench.received.map(({ topic }) => topic).filter((topic) => topic !== 'fence');
    const all = [1, 2, 3, 4, 5].map((alias) => `set/${alias}`);
    expectEqual(topics, [...all, ...all], 'topics the application got');
  }),
  ...clientCases('MQTT-3.3.4-6', 'No PUBLISH has a Subscription Identifier', async (bench) => {
    const { client, peer } = await bench.connected();
    const list = { subscriptionIdentifiers: [5] };
    client.publish('t', text('x'), { qos: 0, properties: list }).catch(() => {});
    publishing(client, 't', 'y', 0);
    // One that has it does not decode, which fails the case.
    for (let last = ''; last !== 'y'; ) last = payloads([await peer.takePublish()])[0] as string;
  }),
  ...clientCases(
    ['MQTT-3.3.4-7', 'MQTT-4.9.0-1 client', 'MQTT-4.9.0-2 client'],
    'No more PUBLISHes are open than the Receive Maximum of the server',
    async (bench) => {
      const { client, peer } = await bench.connected({}, { properties: { receiveMaximum: 2 } });
      for (let i = 0; i < 4; i++) publishing(client, 't', `${i}`, 1);
      const [first] = await takePublishes(peer, 2);
      await bench.silence(peer, 'two PUBLISHes at a time');
      peer.ack(PacketType.Puback, (first as PublishPacket).packetId);
      await takePublishes(peer, 1);
      await bench.silence(peer, 'two PUBLISHes at a time');
    },
  ),
  ...clientCases(
    ['MQTT-3.3.4-8', 'MQTT-4.9.0-3 client'],
    'At Receive Maximum other packets are not held back',
    async (bench) => {
      const { client, peer } = await bench.connected({}, { properties: { receiveMaximum: 1 } });
      for (let i = 0; i < 2; i++) publishing(client, 't', `${i}`, 1);
      await takePublishes(peer, 1);
      client.subscribe('t', 0).catch(() => {});
      await peer.take(PacketType.Subscribe, 'SUBSCRIBE');
    },
  ),
];

/** A client that was cut off with four messages open, and the connection by which it is back. */
async function resumed(bench: ClientBench): Promise<{ first: PublishPacket[]; again: Peer }> {
  const { client, peer } = await bench.connected(bench.durable);
  for (let i = 0; i < 4; i++) publishing(client, 't', `${i}`, i % 2 === 0 ? 1 : 2);
  const first = await takePublishes(peer, 4);
  peer.cut();
  const { peer: again } = await bench.accept({ sessionPresent: true });
  return { first, again };
}

const exchanges: readonly ClientCase[] = [
  ...clientCases(
    ['MQTT-2.2.1-3', 'MQTT-4.3.2-1 client', 'MQTT-4.3.3-1 client', 'MQTT3-2.3.1-2'],
    'Packet identifiers are not 0 and not in use',
    async (bench) => {
      const { client, peer } = await bench.connected();
      const count = 40;
      for (let i = 0; i < count; i++) {
        if (i % 4 === 3) client.subscribe(`f/${i}`, 0).catch(() => {});
        else publishing(client, 't', `${i}`, i % 2 === 0 ? 1 : 2);
      }
      const ids = new Set<number>();
      for (let i = 0; i < count; i++) {
        const packet = await peer.takeOrEnd(`packet ${i + 1} of ${count}`);
        if (packet?.type !== PacketType.Publish && packet?.type !== PacketType.Subscribe)
          throw new Mismatch('PUBLISH or SUBSCRIBE', words(packet));
        expectTrue(packet.packetId !== 0 && !ids.has(packet.packetId), 'an identifier not in use', packet);
        ids.add(packet.packetId);
      }
    },
  ),
  ...clientCases(
    ['MQTT-2.2.1-3 wrap', 'MQTT3-2.3.1-2 wrap', 'MQTT3-2.3.1-3 wrap'],
    'After 65,535 messages identifiers start again: not with 0, and not with the one that is still in use',
    async (bench) => {
      const { client, peer } = await bench.connected();
      const held = client.publish('held', text('x'), { qos: 1 });
      const { packetId: heldId } = await peer.takePublish();
      const burst = 200;
      let isHeld = true;
      const release = (): void => {
        if (isHeld) peer.ack(PacketType.Puback, heldId);
        isHeld = false;
      };
      for (let sent = 0; sent < 65_600; sent += burst) {
        for (let i = 0; i < burst; i++) publishing(client, 't', 'x', 1);
        const ids: number[] = [];
        while (ids.length < burst) {
          // Every other identifier was used once: whoever gives them out in one line has to wait for the one that is held.
          const mayWait = isHeld && sent + ids.length === 65_534;
          const packet = await peer.takePublish().catch((error: unknown) => {
            if (!mayWait) throw error;
          });
          if (packet === undefined) release();
          else ids.push(packet.packetId);
        }
        // An identifier of 0 does not decode, which fails the case.
        const taken = ids.find((id, i) => (isHeld && id === heldId) || ids.indexOf(id) !== i);
        if (taken !== undefined) throw new Mismatch('identifiers that are not in use', `${taken}, which is`);
        peer.send(...ids.map((packetId) => ({ type: PacketType.Puback, packetId, reasonCode: 0 }) as const));
      }
      release();
      await held;
      await bench.silence(peer);
    },
    { isLong: true },
  ),
  ...clientCases(
    ['MQTT-4.5.0-2', 'MQTT3-4.5.0-2'],
    'What was not subscribed to is acknowledged all the same',
    async (bench) => {
      const { peer } = await bench.connected();
      peer.sendPublish('stranger', 'x', { qos: 1, packetId: 5 });
      await peer.takeAck(PacketType.Puback, 5);
      peer.sendPublish('stranger', 'x', { qos: 2, packetId: 6 });
      await peer.takeAck(PacketType.Pubrec, 6);
      peer.ack(PacketType.Pubrel, 6);
      await peer.takeAck(PacketType.Pubcomp, 6);
      await bench.silence(peer);
    },
  ),
  ...clientCases(['MQTT-4.6.0-2', 'MQTT3-4.6.0-2'], 'PUBACKs come in the order of the PUBLISHes', async (bench) => {
    const { peer } = await bench.connected();
    const ids = [9, 3, 7, 1, 8];
    for (const packetId of ids) peer.sendPublish('t', `${packetId}`, { qos: 1, packetId });
    const seen: number[] = [];
    for (const _ of ids) seen.push((await peer.take(PacketType.Puback, 'PUBACK')).packetId);
    expectEqual(seen, ids, 'identifiers');
  }),
  ...clientCases(['MQTT-4.6.0-3', 'MQTT3-4.6.0-3'], 'PUBRECs come in the order of the PUBLISHes', async (bench) => {
    const { peer } = await bench.connected();
    const ids = [9, 3, 7, 1, 8];
    for (const packetId of ids) peer.sendPublish('t', `${packetId}`, { qos: 2, packetId });
    const seen: number[] = [];
    for (const _ of ids) seen.push((await peer.take(PacketType.Pubrec, 'PUBREC')).packetId);
    expectEqual(seen, ids, 'identifiers');
  }),
  ...clientCases(['MQTT-4.6.0-4', 'MQTT3-4.6.0-4'], 'PUBRELs come in the order of the PUBRECs', async (bench) => {
    const { client, peer } = await bench.connected();
    for (let i = 0; i < 4; i++) publishing(client, 't', `${i}`, 2);
    const ids = (await takePublishes(peer, 4)).map(({ packetId }) => packetId);
    const shuffled = [2, 0, 3, 1].map((i) => ids[i] as number);
    for (const packetId of shuffled) peer.ack(PacketType.Pubrec, packetId);
    const seen: number[] = [];
    for (const _ of ids) seen.push((await peer.take(PacketType.Pubrel, 'PUBREL')).packetId);
    expectEqual(seen, shuffled, 'identifiers');
  }),
  ...clientCases(
    ['MQTT-4.6.0-1', 'MQTT-4.4.0-1 client', 'MQTT3-4.6.0-1', 'MQTT3-2.3.1-3'],
    'What is open is sent again on resuming, in its order and under its identifiers, at once or one after the other',
    async (bench) => {
      const { first, again } = await resumed(bench);
      const repeated: PublishPacket[] = [];
      for (const _ of first) {
        const packet = await again.takePublish('the message again');
        repeated.push(packet);
        await again.acknowledge(packet);
      }
      const head = (packet: PublishPacket): unknown[] => [payloads([packet])[0], packet.packetId];
      expectEqual(repeated.map(head), first.map(head), 'messages and identifiers');
    },
  ),
  ...clientCases(['MQTT-3.3.1-1 client', 'MQTT3-3.3.1-1 client'], 'What is sent again has DUP 1', async (bench) => {
    const { again } = await resumed(bench);
    expectEqual((await again.takePublish('the message again')).dup, true, 'DUP');
  }),
  ...clientCases(
    ['MQTT-4.3.3-5 client', 'MQTT-4.3.3-6 client', 'MQTT3-4.3.3-1 client'],
    'Without PUBCOMP the PUBREL is sent again, not the PUBLISH',
    async (bench) => {
      const { client, peer } = await bench.connected(bench.durable);
      publishing(client, 't', 'x', 2);
      const { packetId } = await peer.takePublish();
      peer.ack(PacketType.Pubrec, packetId);
      await peer.takeAck(PacketType.Pubrel, packetId);
      peer.cut();
      const { peer: again } = await bench.accept({ sessionPresent: true });
      await again.takeAck(PacketType.Pubrel, packetId);
      again.ack(PacketType.Pubcomp, packetId);
      await bench.silence(again);
    },
  ),
  ...clientCases(
    ['MQTT-4.3.3-10 client', 'MQTT3-4.3.3-2 client'],
    'A QoS 2 message sent twice before PUBREL reaches the application once',
    async (bench) => {
      const { peer } = await bench.connected();
      for (const dup of [false, true]) {
        peer.sendPublish('t', 'x', { qos: 2, packetId: 7, dup });
        await peer.takeAck(PacketType.Pubrec, 7);
      }
      peer.ack(PacketType.Pubrel, 7);
      await peer.takeAck(PacketType.Pubcomp, 7);
      await bench.silence(peer);
      expectEqual(bench.received.filter(({ topic }) => topic === 't').length, 1, 'messages');
    },
  ),
  ...clientCases(
    ['MQTT-3.14.4-1 client', 'MQTT-3.14.4-2 client', 'MQTT-3.14.2-1 sent', 'MQTT3-3.14.4-1', 'MQTT3-3.14.4-2'],
    'After DISCONNECT nothing is sent, and the connection closed',
    async (bench) => {
      const { client, peer } = await bench.connected();
      await roundTrip(client, peer);
      const gone = client.disconnect().catch(() => {});
      await peer.take(PacketType.Disconnect, 'DISCONNECT');
      await peer.over('the connection to be closed after DISCONNECT');
      expectEqual(peer.untaken, [], 'packets after DISCONNECT');
      await gone;
    },
  ),
];

export const allClientCases: readonly ClientCase[] = [
  ...connecting,
  ...authenticationCases,
  ...limits,
  ...exchanges,
  ...deliveryCases,
  ...conductCases,
  ...webSocketCases,
  ...errorCases,
];
