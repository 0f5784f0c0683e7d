/** A broker on the real store: what a client was promised is there in the next run. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Packet, PacketType } from '@pipit/protocol';
import { type Broker, createBroker, DirectoryInUseError, type LogReport, openStore } from '../../src/index.ts';
import { MqttPeer, publishedBy, publishPacket } from '../node/mqtt-peer.ts';

const timeout = { timeout: 20_000 };

async function withDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'pipit-store-'));
  await body(directory).finally(() => rm(directory, { recursive: true }));
}

/** Runs a broker on the directory for the length of `body`. */
async function withStoredBroker(directory: string, body: (broker: Broker) => Promise<void>): Promise<LogReport> {
  let report: LogReport | undefined;
  const store = openStore(directory, {
    onReport: (found) => {
      report = found;
    },
  });
  const broker = createBroker({ store, sysIntervalMs: null });
  await broker.start();
  await body(broker).finally(() => broker.stop());
  assert.ok(report !== undefined);
  return report;
}

async function connect(broker: Broker, clientId: string): Promise<{ peer: MqttPeer; isPresent: boolean }> {
  const peer = new MqttPeer(broker.connect());
  const properties = { sessionExpiryInterval: 3_600 };
  peer.send({ type: PacketType.Connect, version: 5, clientId, cleanStart: false, keepAlive: 0, properties });
  const connack = (await peer.next()) as Extract<Packet, { type: typeof PacketType.Connack }>;
  return { peer, isPresent: connack.sessionPresent };
}

function ack(type: 4 | 5 | 6 | 7, packetId: number): Packet {
  return { type, packetId, reasonCode: 0 };
}

/** Topics of what is retained for a filter. PUBLISH may come before SUBACK: what comes behind both is waited for. */
async function retained(peer: MqttPeer, filter: string): Promise<string[]> {
  const topics: string[] = [];
  const take = (packet: Packet | 'end'): boolean => {
    if (packet !== 'end' && packet.type === PacketType.Publish) topics.push(packet.topic);
    return packet !== 'end' && packet.type === PacketType.Suback;
  };
  let isDone = take(await peer.subscribe(filter, 1));
  while (!isDone || topics.length === 0) isDone = take(await peer.next()) || isDone;
  return topics;
}

test('sessions, subscriptions, queued and retained messages outlive the broker', timeout, () =>
  withDirectory(async (directory) => {
    await withStoredBroker(directory, async (broker) => {
      const { peer, isPresent } = await connect(broker, 'sleeper');
      assert.equal(isPresent, false);
      await peer.subscribe('queue/#', 2);
      peer.stream.destroy();
      const { peer: publisher } = await connect(broker, 'publisher');
      for (let i = 1; i <= 50; i++) publisher.publish('queue/a', `${i}`, 1, i);
      for (let i = 1; i <= 50; i++) assert.deepEqual(await publisher.next(), ack(PacketType.Puback, i));
      publisher.send({ ...publishPacket('kept', 'value', 1, 99), retain: true } as Packet);
      assert.equal(((await publisher.next()) as { type: number }).type, PacketType.Puback);
    });
    await withStoredBroker(directory, async (broker) => {
      const { peer, isPresent } = await connect(broker, 'sleeper');
      assert.ok(isPresent);
      for (let i = 1; i <= 50; i++) {
        const packet = (await peer.next()) as Extract<Packet, { type: typeof PacketType.Publish }>;
        assert.deepEqual(publishedBy(packet), { topic: 'queue/a', payload: `${i}`, qos: 1 });
        if (i <= 20) peer.send(ack(PacketType.Puback, packet.packetId));
      }
      assert.deepEqual(await retained(peer, 'kept'), ['kept']);
    });
    const report = await withStoredBroker(directory, async (broker) => {
      const { peer } = await connect(broker, 'sleeper');
      const again = (await peer.next()) as Extract<Packet, { type: typeof PacketType.Publish }>;
      assert.deepEqual(publishedBy(again), { topic: 'queue/a', payload: '21', qos: 1 });
      assert.ok(again.dup);
    });
    assert.deepEqual(report.damage, []);
  }),
);

test('QoS 2 is exactly once across restarts, on both sides', timeout, () =>
  withDirectory(async (directory) => {
    await withStoredBroker(directory, async (broker) => {
      const { peer: receiver } = await connect(broker, 'receiver');
      await receiver.subscribe('t', 2);
      const { peer: sender } = await connect(broker, 'sender');
      sender.publish('t', 'once', 2, 7);
      assert.deepEqual(await sender.next(), ack(PacketType.Pubrec, 7));
      const { packetId } = (await receiver.next()) as Extract<Packet, { type: typeof PacketType.Publish }>;
      receiver.send(ack(PacketType.Pubrec, packetId));
      assert.deepEqual(await receiver.next(), ack(PacketType.Pubrel, packetId));
    });
    await withStoredBroker(directory, async (broker) => {
      const { peer: sender } = await connect(broker, 'sender');
      // It may send again what it has no PUBREC for; the id is known, so it is no second message.
      sender.send({ ...publishPacket('t', 'once', 2, 7), dup: true } as Packet);
      assert.deepEqual(await sender.next(), ack(PacketType.Pubrec, 7));
      sender.send(ack(PacketType.Pubrel, 7));
      assert.deepEqual(await sender.next(), ack(PacketType.Pubcomp, 7));
      const { peer: receiver } = await connect(broker, 'receiver');
      const pubrel = (await receiver.next()) as Extract<Packet, { type: typeof PacketType.Pubrel }>;
      assert.equal(pubrel.type, PacketType.Pubrel);
      receiver.send(ack(PacketType.Pubcomp, pubrel.packetId));
      sender.publish('t', 'next', 2, 7);
      assert.equal(publishedBy(await receiver.next()).payload, 'next');
    });
  }),
);

test('a queue longer than memory holds is paged in, in order, after a restart', timeout, () =>
  withDirectory(async (directory) => {
    const count = 6_000;
    await withStoredBroker(directory, async (broker) => {
      const { peer } = await connect(broker, 'sleeper');
      await peer.subscribe('t', 1);
      peer.stream.destroy();
      await Promise.all(Array.from({ length: count }, (_, i) => broker.publish('t', `${i}`, { qos: 1 })));
    });
    await withStoredBroker(directory, async (broker) => {
      const { peer } = await connect(broker, 'sleeper');
      for (let i = 0; i < count; i++) {
        const packet = (await peer.next()) as Extract<Packet, { type: typeof PacketType.Publish }>;
        assert.equal(publishedBy(packet).payload, `${i}`);
        peer.send(ack(PacketType.Puback, packet.packetId));
      }
      peer.send({ type: PacketType.Pingreq });
      assert.equal(((await peer.next()) as Packet).type, PacketType.Pingresp, 'all of them were read');
    });
    await withStoredBroker(directory, async (broker) => {
      const { peer } = await connect(broker, 'sleeper');
      await broker.publish('t', 'new', { qos: 1 });
      assert.equal(publishedBy(await peer.next()).payload, 'new', 'nothing was left');
    });
  }),
);

test('a damaged directory starts, and says what is missing', timeout, () =>
  withDirectory(async (directory) => {
    await withStoredBroker(directory, async (broker) => {
      for (const clientId of ['a', 'b', 'c']) (await connect(broker, clientId)).peer.stream.destroy();
      await broker.publish('kept', 'x'.repeat(1_000), { qos: 1, retain: true });
      await broker.publish('kept too', 'y', { qos: 1, retain: true });
    });
    const [name = ''] = readdirSync(directory).filter((each) => each.startsWith('segment-'));
    const bytes = readFileSync(join(directory, name));
    const at = bytes.indexOf('xxxxxxxx') + 500;
    bytes[at] = (bytes[at] as number) ^ 1;
    writeFileSync(join(directory, name), bytes);
    const report = await withStoredBroker(directory, async (broker) => {
      const { peer } = await connect(broker, 'a');
      assert.deepEqual(await retained(peer, '#'), ['kept too']);
    });
    assert.equal(report.damage.length, 1);
    const [{ file, from, to, kind, copy }] = report.damage as [LogReport['damage'][0]];
    assert.deepEqual([file, kind], [name, 'damaged']);
    assert.ok(from < at && at < to);
    assert.deepEqual(readFileSync(join(directory, copy ?? '')), bytes.subarray(from, to));
  }),
);

test('a store over its limit refuses what adds to it, and takes it again when its queues are drained', timeout, () =>
  withDirectory(async (directory) => {
    const store = openStore(directory, { segmentBytes: 64 * 1024, storeBytesMax: 512 * 1024 });
    const broker = createBroker({ store, sysIntervalMs: null });
    broker.on('commit-failed', ({ reason }) => assert.fail(reason));
    broker.on('fault', ({ error }) => assert.fail(error as Error));
    await broker.start();
    const { peer } = await connect(broker, 'sleeper');
    await peer.subscribe('t', 1);
    peer.stream.destroy();
    const payload = 'x'.repeat(1_000);
    let accepted = 0;
    await assert.rejects(
      async () => {
        for (; ; accepted++) await broker.publish('t', `${accepted} ${payload}`, { qos: 1 });
      },
      { name: 'PublishError', reasonCode: 0x97 },
    );
    assert.ok(accepted > 150 && store.size.bytes < 512 * 1024, `${accepted} messages, ${store.size.bytes} bytes`);
    const hasRoom = new Promise((done) => broker.on('store-has-room', done));
    const { peer: back } = await connect(broker, 'sleeper');
    for (let i = 0; i < accepted; i++) {
      const packet = (await back.next()) as Extract<Packet, { type: typeof PacketType.Publish }>;
      assert.equal(publishedBy(packet).payload, `${i} ${payload}`);
      back.send(ack(PacketType.Puback, packet.packetId));
    }
    await hasRoom;
    assert.equal(await broker.publish('t', 'again', { qos: 1 }), 0);
    assert.equal(publishedBy(await back.next()).payload, 'again');
    await broker.stop();
  }),
);

test('two brokers cannot use one directory, and the second says who does', timeout, () =>
  withDirectory(async (directory) => {
    await withStoredBroker(directory, async () => {
      const second = createBroker({ store: openStore(directory) });
      await assert.rejects(second.start(), (error: unknown) => {
        assert.ok(error instanceof DirectoryInUseError);
        assert.match(error.message, /in use by this process/);
        return true;
      });
    });
    const lock = (processId: number): string => `${processId} 1`;
    writeFileSync(join(directory, 'lock'), lock(process.ppid));
    const third = createBroker({ store: openStore(directory) });
    await assert.rejects(third.start(), new RegExp(`in use by process ${process.ppid}`));
    // What a dead process leaves behind is no obstacle.
    writeFileSync(join(directory, 'lock'), lock(999_999_999));
    await withStoredBroker(directory, () => Promise.resolve());
    writeFileSync(join(directory, 'lock'), 'torn');
    await withStoredBroker(directory, () => Promise.resolve());
    assert.ok(!readdirSync(directory).includes('lock'));
  }),
);

test('a process that is dead and that nobody has waited for, as in a container, holds no directory', timeout, () =>
  withDirectory(async (directory) => {
    // What `sleep` takes over from the shell it never waits for.
    const parent = spawn('sh', ['-c', 'sleep 0.5 & echo $!; exec sleep 60'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(parent, 'exit');
    try {
      const [line] = (await once(parent.stdout, 'data')) as [Buffer];
      const processId = Number(line.toString());
      const stat = (): string[] => readFileSync(`/proc/${processId}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      while (stat()[0] !== 'Z') await new Promise((done) => setImmediate(done));
      const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
      symlinkSync(`${processId} ${boot} ${stat()[19]}`, join(directory, 'lock'));
      await withStoredBroker(directory, () => Promise.resolve());
    } finally {
      parent.kill();
      await ended;
    }
  }),
);
