/**
 * A data directory made by a real broker, with one of everything, and what may be found in it: every payload says which message it
 * is and bears a checksum, so that whatever is read back can be told right or wrong by itself.
 */

import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import { type Broker, createBroker, openStore, type StoreReader } from '@pipit/broker';
import { type Packet, PacketType } from '@pipit/protocol';
import { MqttPeer } from '../../packages/broker/test/node/mqtt-peer.ts';
import type { Prng } from '../../packages/broker/test/sim/prng.ts';

export const segmentBytes = 32 * 1024;
const sessionCount = 10;

/** What a store says, in a form that compares. */
export interface Content {
  /** By session: its filters. */
  readonly subscriptions: ReadonlyMap<string, ReadonlySet<string>>;
  /** By session and sequence: the number of the message, and how far it is. */
  readonly queues: ReadonlyMap<string, ReadonlyMap<number, string>>;
  readonly received: ReadonlyMap<string, ReadonlySet<number>>;
  /** By topic: the number of the message. */
  readonly retained: ReadonlyMap<string, number>;
}

/** Everything that was ever true. */
export class History {
  /** By number: where it was published. */
  readonly topics: string[] = [];
  readonly filters = new Map<string, Set<string>>();
  /** What must be there in the end: by session the numbers in its queue, by topic the number retained. */
  readonly queues = new Map<string, number[]>();
  readonly retained = new Map<string, number>();
  /** By session: which message a packet identifier stands for. */
  readonly flights = new Map<string, Map<number, number>>();

  payload(topic: string, length: number): string {
    const number = this.topics.push(topic) - 1;
    const text = `${number} ${topic} ${'.'.repeat(length)}`;
    return `${crc32(text)} ${text}`;
  }

  /** The number of a message that is as it was published; throws when it is not. */
  check(topic: string, payload: Uint8Array): number {
    const [checksum, ...words] = Buffer.from(payload).toString().split(' ');
    const number = Number(words[0]);
    assert.equal(Number(checksum), crc32(words.join(' ')), 'the checksum of a payload');
    assert.equal(words[1], topic, 'the topic of a payload');
    assert.equal(this.topics[number], topic, 'a message that was published');
    return number;
  }

  async read(reader: StoreReader): Promise<Content> {
    const content = {
      subscriptions: new Map<string, Set<string>>(),
      queues: new Map<string, Map<number, string>>(),
      received: new Map<string, Set<number>>(),
      retained: new Map<string, number>(),
    };
    for (const { session, subscriptions, received } of reader.sessions) {
      const { key } = session;
      assert.deepEqual([session.clientId, session.principal, session.expirySeconds], [key, null, 3_600]);
      const filters = subscriptions.map(({ filter, shareName }) =>
        shareName === undefined ? filter : `$share/${shareName}/${filter}`,
      );
      for (const filter of filters) assert.ok(this.filters.get(key)?.has(filter), `${filter} of ${key}`);
      content.subscriptions.set(key, new Set(filters));
      content.received.set(key, new Set(received));
      const queue = new Map<number, string>();
      for await (const { sequence, packetId, released, message } of reader.queue(key)) {
        const number = this.check(message.topic, message.payload);
        queue.set(sequence, `${number} ${packetId} ${released}`);
      }
      content.queues.set(key, queue);
    }
    for await (const { topic, message } of reader.retained(reader.topics())) {
      assert.equal(message.topic, topic);
      content.retained.set(topic, this.check(topic, message.payload));
    }
    return content;
  }
}

export async function connect(broker: Broker, clientId: string): Promise<MqttPeer> {
  const peer = new MqttPeer(broker.connect());
  const properties = { sessionExpiryInterval: 3_600, receiveMaximum: 5 };
  peer.send({ type: PacketType.Connect, version: 5, clientId, cleanStart: false, keepAlive: 0, properties });
  await peer.next();
  return peer;
}

/** Drops the sockets; resolves when the broker knows. */
async function drop(broker: Broker, peers: readonly MqttPeer[]): Promise<void> {
  let left = peers.length;
  const gone = new Promise<void>((done) => {
    broker.on('disconnected', () => {
      if (--left === 0) done();
    });
  });
  for (const { stream } of peers) stream.destroy();
  await gone;
}

/** Runs a broker some times on the directory, and fills it. */
export async function makeStore(directory: string, prng: Prng): Promise<History> {
  const history = new History();
  for (let run = 0; run < 3; run++) {
    const broker = createBroker({ store: openStore(directory, { segmentBytes }), sysIntervalMs: null });
    await broker.start();
    if (run === 0) await subscribe(broker, history);
    await once(broker, history, `once ${run}`);
    await publish(broker, history, prng);
    await drain(broker, history, run);
    await broker.stop();
  }
  return history;
}

async function subscribe(broker: Broker, history: History): Promise<void> {
  const peers: MqttPeer[] = [];
  for (let index = 0; index < sessionCount; index++) {
    const key = `session ${index}`;
    const peer = await connect(broker, key);
    const filters = [`to/${index}/#`, 'all', ...(index < 3 ? ['$share/group/jobs'] : []), 'given up'];
    for (const filter of filters) await peer.subscribe(filter, 2);
    peer.send({ type: PacketType.Unsubscribe, packetId: 2, filters: ['given up'] });
    await peer.next();
    // A QoS 2 message of which the PUBREL never comes.
    const payload = Buffer.from(history.payload('elsewhere', 10));
    peer.send({
      type: PacketType.Publish,
      topic: 'elsewhere',
      payload,
      qos: 2,
      retain: false,
      dup: false,
      packetId: 9,
    });
    assert.equal(((await peer.next()) as Packet).type, PacketType.Pubrec);
    history.filters.set(key, new Set(filters));
    history.queues.set(key, []);
    history.flights.set(key, new Map());
    peers.push(peer);
  }
  await drop(broker, peers);
}

/** A session that was there once: of its records there are few. */
async function once(broker: Broker, history: History, key: string): Promise<void> {
  const peer = await connect(broker, key);
  await peer.subscribe('all', 1);
  history.filters.set(key, new Set(['all']));
  history.queues.set(key, []);
  await drop(broker, [peer]);
}

async function publish(broker: Broker, history: History, prng: Prng): Promise<void> {
  const all = [...history.queues.values()];
  for (let round = 0; round < 12; round++) {
    const publishes: Promise<unknown>[] = [];
    const send = (topic: string, retain = false): number => {
      const payload = history.payload(topic, prng.chance(5) ? 3_000 : prng.below(300));
      publishes.push(broker.publish(topic, payload, { qos: prng.pick([1, 2]), retain }));
      return history.topics.length - 1;
    };
    for (let index = 0; index < sessionCount; index++) {
      for (let count = prng.below(4); count > 0; count--) all[index]?.push(send(`to/${index}/${prng.below(5)}`));
    }
    const shared = send('all');
    for (const queue of all) queue.push(shared);
    send('jobs');
    for (let count = 0; count < 5; count++) {
      const topic = `kept/${prng.below(30)}`;
      if (prng.chance(20)) {
        publishes.push(broker.publish(topic, '', { qos: 1, retain: true }));
        history.retained.delete(topic);
      } else history.retained.set(topic, send(topic, true));
    }
    await Promise.all(publishes);
  }
}

/** Some sessions come and take some of theirs; what they leave unanswered stays in flight. */
async function drain(broker: Broker, history: History, run: number): Promise<void> {
  const peers: MqttPeer[] = [];
  for (const [index, [key, queue]] of [...history.queues].entries()) {
    if (key.startsWith('once') || (index + run) % 3 === 0) continue;
    const peer = await connect(broker, key);
    peers.push(peer);
    for (const number of await take(peer, history, 12, history.flights.get(key))) {
      if (queue.includes(number)) queue.splice(queue.indexOf(number), 1);
    }
  }
  await drop(broker, peers);
}

/** Acknowledges so many messages to the end; their numbers. */
export async function take(
  peer: MqttPeer,
  history: History,
  count: number,
  numbers = new Map<number, number>(),
): Promise<number[]> {
  const settled: number[] = [];
  while (settled.length < count) {
    const packet = (await peer.next()) as Packet;
    if (packet.type === PacketType.Pubrel) {
      peer.send({ type: PacketType.Pubcomp, packetId: packet.packetId, reasonCode: 0 });
      settled.push(numbers.get(packet.packetId) ?? -1);
      continue;
    }
    assert.equal(packet.type, PacketType.Publish);
    const { packetId, qos, topic, payload } = packet as Extract<Packet, { type: typeof PacketType.Publish }>;
    numbers.set(packetId, history.check(topic, payload));
    peer.send({ type: qos === 1 ? PacketType.Puback : PacketType.Pubrec, packetId, reasonCode: 0 });
    if (qos === 1) settled.push(numbers.get(packetId) as number);
  }
  peer.send({ type: PacketType.Pingreq });
  for (let packet = await peer.next(); (packet as Packet).type !== PacketType.Pingresp; ) packet = await peer.next();
  return settled;
}
