import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { encodePacket, PacketType } from '@pipit/protocol';
import { dialTcp } from './dial.ts';
import { connectPacket, MqttPeer, publishedBy } from './mqtt-peer.ts';
import { nextEvent, withBroker } from './running-broker.ts';

test('a frozen reader loses what is over its limit and nobody else notices; thawed, it goes on', {
  timeout: 20_000,
}, async () => {
  const limits = { unsentBytesMax: 4_000_000, unsentBytesStalledMax: 1_000_000, stalledAfterMs: 100 };
  await withBroker(
    { type: 'tcp', port: 0 },
    async (port, broker) => {
      const frozen = await dialTcp(port);
      const reader = new MqttPeer(frozen, 4);
      await reader.connect('frozen');
      await reader.subscribe('a');
      frozen.pause();
      const healthy = new MqttPeer(await dialTcp(port), 4);
      await healthy.connect('healthy');
      await healthy.subscribe('a');
      const publisher = new MqttPeer(await dialTcp(port), 4);
      await publisher.connect('publisher');
      const lost: string[] = [];
      broker.on('dropped', ({ clientId, reason }) => lost.push(`${clientId} ${reason}`));
      let sent = 0;
      for (; lost.length === 0; sent++) {
        publisher.publish('a', `${sent} ${'x'.repeat(50_000)}`, 1, (sent % 65_535) + 1);
        assert.equal(Number.parseInt(publishedBy(await healthy.next()).payload, 10), sent);
        await publisher.next();
      }
      assert.deepEqual(lost, ['frozen unsent-full']);
      frozen.resume();
      let got = 0;
      for (; got < sent - 1; got++) assert.equal(Number.parseInt(publishedBy(await reader.next()).payload, 10), got);
      publisher.publish('a', 'afterwards', 1, 1);
      assert.equal(publishedBy(await reader.next()).payload, 'afterwards');
    },
    { limits },
  );
});

test('a connection that is closed may read its last bytes; one that never reads is cut off after two seconds', {
  timeout: 20_000,
}, async () => {
  await withBroker({ type: 'tcp', port: 0 }, async (port, broker) => {
    const polite = new MqttPeer(await dialTcp(port));
    await polite.connect('polite');
    const frozen = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    frozen.on('error', () => {});
    frozen.write(encodePacket(connectPacket('frozen', 5), 5, 'client'));
    await nextEvent(broker, 'connected');
    for (let i = 0; i < 400; i++) await broker.send('frozen', 'a', new Uint8Array(60_000));
    broker.disconnect('polite', 0x98, 'because');
    broker.disconnect('frozen');
    const packet = await polite.next();
    assert.ok(packet !== 'end' && packet.type === PacketType.Disconnect);
    assert.deepEqual([packet.reasonCode, packet.properties?.reasonString], [0x98, 'because']);
    assert.equal(await polite.next(), 'end');
    // Only a write shows a socket that was cut off while nothing is read from it.
    await new Promise<void>((done) => {
      frozen.once('close', () => done());
      const poke = setInterval(() => frozen.write('x'), 100);
      frozen.once('close', () => clearInterval(poke));
    });
  });
});
