/** What a listener holds its clients to, over each transport, and after it was changed while it runs. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { after, test } from 'node:test';
import { PacketType, ReasonCode } from '@pipit/protocol';
import { brokerOptions, createBroker } from '../../src/index.ts';
import { parseConfiguration } from '../../src/node/config-file.ts';
import { certificateFile, dialTcp, dialTls, dialUnix, dialWebSocket } from './dial.ts';
import { MqttPeer, publishedBy } from './mqtt-peer.ts';

const folder = mkdtempSync(join(tmpdir(), 'pipit-terms-'));
after(() => rmSync(folder, { recursive: true }));

function configured(mountPoint: string, port = 0) {
  const tls = `cert: ${certificateFile('server')}, key: ${certificateFile('server-key')}`;
  const terms = `mountPoint: ${mountPoint}, maximumQoS: 1, retainAvailable: false, allowEmptyClientId: false`;
  const text = `
data: { durability: memory }
listeners:
  - { type: tcp, port: ${port}, ${terms} }
  - { type: tls, port: 0, ${tls}, ${terms} }
  - { type: ws, port: 0, ${terms} }
  - { type: wss, port: 0, ${tls}, ${terms} }
  - { type: auto, port: 0, ${tls}, ${terms} }
  - { type: unix, path: ${join(folder, 'socket')}, ${terms} }
`;
  return brokerOptions(parseConfiguration(text, 'test'));
}

test('a mount point, and what is offered, hold for whoever comes by the listener, however', {
  timeout: 30_000,
}, async () => {
  const broker = createBroker(configured('in/'));
  await broker.start();
  try {
    const ports = broker.listeners.map(({ port }) => port ?? 0);
    const [tcp = 0, tls = 0, ws = 0, wss = 0, auto = 0] = ports;
    const dials: readonly (() => Promise<Duplex>)[] = [
      () => dialTcp(tcp),
      () => dialTls(tls),
      async () => (await dialWebSocket(`ws://127.0.0.1:${ws}/mqtt`)).stream,
      async () => (await dialWebSocket(`wss://localhost:${wss}/mqtt`)).stream,
      () => dialTcp(auto),
      () => dialTls(auto),
      async () => (await dialWebSocket(`ws://127.0.0.1:${auto}/mqtt`)).stream,
      () => dialUnix(join(folder, 'socket')),
    ];
    const heard: string[] = [];
    broker.subscribe('#', ({ topic }) => void heard.push(topic));
    for (const [index, dial] of dials.entries()) {
      const peer = new MqttPeer(await dial());
      const connack = await peer.connect(`c${index}`);
      assert.ok(connack !== 'end' && connack.type === PacketType.Connack);
      assert.equal(connack.properties?.maximumQoS, 1);
      assert.equal(connack.properties?.retainAvailable, false);
      await peer.subscribe('t');
      peer.publish('t', `${index}`);
      assert.deepEqual(publishedBy(await peer.next()), { topic: 't', payload: `${index}`, qos: 0 });
      peer.stream.destroy();
      const nameless = await new MqttPeer(await dial()).connect('');
      assert.ok(nameless !== 'end' && 'reasonCode' in nameless);
      assert.equal(nameless.reasonCode, ReasonCode.ClientIdentifierNotValid);
    }
    assert.deepEqual([...new Set(heard)], ['in/t']);
    assert.equal(heard.length, dials.length);
  } finally {
    await broker.stop();
  }
});

test('another mount point counts for who connects from then on', { timeout: 20_000 }, async () => {
  const broker = createBroker(configured('in/'));
  await broker.start();
  try {
    const port = broker.listeners[0]?.port ?? 0;
    const before = new MqttPeer(await dialTcp(port));
    await before.connect('before');
    await before.subscribe('#');
    await broker.reload({ listeners: [{ type: 'tcp', port: 0, mountPoint: 'out/' }] });
    const later = new MqttPeer(await dialTcp(port));
    await later.connect('later');
    await later.subscribe('#');
    await broker.publish('in/x', 'old');
    await broker.publish('out/y', 'new');
    assert.equal(publishedBy(await before.next()).topic, 'x');
    assert.equal(publishedBy(await later.next()).topic, 'y');
  } finally {
    await broker.stop();
  }
});
