/** What a listener holds its clients to, over each transport, and after it was changed while it runs. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { after, test } from 'node:test';
import { type Packet, PacketType, ReasonCode } from '@pipit/protocol';
import { brokerOptions, createBroker } from '../../src/index.ts';
import { parseConfiguration } from '../../src/node/config-file.ts';
import { certificateFile, dialTcp, dialTls, dialUnix, dialWebSocket } from './dial.ts';
import { connectPacket, MqttPeer, publishedBy } from './mqtt-peer.ts';
import { nextEvent } from './running-broker.ts';

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

test('no more connections than a listener may have, also after a reload; others are not touched by it', {
  timeout: 20_000,
}, async () => {
  const few = { type: 'tcp', port: 0, connectionsMax: 2 } as const;
  const many = { type: 'tcp', host: '127.0.0.2', port: 0 } as const;
  const broker = createBroker({ listeners: [few, many] });
  await broker.start();
  try {
    const [port = 0, otherPort = 0] = broker.listeners.map((each) => each.port ?? 0);
    const first = new MqttPeer(await dialTcp(port));
    const second = new MqttPeer(await dialTcp(port));
    for (const peer of [first, second]) assert.notEqual(await peer.connect(`${peer === first}`), 'end');
    const turnedAway = nextEvent(broker, 'turned-away');
    assert.equal(await new MqttPeer(await dialTcp(port)).next(), 'end');
    assert.deepEqual(
      [(await turnedAway).limit, (await turnedAway).listener],
      ['connectionsMax', `mqtt://127.0.0.1:${port}`],
    );
    for (let i = 0; i < 3; i++) {
      assert.notEqual(await new MqttPeer(await dialTcp(otherPort, '127.0.0.2')).connect(`other${i}`), 'end');
    }
    const gone = nextEvent(broker, 'disconnected');
    first.stream.destroy();
    await gone;
    assert.notEqual(await new MqttPeer(await dialTcp(port)).connect('in its place'), 'end');
    await broker.reload({ listeners: [{ ...few, connectionsMax: 3 }, many] });
    assert.notEqual(await new MqttPeer(await dialTcp(port)).connect('third'), 'end');
    assert.equal(await new MqttPeer(await dialTcp(port)).next(), 'end');
    await broker.reload({ listeners: [{ type: 'tcp', port: 0 }, many] });
    assert.notEqual(await new MqttPeer(await dialTcp(port)).connect('fourth'), 'end');
  } finally {
    await broker.stop();
  }
});

test('the user name in place of the client id', { timeout: 20_000 }, async () => {
  const broker = createBroker({ listeners: [{ type: 'tcp', port: 0, usernameAsClientId: true }] });
  await broker.start();
  try {
    const port = broker.listeners[0]?.port ?? 0;
    for (const clientId of ['claimed', '']) {
      const peer = new MqttPeer(await dialTcp(port));
      peer.send({ ...connectPacket(clientId, 5), username: 'ada' } as Packet);
      const connack = await peer.next();
      assert.ok(connack !== 'end' && connack.type === PacketType.Connack);
      assert.deepEqual([connack.reasonCode, broker.inspection.session('ada')?.clientId], [0, 'ada']);
      assert.equal(broker.inspection.session('claimed'), null);
    }
    const nameless = await new MqttPeer(await dialTcp(port)).connect('ada');
    assert.ok(nameless !== 'end' && 'reasonCode' in nameless);
    assert.equal(nameless.reasonCode, ReasonCode.NotAuthorized);
  } finally {
    await broker.stop();
  }
});
