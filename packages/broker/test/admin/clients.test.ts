import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Packet, PacketType, ReasonCode } from '@pipit/protocol';
import { Permissions } from '../../src/index.ts';
import { MqttPeer } from '../node/mqtt-peer.ts';
import { type Api, withApi } from './api.ts';

const timeout = { timeout: 20_000 };

async function durable(api: Api, clientId: string): Promise<MqttPeer> {
  const peer = new MqttPeer(api.broker.connect());
  const properties = { sessionExpiryInterval: 3600 };
  peer.send({
    type: PacketType.Connect,
    version: 5,
    clientId,
    cleanStart: false,
    keepAlive: 60,
    username: 'ada',
    properties,
  });
  await peer.next();
  return peer;
}

async function left(api: Api, peer: MqttPeer, clientId: string): Promise<void> {
  peer.send({ type: PacketType.Disconnect, reasonCode: 0 } as Packet);
  while ((await peer.next()) !== 'end');
  assert.equal((await api.get(`/api/v1/clients/${clientId}`)).json.connection, null);
}

test('clients, their sessions, subscriptions and queues', timeout, async () => {
  await withApi(async (api) => {
    const away = await durable(api, 'sensor/1 é');
    await away.subscribe('a/+', 1);
    await left(api, away, encodeURIComponent('sensor/1 é'));
    const here = await api.client('here');
    await here.subscribe('b');
    await api.broker.publish('a/x', 'hello', { qos: 1 });

    const [client] = await api.all('/api/v1/clients');
    assert.equal(client.clientId, 'here');
    assert.equal(client.connection.transport, 'memory');
    const sessions = await api.all('/api/v1/sessions');
    assert.deepEqual(sessions.map(({ clientId }) => clientId).sort(), ['here', 'sensor/1 é']);
    assert.deepEqual(
      (await api.all('/api/v1/sessions?state=waiting')).map(({ clientId }) => clientId),
      ['sensor/1 é'],
    );
    assert.deepEqual(
      (await api.all('/api/v1/sessions?state=away')).map(({ clientId }) => clientId),
      ['sensor/1 é'],
    );
    assert.deepEqual(
      (await api.all('/api/v1/sessions?prefix=he')).map(({ clientId }) => clientId),
      ['here'],
    );

    const { json: one } = await api.get(`/api/v1/clients/${encodeURIComponent('sensor/1 é')}`);
    assert.equal(one.connection, null);
    assert.equal(one.expirySeconds, 3600);
    for (const time of [one.awaySince, one.expiresAt]) assert.match(time, /^\d{4}-\d\d-\d\dT[\d:]+\.\d{3}Z$/);
    const expiresAt = Date.parse(one.expiresAt);
    assert.ok(expiresAt > Date.now() && expiresAt <= Date.now() + 3_600_000);
    assert.equal(one.queue.messages, 1);
    const { json: queue } = await api.get(`/api/v1/clients/${encodeURIComponent('sensor/1 é')}/queue`);
    assert.deepEqual(queue.first, [{ topic: 'a/x', qos: 1, payloadBytes: 5, publisher: null, expiresAt: null }]);
    const subscriptions = await api.all(`/api/v1/clients/${encodeURIComponent('sensor/1 é')}/subscriptions`);
    assert.deepEqual(
      subscriptions.map(({ filter, qos }) => [filter, qos]),
      [['a/+', 1]],
    );
    assert.deepEqual(
      (await api.all('/api/v1/subscriptions?topic=a/z')).map(({ clientId }) => clientId),
      ['sensor/1 é'],
    );
    assert.deepEqual(
      (await api.all('/api/v1/subscriptions?filter=b')).map(({ clientId }) => clientId),
      ['here'],
    );
    for (const path of ['', '/queue', '/subscriptions']) {
      assert.equal((await api.get(`/api/v1/clients/nobody${path}`)).status, 404);
    }
  });
});

test('a client is disconnected, and its session ended', timeout, async () => {
  await withApi(async (api) => {
    const peer = await durable(api, 'c');
    await peer.subscribe('a', 1);
    assert.equal((await api.ask('DELETE', '/api/v1/clients/c?reason=maintenance')).status, 204);
    const packet = await peer.next();
    assert.ok(packet !== 'end' && packet.type === PacketType.Disconnect);
    assert.equal(packet.reasonCode, ReasonCode.AdministrativeAction);
    assert.equal(packet.properties?.reasonString, 'maintenance');
    assert.equal(await peer.next(), 'end');
    assert.equal((await api.ask('DELETE', '/api/v1/clients/c')).status, 404);
    // The session is still there, and takes messages.
    assert.equal(await api.broker.publish('a', 'x', { qos: 1 }), 0);
    assert.equal((await api.ask('DELETE', '/api/v1/sessions/c')).status, 204);
    assert.equal((await api.get('/api/v1/clients/c')).status, 404);
    assert.equal(await api.broker.publish('a', 'x', { qos: 1 }), ReasonCode.NoMatchingSubscribers);
    assert.equal((await api.ask('DELETE', '/api/v1/sessions/c')).status, 404);
    const again = await durable(api, 'd');
    assert.equal((await api.ask('DELETE', '/api/v1/sessions/d')).status, 204);
    const end = await again.next();
    assert.ok(end !== 'end' && end.type === PacketType.Disconnect);
    assert.equal((await api.get('/api/v1/clients/d')).status, 404);
  });
});

test('lists come in pages, while clients come and go', timeout, async () => {
  await withApi(async (api) => {
    for (let i = 0; i < 25; i++) await api.client(`c${i}`);
    const first = await api.get('/api/v1/clients?limit=10');
    assert.equal(first.json.items.length, 10);
    const late = await api.client('late');
    api.broker.disconnect('c12');
    const rest: string[] = [];
    let { next } = first.json;
    while (next !== null) {
      const { json } = await api.get(`/api/v1/clients?limit=10&cursor=${next}`);
      rest.push(...json.items.map(({ clientId }: { clientId: string }) => clientId));
      next = json.next;
    }
    const expected = Array.from({ length: 15 }, (_, i) => `c${i + 10}`).filter((id) => id !== 'c12');
    assert.deepEqual(rest, [...expected, 'late']);
    // A cursor is good once, and for its own list.
    assert.equal((await api.get(`/api/v1/clients?cursor=${first.json.next}`)).status, 410);
    const other = await api.get('/api/v1/clients?limit=10');
    assert.equal((await api.get(`/api/v1/sessions?cursor=${other.json.next}`)).status, 410);
    for (const query of ['limit=0', 'limit=1001', 'limit=x', 'nonsense=1', 'state=x']) {
      assert.equal((await api.get(`/api/v1/sessions?${query}`)).status, 400, query);
    }
    late.stream.destroy();
  });
});

test('a request looks at a bounded number of entries, however few it shows', timeout, async () => {
  await withApi(
    async (api) => {
      const peer = await api.client('c');
      const count = 21_000;
      for (let i = 0; i < count; i += 1000) {
        const subscriptions = Array.from({ length: 1000 }, (_, j) => ({
          filter: `f/${i + j}`,
          qos: 0 as const,
          noLocal: false,
          retainAsPublished: false,
          retainHandling: 0 as const,
        }));
        peer.send({ type: PacketType.Subscribe, packetId: 1, subscriptions });
        await peer.next();
      }
      let pages = 0;
      let items = 0;
      for (let cursor = ''; ; pages++) {
        const { json } = await api.get(`/api/v1/subscriptions?topic=f/7${cursor}`);
        items += json.items.length;
        if (json.next === null) break;
        cursor = `&cursor=${json.next}`;
      }
      assert.equal(items, 1);
      assert.equal(pages, 2);
      assert.equal((await api.all('/api/v1/clients/c/subscriptions', 1000)).length, count);
    },
    { limits: { subscriptionsPerSessionMax: 100_000 } },
  );
});

test('events of a client, also of one that is gone', timeout, async () => {
  await withApi(async (api) => {
    const peer = await api.client('c');
    peer.publish('a', 'x', 0);
    await api.ask('DELETE', '/api/v1/clients/c');
    while ((await peer.next()) !== 'end');
    const { json } = await api.get('/api/v1/clients/c/events');
    assert.deepEqual(
      json.items.map(({ type, reason }: { type: string; reason?: string }) => [type, reason]),
      [
        ['connected', undefined],
        ['disconnected', 'an operator disconnected it'],
      ],
    );
    assert.match(json.items[0].time, /^\d{4}-\d\d-\d\dT.*Z$/);
    assert.deepEqual((await api.get('/api/v1/clients/nobody/events')).json.items, []);
    const all = await api.get('/api/v1/events?type=disconnected');
    assert.deepEqual(
      all.json.items.map(({ clientId }: { clientId: string }) => clientId),
      ['c'],
    );
  });
});

test('why: what is so now, and what happened', timeout, async () => {
  const rules = [
    { effect: 'deny', action: 'subscribe', filter: 'secret/#' },
    { effect: 'allow', action: 'all', filter: '#' },
  ] as const;
  const permissions = new Permissions(rules);
  const authority = { authenticate: () => ({ outcome: 'accept', principal: null, permissions }) as const };
  await withApi(
    async (api) => {
      const codes = async (clientId: string, topic?: string): Promise<string[]> => {
        const query = topic === undefined ? '' : `?topic=${encodeURIComponent(topic)}`;
        const { json } = await api.get(`/api/v1/clients/${clientId}/why${query}`);
        return json.findings.map(({ code }: { code: string }) => code);
      };
      assert.deepEqual(await codes('c', 'a'), ['unknown-client']);
      const peer = await durable(api, 'c');
      await peer.subscribe('a', 0);
      assert.deepEqual(await codes('c', 'a'), ['nothing-known']);
      assert.deepEqual(await codes('c', 'b'), ['not-subscribed']);
      await peer.subscribe('secret/x', 1);
      assert.deepEqual(await codes('c', 'secret/x'), ['not-authorized', 'not-subscribed', 'subscribe-refused']);
      await peer.subscribe('b', 1);
      await api.broker.publish('b', 'one', { qos: 1 });
      await peer.next();
      assert.deepEqual(await codes('c', 'b'), ['unacknowledged']);
      const second = await durable(api, 'c');
      assert.deepEqual((await codes('c', 'b')).slice(-1), ['taken-over']);
      await left(api, second, 'c');
      assert.deepEqual((await codes('c', 'a')).slice(0, 2), ['away', 'qos0-while-away']);
      for (let i = 0; i < 4; i++) await api.broker.publish('b', `${i}`, { qos: 1 });
      const { json } = await api.get('/api/v1/clients/c/why?topic=b');
      const dropped = json.findings.find(({ code }: { code: string }) => code === 'dropped');
      assert.match(dropped.text, /its queue was full/);
      assert.ok((await codes('c', 'b')).includes('queued'));
      await api.ask('DELETE', '/api/v1/sessions/c');
      assert.equal((await codes('c', 'b'))[0], 'session-ended');
      const denied = await api.client('p');
      denied.publish('$SYS/x', 'x', 1, 1);
      await denied.next();
      assert.ok((await codes('q', '$SYS/x')).includes('publish-refused'));
    },
    { authority, limits: { queueMessagesMax: 3 } },
  );
});

test(
  'why: of each topic how many were dropped, why and when, whatever else was in the same moment',
  timeout,
  async () => {
    await withApi(
      async (api) => {
        const why = async (clientId: string, topic: string): Promise<[code: string, text: string][]> => {
          const { json } = await api.get(`/api/v1/clients/${clientId}/why?topic=${encodeURIComponent(topic)}`);
          // What is so now is another matter.
          const about = (json.findings as { code: string; text: string }[]).filter(
            ({ code, text }) => /^(dropped|qos0-while-away)$/.test(code) && !text.startsWith('It subscribed'),
          );
          return about.map(({ code, text }) => [code, text.replace(/, since \S+:/, ', since …:')]);
        };
        const sleeper = await durable(api, 'sleeper');
        await sleeper.subscribe('q1/#', 1);
        await sleeper.subscribe('q0/#', 0);
        await left(api, sleeper, 'sleeper');
        for (const topic of ['q1/first', 'q1/a', 'q1/b', 'q1/a', 'q1/c', 'q0/x', 'q0/y', 'q0/x', 'q0/x']) {
          await api.broker.publish(topic, 'x', { qos: 1 });
        }
        const full =
          'its queue was full (limits.queueMessagesMax, limits.queueBytesMax, or those of all queues together)';
        assert.deepEqual(await why('sleeper', 'q1/first'), []);
        assert.deepEqual(await why('sleeper', 'q1/a'), [['dropped', `2 messages of q1/a, since …: ${full}.`]]);
        assert.deepEqual(await why('sleeper', 'q1/b'), [['dropped', `1 message of q1/b: ${full}.`]]);
        assert.deepEqual(await why('sleeper', 'q1/c'), [['dropped', `1 message of q1/c: ${full}.`]]);
        const away = 'it was QoS 0, and the client was away';
        assert.deepEqual(await why('sleeper', 'q0/x'), [['qos0-while-away', `3 messages of q0/x, since …: ${away}.`]]);
        assert.deepEqual(await why('sleeper', 'q0/y'), [['qos0-while-away', `1 message of q0/y: ${away}.`]]);
        // It is known that none was missed of this.
        const back = await durable(api, 'sleeper');
        assert.deepEqual(await why('sleeper', 'q0/z'), []);
        assert.equal((await why('sleeper', 'q0/x')).length, 1);
        // Also when its session is over.
        await left(api, back, 'sleeper');
        await api.ask('DELETE', '/api/v1/sessions/sleeper');
        assert.equal((await why('sleeper', 'q1/b'))[0]?.[0], 'dropped');
        // More topics than are remembered: what may be among the others is said to be so.
        const many = await durable(api, 'many');
        await many.subscribe('#', 0);
        await left(api, many, 'many');
        for (let i = 0; i < 20; i++) await api.broker.publish(`m/${i}`, 'x');
        assert.deepEqual(await why('many', 'm/0'), [
          ['qos0-while-away', `4 messages (of topics that are not remembered, m/0 may be among them): ${away}.`],
        ]);
        assert.equal((await why('many', 'm/19'))[0]?.[1], `1 message of m/19: ${away}.`);
      },
      { limits: { queueMessagesMax: 1 } },
    );
  },
);
