import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { metricDefinitions } from '../../src/admin/metrics.ts';
import { openStore, type Store } from '../../src/index.ts';
import { publishedBy } from '../node/mqtt-peer.ts';
import { withApi } from './api.ts';

const timeout = { timeout: 20_000 };

test('publishing by HTTP is publishing', timeout, async () => {
  await withApi(async (api) => {
    const peer = await api.client('c');
    await peer.subscribe('#', 1);
    const properties = { contentType: 'text/plain', userProperties: [['a', 'b']] };
    const answer = await api.ask('POST', '/api/v1/publish', { topic: 'a', payload: 'é', qos: 1, properties });
    assert.deepEqual([answer.status, answer.json], [200, { matched: true }]);
    const packet = await peer.next();
    assert.deepEqual(publishedBy(packet), { topic: 'a', payload: 'é', qos: 1 });
    assert.deepEqual(packet !== 'end' && 'properties' in packet && packet.properties, properties);
    await api.ask('POST', '/api/v1/publish', { topic: 'b', payloadBase64: 'AP8=' });
    const bytes = await peer.next();
    assert.deepEqual(bytes !== 'end' && 'payload' in bytes && [...(bytes.payload ?? [])], [0, 255]);
    assert.equal((await api.ask('POST', '/api/v1/publish', { topic: '$x/y' })).json.matched, false);
    for (const body of [
      {},
      { topic: 'a/#' },
      { topic: '' },
      { topic: 'a', qos: 3 },
      { topic: 'a', payload: 'x', payloadBase64: 'eA==' },
      { topic: 'a', payloadBase64: '!' },
      { topic: 'a', nonsense: 1 },
      { topic: 'a', properties: { topicAlias: 1 } },
      '{',
    ]) {
      const { status, json, headers } = await api.ask('POST', '/api/v1/publish', body);
      assert.equal(status, 400, JSON.stringify(body));
      assert.match(headers.get('content-type') ?? '', /^application\/problem\+json/);
      assert.ok(json.detail.length > 5);
    }
  });
});

test('retained messages: listed, read from memory and from the store, cleared', timeout, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pipit-admin-'));
  // Nothing stays in memory once it lasts.
  const options = { store: openStore(folder), limits: { retainedBytesInMemoryMax: 0 } };
  await withApi(async (api) => {
    for (let i = 0; i < 5; i++) await api.broker.publish(`r/${i}`, `v${i}`, { qos: 1, retain: true });
    await api.broker.publish('other', new Uint8Array([255]), { qos: 1, retain: true });
    assert.deepEqual((await api.all('/api/v1/retained', 2)).map(({ topic }) => topic).sort(), [
      'other',
      'r/0',
      'r/1',
      'r/2',
      'r/3',
      'r/4',
    ]);
    assert.deepEqual((await api.all('/api/v1/retained?filter=r/%2B', 2)).length, 5);
    const { json } = await api.get('/api/v1/retained/message?topic=r/3');
    assert.deepEqual([json.topic, json.payload, json.qos], ['r/3', 'v3', 1]);
    assert.equal((await api.get('/api/v1/retained/message?topic=other')).json.payloadBase64, '/w==');
    assert.equal((await api.ask('DELETE', '/api/v1/retained/message?topic=r/3')).status, 204);
    assert.equal((await api.get('/api/v1/retained/message?topic=r/3')).status, 404);
    assert.equal((await api.ask('DELETE', '/api/v1/retained/message?topic=r/3')).status, 404);
    assert.equal((await api.all('/api/v1/retained?filter=r/%23')).length, 4);
    assert.equal((await api.get('/api/v1/retained?filter=a/%23/b')).status, 400);
    assert.equal((await api.get('/api/v1/retained/message?topic=%23')).status, 400);
  }, options);
  rmSync(folder, { recursive: true });
});

test('health, and the broker in numbers', timeout, async () => {
  await withApi(async (api) => {
    await api.client('c');
    const { json } = await api.get('/api/v1/broker');
    assert.equal(json.version, '1.2.3');
    assert.equal(json.durability, 'memory');
    assert.equal(json.connections, 1);
    assert.equal(json.sessions, 1);
    assert.deepEqual((await api.get('/health/ready')).json, { status: 'ready', problems: [] });
    await api.broker.stop();
    const { status, json: problem } = await api.get('/health/ready');
    assert.deepEqual([status, problem.problems], [503, ['the broker does not run']]);
    assert.equal((await api.get('/health/live')).status, 200);
  });
});

test('metrics are those of the reference, and count', timeout, async () => {
  await withApi(async (api) => {
    const peer = await api.client('c');
    await peer.subscribe('a', 1);
    peer.publish('a', 'xyz', 1, 1);
    await peer.next();
    await peer.next();
    const { text, headers } = await api.get('/metrics');
    assert.match(headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
    assert.match(text, /^pipit_publishes_total\{direction="received",qos="1"\} 1$/m);
    assert.match(text, /^pipit_publishes_total\{direction="sent",qos="1"\} 1$/m);
    assert.match(text, /^pipit_payload_bytes_total\{direction="received"\} 3$/m);
    assert.match(text, /^pipit_connections 1$/m);
    assert.match(text, /^pipit_subscriptions 1$/m);
    assert.match(text, /^pipit_drops_total\{reason="queue-full"\} 0$/m);
    const exposed = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, kind]) => `${name} ${kind}`);
    assert.deepEqual(exposed.sort(), metricDefinitions.map(({ name, kind }) => `${name} ${kind}`).sort());
    const reference = readFileSync(join(import.meta.dirname, '../../../../docs/metrics.md'), 'utf8');
    const documented = [...reference.matchAll(/^\| `(\S+)` \| (counter|gauge) \|/gm)].map(
      ([, name, kind]) => `${name} ${kind}`,
    );
    assert.deepEqual(documented.sort(), exposed.sort());
    // Asked twice, it has not counted twice.
    const counted = (await api.get('/metrics')).text;
    assert.match(counted, /^pipit_payload_bytes_total\{direction="received"\} 3$/m);
    assert.match(counted, /^pipit_store_info\{durability="memory"\} 1$/m);
  });
});

test('a full store is told and takes clients on; a failing one does not', timeout, async () => {
  let room = (_: number): void => {};
  let failure: Error | null = null;
  const store: Store = {
    durability: 'fsync',
    load: () => Promise.resolve({ wall: Date.now(), clock: Date.now(), lastId: 0, sessions: [], retained: [] }),
    commit: () => (failure === null ? Promise.resolve() : Promise.reject(failure)),
    page: () => Promise.resolve({ deliveries: [], lost: [] }),
    fetch: () => Promise.resolve([]),
    watch: (changed) => {
      room = changed;
    },
    close: () => Promise.resolve(),
  };
  await withApi(
    async (api) => {
      room(0);
      const full = await api.get('/health/ready');
      assert.deepEqual([full.status, full.json.problems], [200, ['the store is full']]);
      room(1_000_000);
      const failed = new Promise((done) => api.broker.on('commit-failed', done));
      failure = new Error('the disk is gone');
      api.broker.publish('a', 'x', { qos: 1, retain: true }).catch(() => undefined);
      await failed;
      const failing = await api.get('/health/ready');
      assert.deepEqual([failing.status, failing.json.problems], [503, ['the store fails']]);
      assert.match((await api.get('/metrics')).text, /^pipit_store_failing 1$/m);
      failure = null;
    },
    { store },
  );
});
