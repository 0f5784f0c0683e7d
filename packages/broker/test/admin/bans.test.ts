import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacketType, ReasonCode } from '@pipit/protocol';
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
    ]) {
      assert.equal((await api.ask('POST', '/api/v1/bans', body)).status, 400, JSON.stringify(body));
    }
    assert.equal(
      (await api.ask('POST', '/api/v1/bans', { type: 'client', value: 'x' }, api.token('read'))).status,
      403,
    );
  });
});
