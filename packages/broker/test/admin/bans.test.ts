import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { PacketType, ReasonCode } from '@pipit/protocol';
import type { Authority } from '../../src/index.ts';
import { MqttPeer } from '../node/mqtt-peer.ts';
import { withApi } from './api.ts';

const timeout = { timeout: 20_000 };

test('who is banned by HTTP is disconnected and kept out, until the ban is lifted', timeout, async () => {
  await withApi(async (api) => {
    const peer = await api.client('c');
    const other = await api.client('other');
    const answer = await api.ask('POST', '/api/v1/bans', { type: 'client', value: 'c', reason: 'too loud' });
    assert.equal(answer.status, 200);
    assert.deepEqual([answer.json.type, answer.json.value, answer.json.reason], ['client', 'c', 'too loud']);
    const packet = await peer.next();
    assert.ok(packet !== 'end' && packet.type === PacketType.Disconnect);
    assert.equal(await peer.next(), 'end');
    const again = new MqttPeer(api.broker.connect());
    const connack = await again.connect('c');
    assert.ok(connack !== 'end' && connack.type === PacketType.Connack);
    assert.equal(connack.reasonCode, ReasonCode.Banned);
    await other.subscribe('a');
    await api.broker.publish('a', 'x');
    await other.next();
    await api.ask('POST', '/api/v1/bans', { type: 'address', value: '192.0.2.0/24', until: '2100-01-01T00:00:00Z' });
    assert.deepEqual((await api.all('/api/v1/bans', 1)).map(({ type, value }) => [type, value]).sort(), [
      ['address', '192.0.2.0/24'],
      ['client', 'c'],
    ]);
    assert.equal((await api.ask('DELETE', '/api/v1/bans?type=client&value=c')).status, 204);
    assert.equal((await api.ask('DELETE', '/api/v1/bans?type=client&value=c')).status, 404);
    await api.client('c');
    for (const body of [
      {},
      { type: 'client' },
      { type: 'nobody', value: 'x' },
      { type: 'address', value: 'x' },
      { type: 'client', value: 'x', until: 'never' },
      { type: 'client', value: 'x', until: '2100-01-01' },
      { type: 'client', value: 'x', until: '2100-01-01T00:00' },
      { type: 'client', value: 'x', until: '2020-01-01T00:00:00Z' },
      { type: 'address', value: '192.0.2.0/33' },
      { type: 'address', value: '2001:db8::/129' },
      { type: 'client', value: '' },
      { type: 'client', value: 'x', isConfigured: true },
    ]) {
      assert.equal((await api.ask('POST', '/api/v1/bans', body)).status, 400, JSON.stringify(body));
    }
    assert.equal(
      (await api.ask('POST', '/api/v1/bans', { type: 'client', value: 'x' }, api.token('read'))).status,
      403,
    );
  });
});

test('a ban may end the sessions of whom it is about; without that they wait until it is lifted', timeout, async () => {
  const authority: Authority = {
    authenticate: ({ clientId }) => ({ outcome: 'accept', principal: clientId.startsWith('ada') ? 'ada' : 'bob' }),
  };
  await withApi(
    async (api) => {
      const connect = async (clientId: string): Promise<{ peer: MqttPeer; isPresent: boolean }> => {
        const peer = new MqttPeer(api.broker.connect());
        const properties = { sessionExpiryInterval: 3600 };
        peer.send({ type: PacketType.Connect, version: 5, clientId, cleanStart: false, keepAlive: 0, properties });
        const connack = await peer.next();
        assert.ok(connack !== 'end' && connack.type === PacketType.Connack && connack.reasonCode === 0);
        return { peer, isPresent: connack.sessionPresent };
      };
      const sessions = async (): Promise<string[]> =>
        (await api.all('/api/v1/sessions')).map(({ clientId }) => clientId).sort();
      for (const clientId of ['ada-1', 'ada-2', 'bob-1', 'bob-2']) await connect(clientId);
      const gone = (await connect('ada-3')).peer;
      gone.stream.destroy();
      const ban = (body: object) => api.ask('POST', '/api/v1/bans', body);
      assert.equal((await ban({ type: 'client', value: 'bob-1' })).status, 200);
      assert.ok((await sessions()).includes('bob-1'));
      assert.equal((await ban({ type: 'user', value: 'ada', endSessions: true })).status, 200);
      assert.deepEqual(await sessions(), ['bob-1', 'bob-2']);
      assert.equal((await ban({ type: 'client', value: 'bob-2', endSessions: true })).status, 200);
      assert.deepEqual(await sessions(), ['bob-1']);
      const address = await ban({ type: 'address', value: '192.0.2.1', endSessions: true });
      assert.deepEqual([address.status, address.json.detail.includes('no sessions')], [400, true]);
      assert.equal((await api.all('/api/v1/bans')).length, 3, 'what was refused is no ban');
      for (const [type, value] of [
        ['client', 'bob-1'],
        ['client', 'bob-2'],
      ]) {
        assert.equal((await api.ask('DELETE', `/api/v1/bans?type=${type}&value=${value}`)).status, 204);
      }
      assert.equal((await connect('bob-1')).isPresent, true);
      assert.equal((await connect('bob-2')).isPresent, false);
    },
    { authority },
  );
});

test('a ban that cannot be written holds, and is said to end with the process', timeout, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pipit-bans-'));
  await withApi(
    async (api) => {
      const peer = await api.client('c');
      rmSync(folder, { recursive: true });
      const { status, json } = await api.ask('POST', '/api/v1/bans', { type: 'client', value: 'c', endSessions: true });
      assert.deepEqual(
        [status, json.detail],
        [503, 'It is done, until the broker stops: the file of bans cannot be written (ENOENT).'],
      );
      const goodbye = await peer.next();
      assert.ok(goodbye !== 'end' && goodbye.type === PacketType.Disconnect);
      assert.equal((await api.all('/api/v1/bans')).length, 1);
      mkdirSync(folder);
      assert.equal((await api.ask('DELETE', '/api/v1/bans?type=client&value=c')).status, 204);
      await api.client('c');
    },
    { bansFile: join(folder, 'bans.json') },
  );
  rmSync(folder, { recursive: true });
});
