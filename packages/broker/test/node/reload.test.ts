import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { after, test } from 'node:test';
import { PacketType, ReasonCode } from '@pipit/protocol';
import { Access, type Broker, createBroker, type ListenerOptions } from '../../src/index.ts';
import { certificateFile, dialTcp, dialTls, dialUnix, dialWebSocket, serverTls } from './dial.ts';
import { MqttPeer, publishedBy } from './mqtt-peer.ts';
import { withBroker } from './running-broker.ts';

const timeout = { timeout: 20_000 };
const folder = mkdtempSync(join(tmpdir(), 'pipit-reload-'));
after(() => rmSync(folder, { recursive: true }));

async function letIn(stream: Duplex, clientId: string): Promise<MqttPeer> {
  const peer = new MqttPeer(stream);
  const connack = await peer.connect(clientId);
  assert.ok(connack !== 'end' && connack.type === PacketType.Connack && connack.reasonCode === 0);
  return peer;
}

/** A message goes from the broker to this peer. */
async function isServed(broker: Broker, peer: MqttPeer, topic: string): Promise<void> {
  await peer.subscribe(topic);
  await broker.publish(topic, 'x');
  assert.equal(publishedBy(await peer.next()).topic, topic);
}

function tls(port: number, more: object = {}): ListenerOptions {
  return { type: 'tls', port, tls: { ...serverTls, ...more } };
}

test('listeners are added and removed; connections stay, also those of a removed one', timeout, async () => {
  await withBroker({ type: 'tcp', port: 0 }, async (port, broker) => {
    const old = await letIn(await dialTcp(port), 'old');
    const path = join(folder, 'new.sock');
    const { listeners } = await broker.reload({
      listeners: [
        { type: 'unix', path },
        { type: 'ws', port: 0 },
      ],
    });
    const [unix, ws] = broker.listeners;
    assert.deepEqual(listeners, {
      opened: [`unix:${path}`, ws?.url],
      closed: [`mqtt://127.0.0.1:${port}`],
      changed: [],
    });
    assert.equal(unix?.type, 'unix');
    await assert.rejects(dialTcp(port), { code: 'ECONNREFUSED' });
    await isServed(broker, old, 'old');
    await isServed(broker, await letIn(await dialUnix(path), 'new'), 'new');
    const { stream } = await dialWebSocket(ws?.url ?? '');
    await isServed(broker, await letIn(stream, 'web'), 'web');
  });
});

test('a certificate is read again, and a connection made before goes on', timeout, async () => {
  const cert = join(folder, 'server.pem');
  const key = join(folder, 'server-key.pem');
  copyFileSync(certificateFile('server'), cert);
  copyFileSync(certificateFile('server-key'), key);
  await withBroker({ type: 'tls', port: 0, tls: { cert, key } }, async (port, broker) => {
    const before = await dialTls(port);
    const old = await letIn(before, 'old');
    const still = await dialTls(port);
    assert.equal(still.getPeerCertificate().subject.CN, 'localhost');
    copyFileSync(certificateFile('client'), cert);
    copyFileSync(certificateFile('client-key'), key);
    assert.equal((await dialTls(port)).getPeerCertificate().subject.CN, 'localhost');
    await broker.reload({});
    const renewed = await dialTls(port, { rejectUnauthorized: false });
    assert.equal(renewed.getPeerCertificate().subject.CN, 'device 7');
    await isServed(broker, await letIn(renewed, 'new'), 'new');
    await isServed(broker, old, 'old');
    await isServed(broker, await letIn(still, 'between'), 'between');
    assert.equal(broker.listeners[0]?.port, port);
  });
});

test('on the same port another kind of listener, and then who must show a certificate', timeout, async () => {
  await withBroker({ type: 'tcp', port: 0 }, async (port, broker) => {
    // Configured by its number from now on.
    await broker.reload({ listeners: [] });
    await broker.listen({ type: 'tcp', port });
    const old = await letIn(await dialTcp(port), 'old');
    const { listeners } = await broker.reload({ listeners: [tls(port)] });
    assert.equal(listeners.changed.length, 1);
    assert.equal(broker.listeners[0]?.url, `mqtts://127.0.0.1:${port}`);
    await isServed(broker, await letIn(await dialTls(port), 'tls'), 'tls');
    const plain = new MqttPeer(await dialTcp(port));
    assert.equal(await plain.connect('plain'), 'end');
    await broker.reload({ listeners: [tls(port, { ca: certificateFile('ca'), clientCertificate: 'require' })] });
    const without = new MqttPeer(await dialTls(port));
    assert.equal(await without.connect('without'), 'end');
    await isServed(broker, await letIn(await dialTls(port, { client: 'client' }), 'with'), 'with');
    for (const type of ['ws', 'auto', 'tcp'] as const) {
      await broker.reload({ listeners: [{ type, port }] });
      if (type === 'ws') {
        const { stream } = await dialWebSocket(`ws://127.0.0.1:${port}/mqtt`);
        await isServed(broker, await letIn(stream, type), type);
      } else await isServed(broker, await letIn(await dialTcp(port), type), type);
    }
    await isServed(broker, old, 'old');
  });
});

test('a reload that cannot be whole is refused, and nothing has changed', timeout, async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((done) => server.once('listening', done));
  const address = server.address();
  const taken = typeof address === 'object' ? (address?.port ?? 0) : 0;
  writeFileSync(join(folder, 'bad.pem'), 'no certificate');
  const options = { listeners: [tls(0), { type: 'tcp' as const, port: 0 }] };
  const broker = createBroker({ sysIntervalMs: null, ...options });
  await broker.start();
  const urls = broker.listeners.map(({ url }) => url);
  const [secure = 0, plain = 0] = broker.listeners.map(({ port }) => port ?? 0);
  const old = await letIn(await dialTcp(plain), 'old');
  const path = join(folder, 'never.sock');
  const bad: readonly [listeners: ListenerOptions[], message: RegExp][] = [
    [[tls(0, { cert: join(folder, 'bad.pem') }), { type: 'tcp', port: 0 }], /is not a PEM certificate/],
    [[{ type: 'unix', path }, tls(0, { key: certificateFile('client-key') })], /does not belong to the certificate/],
    [[tls(0), { type: 'unix', path }, { type: 'tcp', port: taken }], /is already in use/],
    // The old one had to leave its port for the new one, and is back.
    [
      [
        { type: 'tcp', host: '0.0.0.0', port: plain },
        { type: 'tcp', port: taken },
      ],
      /is already in use/,
    ],
  ];
  for (const [listeners, message] of bad) {
    const limits = { packetBytesMax: 1000 };
    await assert.rejects(broker.reload({ listeners, limits }), { name: 'ListenError', message });
    assert.deepEqual(broker.listeners.map(({ url }) => url).sort(), [...urls].sort());
    assert.ok(!existsSync(path));
    await isServed(broker, await letIn(await dialTcp(plain), 'tcp'), 'tcp');
    await isServed(broker, await letIn(await dialTls(secure), 'tls'), 'tls');
    const peer = new MqttPeer(await dialTcp(plain));
    const connack = await peer.connect('size');
    assert.ok(connack !== 'end' && connack.type === PacketType.Connack);
    assert.equal(connack.properties?.maximumPacketSize, 16 * 1024 * 1024);
  }
  await isServed(broker, old, 'old');
  server.close();
  await broker.stop();
});

test('an address that contains the old one takes its port over', timeout, async () => {
  await withBroker({ type: 'tcp', port: 0 }, async (port, broker) => {
    // Configured by its number from now on.
    await broker.reload({ listeners: [] });
    await broker.listen({ type: 'tcp', port });
    const { listeners } = await broker.reload({ listeners: [{ type: 'tcp', host: '0.0.0.0', port }] });
    assert.deepEqual(listeners.opened, [`mqtt://0.0.0.0:${port}`]);
    assert.deepEqual(listeners.closed, [`mqtt://127.0.0.1:${port}`]);
    await isServed(broker, await letIn(await dialTcp(port), 'c'), 'c');
  });
});

test('limits count at once for what is new, and what clients were told stays', timeout, async () => {
  await withBroker({ type: 'tcp', port: 0 }, async (port, broker) => {
    const old = await letIn(await dialTcp(port), 'old');
    const limits = { packetBytesMax: 1000, subscriptionsPerSessionMax: 1, receiveMaximum: 7 };
    const report = await broker.reload({ limits, queueOverflow: 'refuse' });
    const listeners = { opened: [], closed: [], changed: [] };
    assert.deepEqual(report, { listeners, access: false, limits: Object.keys(limits) });
    // It was told 16 MiB.
    await old.subscribe('big', 1);
    old.publish('big', 'x'.repeat(5000), 1, 1);
    assert.equal(publishedBy(await old.next()).payload.length, 5000);
    const puback = await old.next();
    assert.ok(puback !== 'end' && puback.type === PacketType.Puback && puback.reasonCode === 0);
    const suback = await old.subscribe('second');
    assert.ok(suback !== 'end' && suback.type === PacketType.Suback);
    assert.deepEqual(suback.reasonCodes, [ReasonCode.QuotaExceeded]);
    const next = new MqttPeer(await dialTcp(port));
    const connack = await next.connect('next');
    assert.ok(connack !== 'end' && connack.type === PacketType.Connack);
    assert.equal(connack.properties?.maximumPacketSize, 1000);
    assert.equal(connack.properties?.receiveMaximum, 7);
  });
});

test(
  'who comes by a new listener is asked what the new rules ask, also while it is being opened',
  timeout,
  async () => {
    const anybody = { judges: null, rules: null, groups: {} };
    const refusal = { outcome: 'refuse', reasonCode: ReasonCode.NotAuthorized } as const;
    const nobody = {
      judges: [{ type: 'nobody', make: () => ({ authenticate: () => refusal }) }],
      rules: null,
      groups: {},
    };
    const broker = createBroker({ sysIntervalMs: null, access: new Access(anybody) });
    await broker.start();
    try {
      const path = join(folder, 'early.sock');
      // A folder that is looked up over and over gives the first listener time to be found.
      const slow = Array.from(
        { length: 20 },
        (_, i): ListenerOptions => ({ type: 'unix', path: join(folder, `slow${i}.sock`) }),
      );
      const reloaded = broker.reload({ listeners: [{ type: 'unix', path }, ...slow], access: nobody });
      let early: Duplex | null = null;
      while (early === null) early = await dialUnix(path).catch(() => null);
      const peer = new MqttPeer(early);
      const connack = await peer.connect('early');
      assert.ok(connack !== 'end' && connack.type === PacketType.Connack);
      assert.equal(connack.reasonCode, ReasonCode.NotAuthorized);
      const { access } = await reloaded;
      assert.equal(access, true);
      await broker.reload({ access: anybody });
      await letIn(await dialUnix(path), 'late');
    } finally {
      await broker.stop();
    }
  },
);

test('reloads at once come one after the other, and none outlives a stop', timeout, async () => {
  const broker = createBroker({ sysIntervalMs: null, listeners: [{ type: 'tcp', port: 0 }] });
  await broker.start();
  const reports = await Promise.all([
    broker.reload({
      listeners: [
        { type: 'tcp', port: 0 },
        { type: 'ws', port: 0 },
      ],
    }),
    broker.reload({ listeners: [] }),
    broker.reload({ listeners: [{ type: 'tcp', port: 0 }] }),
  ]);
  assert.deepEqual(
    reports.map(({ listeners: { opened, closed } }) => [opened.length, closed.length]),
    [
      [1, 0],
      [0, 2],
      [1, 0],
    ],
  );
  const last = broker.reload({
    listeners: [
      { type: 'tcp', port: 0 },
      { type: 'ws', port: 0 },
    ],
  });
  const rejected = assert.rejects(last, /not running/);
  await broker.stop();
  await rejected;
  assert.deepEqual(broker.listeners, []);
});
