/** `$SYS/broker/…`: Mosquitto's names, values derived from the tables, told once an interval, and only to who asks for them. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacketType, type PublishPacket, ReasonCode } from '@pipit/protocol';
import { dropReasons } from '../../src/core/index.ts';
import { connack, pingreq, pingresp, puback, publish, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, World } from './world.ts';

const intervalMs = 10_000;

function values(client: Client): Map<string, string> {
  const prefix = '$SYS/broker/';
  return new Map(
    client.takeAll().flatMap((packet) => {
      if (packet.type !== PacketType.Publish) return [];
      assert.ok(packet.topic.startsWith(prefix));
      return [[packet.topic.slice(prefix.length), new TextDecoder().decode(packet.payload)]];
    }),
  );
}

const packetNames =
  'connect connack publish puback pubrec pubrel pubcomp subscribe suback unsubscribe unsuback pingreq pingresp disconnect auth';
const names = [
  'version',
  'uptime',
  ...['total', 'maximum', 'connected', 'active', 'disconnected', 'inactive', 'expired'].map(
    (name) => `clients/${name}`,
  ),
  ...['messages', 'bytes'].flatMap((what) => [`${what}/received`, `${what}/sent`]),
  ...['received', 'sent', 'dropped'].map((name) => `publish/messages/${name}`),
  ...['received', 'sent'].map((name) => `publish/bytes/${name}`),
  'subscriptions/count',
  'shared_subscriptions/count',
  'retained messages/count',
  'store/messages/count',
  'store/messages/bytes',
  'queues/messages/count',
  'queues/messages/bytes',
  'store/durability',
  'store/commits',
  'store/commits/failed',
  ...[
    'messages/received',
    'messages/sent',
    'publish/received',
    'publish/sent',
    'publish/dropped',
    'bytes/received',
    'bytes/sent',
    'sockets',
    'connections',
  ].flatMap((name) => [1, 5, 15].map((minutes) => `load/${name}/${minutes}min`)),
  ...packetNames.split(' ').flatMap((name) => [`metrics/packets/${name}/received`, `metrics/packets/${name}/sent`]),
  ...[0, 1, 2].flatMap((qos) => [`metrics/messages/qos${qos}/received`, `metrics/messages/qos${qos}/sent`]),
  'metrics/messages/dropped',
  ...dropReasons.map((reason) => `metrics/messages/dropped/${reason}`),
  'metrics/bytes/dropped/session-ended',
  'metrics/bytes/received',
  'metrics/bytes/sent',
];

// Not with a failing store: waiting for its retries moves the clock.
for (const store of storeKinds.filter((kind) => kind !== 'failing')) {
  test(`every name is there from the start, retained, and nothing of it goes to the store, ${store}`, () => {
    const world = new World({ store, sysIntervalMs: intervalMs, version: '1.2.3' });
    const sub = world.connect({ clientId: 'sub' });
    sub.send(subscribe(1, '$SYS/#'));
    const packets = sub.takeAll();
    assert.deepEqual(packets.shift(), suback(1, 0));
    assert.ok(packets.every((packet) => (packet as PublishPacket).retain));
    assert.deepEqual(packets.map((packet) => (packet as PublishPacket).topic.slice(12)).sort(), [...names].sort());
    const version = packets.find((packet) => (packet as PublishPacket).topic === '$SYS/broker/version');
    assert.equal(new TextDecoder().decode((version as PublishPacket).payload), 'pipit 1.2.3');
    const durability = packets.find((packet) => (packet as PublishPacket).topic === '$SYS/broker/store/durability');
    assert.equal(
      new TextDecoder().decode((durability as PublishPacket).payload),
      store === 'none' ? 'memory' : 'fsync',
    );
    assert.equal(world.core.metrics.durability, store === 'none' ? 'memory' : 'fsync');
    assert.deepEqual(world.store?.retainedTopics ?? [], []);
  });

  test(`what is said is derived from what happened, once an interval, and only what changed, ${store}`, () => {
    const world = new World({ store, sysIntervalMs: intervalMs });
    const sub = world.connect({ clientId: 'sub' });
    sub.send(subscribe(1, '$SYS/#', 't', '$share/g/x'));
    sub.takeAll();
    world.connect({ clientId: 'away', properties: { sessionExpiryInterval: 15 } }).drop();
    const pub = world.connect({ clientId: 'pub' });
    pub.publishWhole(publish({ topic: 't', qos: 1, packetId: 1, payload: 'four' }));
    pub.send(publish({ topic: 'r', retain: true, payload: 'kept' }), publish({ topic: 'nobody' }), pingreq);
    pub.expect(pingresp);
    sub.expect(publish({ topic: 't', payload: 'four' }));
    world.advance(intervalMs - 1);
    sub.expectNothing();
    const received = world.core.metrics.packetsReceived();
    world.advance(1);
    const told = values(sub);
    const expected = {
      'clients/total': '3',
      'clients/maximum': '2',
      'clients/connected': '2',
      'clients/active': '2',
      'clients/disconnected': '1',
      'clients/inactive': '1',
      'subscriptions/count': '3',
      'shared_subscriptions/count': '1',
      'publish/messages/received': '3',
      'publish/bytes/received': '8',
      'messages/received': String(received),
      'metrics/packets/publish/received': '3',
      'metrics/packets/pingreq/received': '1',
      'metrics/packets/pingresp/sent': '1',
      'metrics/packets/puback/sent': '1',
      'metrics/packets/connect/received': '3',
      'metrics/packets/connack/sent': '3',
      'metrics/messages/qos0/received': '2',
      'metrics/messages/qos1/received': '1',
      'bytes/received': String(world.core.metrics.counters[0]),
      'metrics/bytes/received': String(world.core.metrics.counters[0]),
    };
    for (const [name, value] of Object.entries(expected)) assert.equal(told.get(name), value, name);
    assert.equal(told.get('retained messages/count'), String(names.length + 1));
    assert.equal(told.has('version'), false, 'it has not changed');
    world.advance(intervalMs);
    const later = values(sub);
    assert.equal(later.get('clients/expired'), '1');
    assert.equal(later.get('clients/total'), '2');
    assert.equal(later.has('metrics/packets/pingreq/received'), false);
    assert.match(later.get('uptime') ?? '', /^\d+ seconds$/);
  });
}

test('load averages follow the rate', () => {
  const world = new World({ sysIntervalMs: intervalMs });
  const sub = world.connect({ clientId: 'sub' });
  sub.send(subscribe(1, '$SYS/broker/load/publish/received/+'));
  sub.takeAll();
  const pub = world.connect({ clientId: 'pub' });
  const last = new Map<string, string>();
  for (let interval = 0; interval < 60; interval++) {
    for (let i = 0; i < 10; i++) pub.send(publish({ topic: 'x' }));
    world.advance(intervalMs);
    for (const [name, value] of values(sub)) last.set(name, value);
  }
  // Ten in ten seconds are 60 a minute: after ten minutes the one-minute average is there, the others are on their way.
  const [one, five, fifteen] = [1, 5, 15].map((minutes) => Number(last.get(`load/publish/received/${minutes}min`)));
  assert.ok(Math.abs((one as number) - 60) < 0.1, `${one}`);
  assert.ok(Math.abs((five as number) - 60 * (1 - Math.exp(-2))) < 0.1, `${five}`);
  assert.ok(Math.abs((fifteen as number) - 60 * (1 - Math.exp(-10 / 15))) < 0.1, `${fifteen}`);
});

test('wildcards in the first level do not reach it [MQTT-4.7.2-1]', () => {
  const world = new World({ sysIntervalMs: intervalMs });
  const sub = world.connect({ clientId: 'sub' });
  sub.send(subscribe(1, '#', '+/broker/uptime', '+/broker/#'));
  sub.expect(suback(1, 0, 0, 0));
  world.advance(intervalMs * 3);
  sub.expectNothing();
  sub.send(subscribe(2, '$SYS/broker/uptime'));
  assert.equal(sub.takeAll().length, 2);
  world.advance(intervalMs);
  sub.expect(publish({ topic: '$SYS/broker/uptime', payload: '40 seconds' }));
});

test('only the broker publishes there; other $ topics are open', () => {
  const world = new World({ sysIntervalMs: intervalMs });
  const sub = world.connect({ clientId: 'sub' });
  sub.send(subscribe(1, '$SYS/mine', '$else/#', '$SYSTEM'));
  sub.expect(suback(1, 0, 0, 0));
  const pub = world.connect({ clientId: 'pub' });
  pub.send(publish({ topic: '$SYS/mine', qos: 1, packetId: 1, retain: true, payload: 'x' }));
  pub.expect(puback(1, ReasonCode.NotAuthorized));
  pub.send(publish({ topic: '$SYS/mine', payload: 'x' }), publish({ topic: '$SYS', payload: 'x' }));
  pub.publishWhole(publish({ topic: '$else/x', qos: 1, packetId: 2 }));
  pub.publishWhole(publish({ topic: '$SYSTEM', qos: 1, packetId: 3 }));
  sub.expect(publish({ topic: '$else/x' }), publish({ topic: '$SYSTEM' }));
  const old = world.connect({ clientId: 'old', version: 4 });
  old.publishWhole(publish({ topic: '$SYS/mine', qos: 1, packetId: 1 }));
  sub.expectNothing();
  const will = { topic: '$SYS/mine', payload: new Uint8Array(), qos: 0, retain: false } as const;
  const refused = world.connecting({ clientId: 'will', will });
  refused.expectClosed(
    connack({
      reasonCode: ReasonCode.NotAuthorized,
      properties: { reasonString: 'publishing to the will topic is not allowed' },
    }),
  );
  world.end();
});

test('without an interval there is none of it', () => {
  const world = new World({ sysIntervalMs: null });
  assert.equal(world.core.state.retained.count, 0);
  assert.equal(world.core.deadline(), Number.POSITIVE_INFINITY);
});
