/** Bans over real sockets: who is connected goes, who comes is refused, and a restart changes nothing. */

import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { PacketType, ReasonCode } from '@pipit/protocol';
import { type AnyEvent, type Ban, type BrokerOptions, Counter } from '../../src/index.ts';
import { dialTcp, dialTls, serverTls } from './dial.ts';
import { MqttPeer } from './mqtt-peer.ts';
import { withBroker } from './running-broker.ts';

const timeout = { timeout: 20_000 };
const tcp = { type: 'tcp', port: 0 } as const;

async function answerTo(port: number, clientId: string): Promise<number | 'end'> {
  const peer = new MqttPeer(await dialTcp(port));
  const answer = await peer.connect(clientId);
  if (answer === 'end') return 'end';
  assert.equal(answer.type, PacketType.Connack);
  peer.stream.destroy();
  return 'reasonCode' in answer ? answer.reasonCode : -1;
}

test('a ban disconnects who is meant, refuses him from then on, and leaves the others alone', timeout, async () => {
  await withBroker(tcp, async (port, broker) => {
    const events: AnyEvent[] = [];
    broker.on('event', (event) => events.push(event));
    const meant = new MqttPeer(await dialTcp(port));
    const other = new MqttPeer(await dialTcp(port));
    await meant.connect('meant');
    await other.connect('other');
    const kept = await broker.ban({ type: 'client', value: 'meant', reason: 'stolen' });
    assert.deepEqual(kept, { type: 'client', value: 'meant', reason: 'stolen', isConfigured: false });
    const goodbye = await meant.next();
    assert.ok(goodbye !== 'end' && goodbye.type === PacketType.Disconnect);
    // DISCONNECT has no 0x8A.
    assert.equal(goodbye.reasonCode, ReasonCode.AdministrativeAction);
    assert.equal(goodbye.properties?.reasonString, 'the client id is banned: stolen');
    assert.equal(await answerTo(port, 'meant'), ReasonCode.Banned);
    other.send({ type: PacketType.Pingreq });
    const pong = await other.next();
    assert.ok(pong !== 'end' && pong.type === PacketType.Pingresp);
    assert.deepEqual([...broker.bans()], [kept]);
    assert.equal(await broker.unban('client', 'meant'), true);
    assert.equal(await broker.unban('client', 'meant'), false);
    assert.equal(await answerTo(port, 'meant'), 0);
    const told = events.filter(({ type }) => /banned|refused/.test(type));
    assert.deepEqual(
      told.map(({ type }) => type),
      ['banned', 'refused', 'unbanned'],
    );
    const closed = events.filter(({ type }) => type === 'disconnected');
    assert.ok(closed[0]?.type === 'disconnected' && closed[0].reasonCode === ReasonCode.Banned);
    assert.equal(broker.metrics.get(Counter.Banned), 2);
  });
});

test('by user name, as CONNECT says it and as it was proven', timeout, async () => {
  const authority: BrokerOptions['authority'] = {
    authenticate: ({ clientId }) => ({ outcome: 'accept', principal: `owner of ${clientId}` }),
  };
  await withBroker(
    tcp,
    async (port, broker) => {
      const proven = new MqttPeer(await dialTcp(port));
      await proven.connect('a');
      await broker.ban({ type: 'user', value: 'owner of a' });
      const goodbye = await proven.next();
      assert.ok(goodbye !== 'end' && goodbye.type === PacketType.Disconnect);
      assert.equal(await answerTo(port, 'a'), ReasonCode.Banned);
      assert.equal(await answerTo(port, 'b'), 0);
      await broker.ban({ type: 'user', value: 'eve' });
      const named = new MqttPeer(await dialTcp(port));
      const connect = { type: PacketType.Connect, version: 5, clientId: 'c', cleanStart: true, keepAlive: 0 } as const;
      named.send({ ...connect, username: 'eve' });
      const connack = await named.next();
      assert.equal(connack !== 'end' && 'reasonCode' in connack && connack.reasonCode, ReasonCode.Banned);
    },
    { authority },
  );
});

test('a banned address is closed before TLS, and its connections with it', timeout, async () => {
  await withBroker({ type: 'auto', port: 0, tls: serverTls }, async (port, broker) => {
    const peer = new MqttPeer(await dialTcp(port));
    await peer.connect('here');
    await broker.ban({ type: 'address', value: '127.0.0.0/8' });
    assert.notEqual(await peer.next(), 'end');
    assert.equal(await peer.next(), 'end');
    await assert.rejects(dialTls(port));
    assert.equal(await answerTo(port, 'here'), 'end');
    assert.equal(broker.metrics.get(Counter.SocketsTurnedAway), 2);
    await broker.unban('address', '127.0.0.0/8');
    assert.equal(await answerTo(port, 'here'), 0);
  });
});

test(
  'bans outlive a restart, but not their time; those of the configuration are written nowhere',
  timeout,
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'pipit-bans-'));
    const bansFile = join(folder, 'bans.json');
    const configured: Ban = { type: 'client', value: 'configured' };
    try {
      await withBroker(
        tcp,
        async (_, broker) => {
          await Promise.all([
            broker.ban({ type: 'client', value: 'for-ever' }),
            broker.ban({ type: 'client', value: 'until', until: '2999-01-01T00:00:00Z' }),
            broker.ban({ type: 'address', value: '203.0.113.0/24' }),
          ]);
          await assert.rejects(broker.ban({ type: 'client', value: 'over', until: '2020-01-01T00:00:00Z' }), TypeError);
        },
        { bansFile, banned: [configured] },
      );
      const { bans } = JSON.parse(readFileSync(bansFile, 'utf8')) as { bans: Ban[] };
      assert.deepEqual(
        bans.map(({ value }) => value),
        ['for-ever', 'until', '203.0.113.0/24'],
      );
      // Its time went by while the broker was down.
      const over = { type: 'client', value: 'over', until: '2020-01-01T00:00:00Z' };
      writeFileSync(bansFile, JSON.stringify({ bans: [...bans, over] }));
      await withBroker(
        tcp,
        async (port, broker) => {
          assert.equal(await answerTo(port, 'for-ever'), ReasonCode.Banned);
          assert.equal(await answerTo(port, 'configured'), 0);
          assert.equal(await answerTo(port, 'over'), 0);
          assert.equal([...broker.bans()].length, 3);
        },
        { bansFile },
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

test('a damaged list of bans is set aside and told, and the broker starts', timeout, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pipit-bans-'));
  const bansFile = join(folder, 'bans.json');
  writeFileSync(bansFile, '{"bans": [{"type": "cli');
  const { createBroker } = await import('../../src/index.ts');
  const broker = createBroker({ bansFile });
  const faults: unknown[] = [];
  broker.on('fault', ({ where, error }) => faults.push([where, (error as Error).message]));
  try {
    await broker.start();
    assert.deepEqual(faults, [['bans', `${bansFile} is not a list of bans and was moved to ${bansFile}.damaged`]]);
    await broker.ban({ type: 'client', value: 'a' });
    assert.equal(readFileSync(`${bansFile}.damaged`, 'utf8'), '{"bans": [{"type": "cli');
  } finally {
    await broker.stop();
    rmSync(folder, { recursive: true });
  }
});

test('a ban that cannot be written holds, and says so', timeout, async () => {
  await withBroker(
    tcp,
    async (port, broker) => {
      await assert.rejects(broker.ban({ type: 'client', value: 'a' }), { code: 'ENOENT' });
      assert.equal(await answerTo(port, 'a'), ReasonCode.Banned);
    },
    { bansFile: '/nowhere/at/all/bans.json' },
  );
});

test('a reload replaces the bans of the configuration, and disconnects who is meant now', timeout, async () => {
  await withBroker(
    tcp,
    async (port, broker) => {
      await broker.ban({ type: 'client', value: 'by-hand' });
      const peer = new MqttPeer(await dialTcp(port));
      await peer.connect('next');
      await assert.rejects(broker.reload({ banned: [{ type: 'address', value: 'nowhere' }] }), TypeError);
      assert.equal(await answerTo(port, 'first'), ReasonCode.Banned);
      await broker.reload({ banned: [{ type: 'client', value: 'next' }] });
      const goodbye = await peer.next();
      assert.ok(goodbye !== 'end' && goodbye.type === PacketType.Disconnect);
      assert.equal(await answerTo(port, 'next'), ReasonCode.Banned);
      assert.equal(await answerTo(port, 'first'), 0);
      assert.equal(await answerTo(port, 'by-hand'), ReasonCode.Banned);
    },
    { banned: [{ type: 'client', value: 'first' }] },
  );
});
