import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mock, test } from 'node:test';
import { type Packet, PacketType, ReasonCode } from '@pipit/protocol';
import {
  type AnyEvent,
  type Batch,
  type Change,
  createBroker,
  type FetchRequest,
  type PageRequest,
  PublishError,
  type Store,
  type StoredMessage,
  type StoredPage,
  type StoredState,
} from '../../src/index.ts';
import { MqttPeer, publishedBy } from './mqtt-peer.ts';

const timeout = { timeout: 20_000 };

/** Keeps batches, answers when told to, and fails as often as told to. Loads nothing. */
class SlowStore implements Store {
  readonly durability = 'fsync';
  readonly committed: Batch[] = [];
  readonly calls: string[] = [];
  failures = 0;
  gate: Promise<void> = Promise.resolve();

  load(): Promise<StoredState> {
    this.calls.push('load');
    return Promise.resolve({ wall: Date.now(), clock: Date.now(), lastId: 0, sessions: [], retained: [] });
  }

  async commit(batch: Batch): Promise<void> {
    const copy = { ...batch, changes: [...batch.changes] };
    await this.gate;
    if (this.failures > 0) {
      this.failures--;
      throw new Error('the disk is full');
    }
    this.committed.push(copy);
  }

  fetch(request: FetchRequest): Promise<readonly (StoredMessage | null)[]> {
    this.calls.push('fetch');
    const retained = this.changes.flatMap((change) => (change.kind === 'retained' ? [change.message] : []));
    return Promise.resolve(request.messages.map(({ id }) => retained.find((message) => message.id === id) ?? null));
  }

  page(request: PageRequest): Promise<StoredPage> {
    this.calls.push('page');
    const queued = this.changes
      .filter((change) => change.kind === 'queued' && change.key === request.key)
      .map((change) => (change as Extract<Change, { kind: 'queued' }>).delivery);
    const deliveries = queued.filter(({ sequence }) => sequence > request.after).slice(0, request.count);
    return Promise.resolve({ deliveries, lost: [] });
  }

  close(): Promise<void> {
    this.calls.push('close');
    return Promise.resolve();
  }

  get changes(): Change[] {
    return this.committed.flatMap(({ changes }) => changes);
  }
}

function durableConnect(clientId: string): Packet {
  const properties = { sessionExpiryInterval: 3_600 };
  return { type: PacketType.Connect, version: 5, clientId, cleanStart: false, keepAlive: 0, properties };
}

test('what lasts is acknowledged after its commit, and a failed commit is made again', timeout, async () => {
  const store = new SlowStore();
  const broker = createBroker({ store, sysIntervalMs: null });
  const events: AnyEvent['type'][] = [];
  broker.on('event', ({ type }) => events.push(type));
  await broker.start();
  const sleeper = new MqttPeer(broker.connect());
  sleeper.send(durableConnect('sleeper'));
  await sleeper.next();
  await sleeper.subscribe('a', 1);
  assert.ok(
    store.changes.some(({ kind }) => kind === 'subscribed'),
    'SUBACK came after the commit',
  );
  sleeper.stream.destroy();
  await new Promise((done) => broker.on('disconnected', done));

  const gate = Promise.withResolvers<void>();
  store.gate = gate.promise;
  store.failures = 1;
  let isAccepted = false;
  const published = broker.publish('a', 'x', { qos: 1 }).then((reasonCode) => {
    isAccepted = true;
    return reasonCode;
  });
  for (let i = 0; i < 20; i++) await new Promise((done) => setImmediate(done));
  assert.ok(!isAccepted, 'the promise waits for the commit');
  gate.resolve();
  assert.equal(await published, 0);
  assert.ok(store.changes.some(({ kind }) => kind === 'queued'));
  assert.ok(events.includes('commit-failed') && events.includes('commit-recovered'), String(events));

  const woken = new MqttPeer(broker.connect());
  woken.send(durableConnect('sleeper'));
  const connack = await woken.next();
  assert.ok(connack !== 'end' && connack.type === PacketType.Connack && connack.sessionPresent);
  assert.deepEqual(publishedBy(await woken.next()), { topic: 'a', payload: 'x', qos: 1 });
  await broker.stop();
  assert.equal(store.calls.at(-1), 'close');
});

test('stop waits for the commit under way before it closes the store', timeout, async () => {
  const store = new SlowStore();
  const broker = createBroker({ store, sysIntervalMs: null });
  await broker.start();
  const gate = Promise.withResolvers<void>();
  store.gate = gate.promise;
  const published = broker.publish('kept', 'x', { qos: 1, retain: true });
  const stopped = broker.stop();
  for (let i = 0; i < 20; i++) await new Promise((done) => setImmediate(done));
  assert.ok(!store.calls.includes('close'));
  gate.resolve();
  await stopped;
  assert.ok(store.changes.some(({ kind }) => kind === 'retained'));
  assert.equal(store.calls.at(-1), 'close');
  assert.equal(await published, ReasonCode.NoMatchingSubscribers);
});

test('stop gives up on a store that never answers, and says so to who waits', timeout, async () => {
  const store = new SlowStore();
  const broker = createBroker({ store, stopGraceMs: 50 });
  await broker.start();
  store.gate = new Promise(() => {});
  const published = broker.publish('kept', 'x', { qos: 1, retain: true });
  const refused = assert.rejects(published, { name: 'PublishError', reasonCode: ReasonCode.ServerShuttingDown });
  await broker.stop();
  await refused;
  assert.equal(store.calls.at(-1), 'close');
});

test('a store that cannot be loaded fails the start', timeout, async () => {
  const store = new SlowStore();
  store.load = () => Promise.reject(new Error('no such folder'));
  const broker = createBroker({ store, listeners: [{ type: 'tcp', port: 0 }] });
  await assert.rejects(broker.start(), { message: 'no such folder' });
  assert.deepEqual(broker.listeners, []);
  assert.deepEqual(store.calls, ['close']);
});

test('stopping while the store loads ends the start, too', timeout, async () => {
  const store = new SlowStore();
  const loaded = Promise.withResolvers<StoredState>();
  store.load = () => loaded.promise;
  const broker = createBroker({ store, listeners: [{ type: 'tcp', port: 0 }] });
  const refused = assert.rejects(broker.start(), { message: 'The broker was stopped while it started.' });
  const stopped = broker.stop();
  loaded.resolve({ wall: Date.now(), clock: Date.now(), lastId: 0, sessions: [], retained: [] });
  await refused;
  await stopped;
  assert.deepEqual(broker.listeners, []);
});

test(
  'a large store is taken over in steps, between which the process goes on; stopping ends that, too',
  timeout,
  async () => {
    const store = new SlowStore();
    let taken = 0;
    function* retained(): StoredState['retained'] extends Iterable<infer One> ? Generator<One> : never {
      for (taken = 0; taken < 100_000; taken++) {
        yield {
          topic: `t/${taken}`,
          id: taken + 1,
          cost: 200,
          expiresAtClock: Number.POSITIVE_INFINITY,
          principal: null,
        };
      }
    }
    const wall = Date.now();
    store.load = () => Promise.resolve({ wall, clock: wall, lastId: 100_000, sessions: [], retained: retained() });
    const broker = createBroker({ store, listeners: [{ type: 'tcp', port: 0 }] });
    const refused = assert.rejects(broker.start(), { message: 'The broker was stopped while it started.' });
    while (taken < 5_000) await new Promise((done) => setImmediate(done));
    assert.ok(taken < 10_000, `${taken} at once`);
    await broker.stop();
    await refused;
    assert.ok(taken < 20_000);
    assert.deepEqual(store.calls, ['close']);
  },
);

test('a long queue comes back from the store in pages', timeout, async () => {
  const store = new SlowStore();
  const broker = createBroker({ store, sysIntervalMs: null, limits: { queuePrefixMessages: 5 } });
  await broker.start();
  const sleeper = new MqttPeer(broker.connect());
  sleeper.send(durableConnect('sleeper'));
  await sleeper.next();
  await sleeper.subscribe('a', 1);
  sleeper.stream.destroy();
  await new Promise((done) => broker.on('disconnected', done));
  for (let i = 0; i < 50; i++) await broker.publish('a', String(i), { qos: 1 });
  const woken = new MqttPeer(broker.connect());
  woken.send(durableConnect('sleeper'));
  await woken.next();
  for (let i = 0; i < 50; i++) {
    const packet = await woken.next();
    assert.equal(publishedBy(packet).payload, String(i));
    assert.ok(packet !== 'end' && packet.type === PacketType.Publish);
    woken.send({ type: PacketType.Puback, packetId: packet.packetId, reasonCode: 0 });
  }
  assert.ok(store.calls.includes('page'));
  await broker.stop();
});

test('records carry the time of a wall clock that was set', timeout, async () => {
  const store = new SlowStore();
  const broker = createBroker({ store, sysIntervalMs: null });
  await broker.start();
  await broker.publish('a', 'x', { retain: true, qos: 1 });
  const hour = 3_600_000;
  const { now: realNow } = performance;
  const wallNow = Date.now;
  mock.method(performance, 'now', () => realNow.call(performance) + 5_000);
  mock.method(Date, 'now', () => wallNow() + 5_000 + hour);
  try {
    await broker.publish('a', 'y', { retain: true, qos: 1 });
  } finally {
    mock.restoreAll();
  }
  const [before, after] = store.committed.slice(-2).map(({ wall }) => wall) as [number, number];
  assert.ok(after - before >= hour && after - before < hour + 60_000, `${after - before}`);
  await broker.stop();
});

test('a broker starts once, works only between start and stop, and ends its subscriptions', timeout, async () => {
  const broker = createBroker();
  await assert.rejects(broker.publish('a', 'x'), /The broker is not running \(new\)/);
  assert.throws(() => broker.subscribe('a', () => {}), /not running/);
  assert.throws(() => broker.connect(), /not running/);
  await broker.start();
  await assert.rejects(broker.start(), /starts once/);
  const subscription = broker.subscribe('a');
  const loop = (async () => {
    for await (const _ of subscription);
  })();
  await broker.stop();
  await loop;
  await broker.stop();
  await assert.rejects(broker.publish('a', 'x'), /stopped/);
  await assert.rejects(broker.listen({ type: 'tcp', port: 0 }), /stopped/);
  assert.equal(new PublishError(0x97).message, 'The message was not accepted: Quota exceeded');
});

test('a broker without listeners keeps no process alive, one that stopped neither', timeout, async () => {
  const url = import.meta.resolve('../../src/index.ts');
  for (const last of ['broker.connect();', 'await broker.listen({ type: "tcp", port: 0 }); await broker.stop();']) {
    const program = `
      const { createBroker } = await import(${JSON.stringify(url)});
      const broker = createBroker();
      await broker.start();
      ${last}`;
    const flags = ['--conditions=pipit-source', '--input-type=module', '-e', program];
    const child = spawn(process.execPath, flags, { stdio: 'inherit' });
    assert.deepEqual(await once(child, 'exit'), [0, null]);
  }
});
