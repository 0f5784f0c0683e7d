/** The outbox in a folder: what was stored is sent by a later process, in order, once it has been damaged or killed too. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { connect, type MqttError, type OutboxStore, outboxFolder, type StoredMessage } from '@pipit/client';
import { withBroker } from '../../../broker/test/node/running-broker.ts';
import { connect as connectInBrowser } from '../../src/browser.ts';

const root = mkdtempSync(join(tmpdir(), 'pipit-outbox-'));
after(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;
const newFolder = (): string => join(root, `${++folders}`);
const nowhere = 'mqtt://127.0.0.1:1';

function message(place: number, payload = `${place}`): StoredMessage {
  const properties = place % 2 === 0 ? null : { contentType: 'text/plain' };
  return { place, topic: 't', payload: Buffer.from(payload), qos: 1, retain: place === 3, properties, expiresAt: null };
}

const texts = (messages: readonly StoredMessage[]): string[] =>
  messages.map(({ payload }) => Buffer.from(payload).toString());

const logs = (folder: string): string[] => readdirSync(folder).filter((name) => name.endsWith('.log'));

test('What was put and not removed is there again, as it was and in order', async () => {
  const folder = newFolder();
  const store = outboxFolder(folder);
  assert.deepEqual(await store.load(), []);
  await Promise.all([1, 2, 3, 4].map((place) => store.put(message(place))));
  store.remove(2);
  await store.close();
  const again = outboxFolder(folder);
  const found = await again.load();
  assert.deepEqual(texts(found), ['1', '3', '4']);
  assert.deepEqual(
    found.map(({ retain, properties }) => [retain, properties]),
    [
      [false, { contentType: 'text/plain' }],
      [true, { contentType: 'text/plain' }],
      [false, null],
    ],
  );
  for (const { place } of found) again.remove(place);
  await again.close();
  const empty = outboxFolder(folder);
  assert.deepEqual(await empty.load(), []);
  await empty.close();
});

test('The folder does not grow with what has passed through it', async () => {
  const folder = newFolder();
  const store = outboxFolder(folder, { segmentBytes: 2_000, durability: 'os' });
  await store.load();
  await store.put(message(1));
  for (let place = 2; place <= 400; place++) {
    await store.put(message(place, 'x'.repeat(100)));
    store.remove(place);
  }
  assert.ok(logs(folder).length > 10, 'the oldest is wanted, and what removes the others stands behind it');
  store.remove(1);
  for (let place = 401; place <= 440; place++) {
    await store.put(message(place, 'x'.repeat(100)));
    store.remove(place);
  }
  await store.close();
  const bytes = logs(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  assert.ok(bytes < 6_000, `${bytes} bytes`);
});

test('A torn end and a flipped bit cost what they hit, and what could not be read stays', async () => {
  const folder = newFolder();
  const store = outboxFolder(folder);
  await store.load();
  for (const place of [1, 2, 3]) await store.put(message(place));
  await store.close();
  const [name = ''] = logs(folder);
  appendFileSync(join(folder, name), Buffer.from([0, 0, 0, 99, 1]));
  const torn = outboxFolder(folder);
  assert.deepEqual(texts(await torn.load()), ['1', '2', '3']);
  await torn.close();
  assert.equal(readdirSync(folder).filter((each) => each.endsWith('.damaged')).length, 1);
  const [current = ''] = logs(folder);
  const bytes = readFileSync(join(folder, current));
  const last = bytes.length - 1;
  bytes[last] = (bytes[last] as number) ^ 1;
  writeFileSync(join(folder, current), bytes);
  const flipped = outboxFolder(folder);
  assert.deepEqual(texts(await flipped.load()), ['1', '2']);
  await flipped.close();
});

test('Two at once are refused; one that died leaves the folder free', async () => {
  const folder = newFolder();
  const store = outboxFolder(folder);
  await store.load();
  await assert.rejects(outboxFolder(folder).load(), /in use by process/);
  await store.close();
  writeFileSync(join(folder, 'lock'), '999999999');
  const next = outboxFolder(folder);
  await next.load();
  await next.close();
});

test('A process that is killed after its messages were stored: the next one sends them, in order, and forgets them', async () => {
  const folder = newFolder();
  const script = join(import.meta.dirname, 'durable-child.ts');
  const child = spawn(process.execPath, ['--conditions=pipit-source', script, folder, nowhere], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'close');
  await withBroker({ type: 'tcp', port: 0 }, async (port) => {
    const url = `mqtt://127.0.0.1:${port}`;
    const watcher = connect(url);
    const subscription = await watcher.subscribe('t/+', { qos: 2 });
    const client = connect(url, { outbox: outboxFolder(folder) });
    await client.publish('t/new', 'new', { qos: 1 });
    const seen: string[] = [];
    for (let i = 0; i < 21; i++) seen.push((await subscription.next()).value.text());
    // Messages of different QoS pass each other on their way from the broker.
    for (const parity of [0, 1]) {
      const line = seen.filter((text) => text !== 'new' && Number(text.slice(8)) % 2 === parity);
      assert.deepEqual(
        line,
        Array.from({ length: 10 }, (_, i) => `payload ${i * 2 + parity}`),
      );
    }
    assert.ok(seen.includes('new'));
    await client.end();
    const store = outboxFolder(folder);
    assert.deepEqual(await store.load(), []);
    await store.close();
    await watcher.end();
  });
});

test('A client that ends first leaves its messages stored; one whose message is given up does not', async () => {
  const folder = newFolder();
  const client = connect(nowhere, { outbox: outboxFolder(folder) });
  const kind = (error: MqttError): string => error.kind;
  const stays = client.publish('t', 'stays', { qos: 1 }).catch(kind);
  await client.publish('t', 'stored', { qos: 1, until: 'stored' });
  const goes = client.publish('t', 'goes', { qos: 1, timeoutMs: 1 }).catch(kind);
  assert.equal(await goes, 'timed-out');
  await client.publish('t', 'last', { qos: 2, until: 'stored' });
  await client.end({ drainMs: 0 });
  assert.equal(await stays, 'ended');
  const store = outboxFolder(folder);
  assert.deepEqual(texts(await store.load()), ['stays', 'stored', 'last']);
  await store.close();
});

test('A store that cannot keep a message says so to its publisher', async () => {
  const file = newFolder();
  writeFileSync(file, 'not a folder');
  const client = connect(nowhere, { outbox: outboxFolder(file) });
  await assert.rejects(client.publish('t', '', { qos: 1 }), (error: MqttError) => error.kind === 'outbox-full');
  client.destroy();
});

test("The browser's client takes a store of the application's own: the port is the same", async () => {
  const kept = new Map<number, StoredMessage>();
  const store: OutboxStore = {
    load: async () => [...kept.values()],
    put: async (message) => {
      kept.set(message.place, message);
    },
    remove: (place) => {
      kept.delete(place);
    },
    close: async () => undefined,
  };
  const first = connectInBrowser('ws://127.0.0.1:1/mqtt', { outbox: store });
  const aborted = first.publish('t', 'aborted', { qos: 1, signal: AbortSignal.abort() });
  await first.publish('t', 'one', { qos: 1, until: 'stored' });
  await assert.rejects(aborted, (error: MqttError) => error.kind === 'aborted');
  await first.end({ drainMs: 0 });
  assert.deepEqual(
    [...kept.values()].map(({ topic, qos }) => [topic, qos]),
    [['t', 1]],
  );
  await withBroker({ type: 'ws', port: 0 }, async (port) => {
    const url = `ws://127.0.0.1:${port}/mqtt`;
    const watcher = connectInBrowser(url);
    const subscription = await watcher.subscribe('t', { qos: 1 });
    const next = connectInBrowser(url, { outbox: store });
    await next.publish('t', 'two', { qos: 1 });
    for (const payload of ['one', 'two']) assert.equal((await subscription.next()).value.text(), payload);
    await next.end();
    assert.equal(kept.size, 0);
    await watcher.end();
  });
});
