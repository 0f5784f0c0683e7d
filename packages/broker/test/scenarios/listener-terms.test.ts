/** What a listener holds its clients to, whatever the authority says: a mount point, capabilities, client ids. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ConnackPacket, ReasonCode } from '@pipit/protocol';
import { Permissions, type Terms, type Verdict } from '../../src/core/index.ts';
import {
  disconnect,
  puback,
  publish,
  pubrec,
  suback,
  subscribe,
  subscribeWith,
  unsuback,
  unsubscribe,
} from './packets.ts';
import { type Client, storeKinds, text, World } from './world.ts';

const a = { terms: { mountPoint: 'tenants/a/' } } as const;
const b = { terms: { mountPoint: 'tenants/b/' } } as const;
const lasting = { sessionExpiryInterval: 100 };

function everything(world: World): Client {
  const client = world.connect({ clientId: 'everything' });
  client.send(subscribe(1, '#'));
  client.expect(suback(1, 0));
  return client;
}

for (const store of storeKinds) {
  describe(`mount points, store: ${store}`, () => {
    test('what is published, subscribed to and received has the prefix for the broker, and none for the client', () => {
      const world = new World({ store });
      const all = everything(world);
      for (const version of [3, 4, 5] as const) {
        const [ours, theirs] = [a, b].map((peer, index) => {
          const client = world.connect({ clientId: `reader${index}${version}`, version }, peer);
          client.send(subscribe(1, { filter: '#', qos: 2 }));
          client.expect(suback(1, 2));
          return client;
        }) as [Client, Client];
        const sender = world.connect({ clientId: `sender${version}`, version }, a);
        for (const qos of [0, 1, 2] as const) {
          const message = { topic: 't/x', qos, payload: `${qos}` };
          sender.publishWhole(publish({ ...message, packetId: qos === 0 ? 0 : 7 }));
          ours.receiveWhole(publish({ ...message, packetId: qos }));
          all.expect(publish({ topic: 'tenants/a/t/x', payload: `${qos}` }));
        }
        theirs.expectNothing();
        world.publish('tenants/b/y', 'for b');
        theirs.expect(publish({ topic: 'y', payload: 'for b' }));
        all.expect(publish({ topic: 'tenants/b/y', payload: 'for b' }));
        ours.send(unsubscribe(2, '#'));
        ours.expect(version === 5 ? unsuback(2, 0) : unsuback(2));
        world.publish('tenants/a/t/x', 'unheard');
        ours.expectNothing();
        all.expect(publish({ topic: 'tenants/a/t/x', payload: 'unheard' }));
        for (const client of [ours, theirs, sender]) client.send(disconnect());
      }
      world.end();
    });

    test('aliases both ways, Subscription Identifiers, No Local, Response Topic as it was said', () => {
      const world = new World({ store });
      const properties = { topicAliasMaximum: 5 };
      const reader = world.connect({ clientId: 'reader', properties }, a);
      reader.send(subscribeWith(1, { subscriptionIdentifier: 3 }, 't'));
      reader.expect(suback(1, 0));
      const sender = world.connect({ clientId: 'sender' }, a);
      sender.send(subscribe(1, { filter: 't', noLocal: true }));
      sender.expect(suback(1, 0));
      sender.send(publish({ topic: 't', payload: '1', properties: { topicAlias: 2, responseTopic: 'answers' } }));
      sender.send(publish({ topic: '', payload: '2', properties: { topicAlias: 2 } }));
      const said = { subscriptionIdentifiers: [3], topicAlias: 1 };
      reader.expect(
        publish({ topic: 't', payload: '1', properties: { ...said, responseTopic: 'answers' } }),
        publish({ topic: '', payload: '2', properties: said }),
      );
      sender.expectNothing();
      world.end();
    });

    test('retained messages and wills; live, replayed, cleared', () => {
      const world = new World({ store });
      const all = everything(world);
      const sender = world.connect({ clientId: 'sender' }, a);
      sender.publishWhole(publish({ topic: 'state', payload: 'on', retain: true, qos: 1, packetId: 1 }));
      all.expect(publish({ topic: 'tenants/a/state', payload: 'on' }));
      const late = world.connect({ clientId: 'late' }, a);
      late.send(subscribe(1, '+'));
      late.expect(suback(1, 0), publish({ topic: 'state', payload: 'on', retain: true }));
      const other = world.connect({ clientId: 'other' }, b);
      other.send(subscribe(1, '#'));
      other.expect(suback(1, 0));
      const will = { topic: 'gone', payload: text('w'), qos: 0, retain: true } as const;
      world.connect({ clientId: 'dying', will }, a).drop();
      late.expect(publish({ topic: 'gone', payload: 'w' }));
      all.expect(publish({ topic: 'tenants/a/gone', payload: 'w' }));
      sender.publishWhole(publish({ topic: 'state', retain: true, qos: 1, packetId: 2 }));
      late.expect(publish({ topic: 'state' }));
      all.expect(publish({ topic: 'tenants/a/state' }));
      assert.deepEqual(
        [...world.core.inspect(world.now).retained('#')].flatMap((each) => (each === null ? [] : each.topic)),
        ['tenants/a/gone'],
      );
      other.expectNothing();
      world.end();
    });

    test('a shared subscription is shared below the mount point, and with who has none and means the same', () => {
      const world = new World({ store });
      const members = [
        [world.connect({ clientId: 'm1' }, a), '$share/g/jobs'],
        [world.connect({ clientId: 'm2' }), '$share/g/tenants/a/jobs'],
      ] as const;
      const stranger = world.connect({ clientId: 'stranger' }, b);
      for (const [client, filter] of [...members, [stranger, '$share/g/jobs'] as const]) {
        client.send(subscribe(1, filter));
        client.expect(suback(1, 0));
      }
      for (let i = 0; i < 4; i++) world.publish('tenants/a/jobs', `${i}`);
      world.settle();
      const got = members.map(([client]) => client.takeAll().map((packet) => 'topic' in packet && packet.topic));
      assert.deepEqual(got, [
        ['jobs', 'jobs'],
        ['tenants/a/jobs', 'tenants/a/jobs'],
      ]);
      stranger.expectNothing();
      world.end();
    });

    test('a session that comes back by another mount point gets nothing of the first, and it is told', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'c', properties: lasting }, a);
      client.send(subscribe(1, { filter: 't', qos: 1 }));
      client.expect(suback(1, 1));
      client.drop();
      world.publish('tenants/a/t', 'waits', { qos: 1 });
      const moved = world.connect({ clientId: 'c', cleanStart: false, properties: lasting }, b);
      moved.expectNothing();
      assert.deepEqual(
        world.takeEvents('dropped').map(({ reason, topic }) => `${reason} ${topic}`),
        ['unmapped tenants/a/t'],
      );
      moved.drop();
      world.publish('tenants/a/t', 'waits again', { qos: 1 });
      const back = world.connect({ clientId: 'c', cleanStart: false, properties: lasting }, a);
      back.receiveWhole(publish({ topic: 't', payload: 'waits again', qos: 1, packetId: 2 }));
      world.end();
    });

    test('rules are about topics as the broker knows them: for publishing, wills, subscribing and receiving', () => {
      const permissions = new Permissions([
        { effect: 'deny', action: 'all', filter: 'tenants/a/secret' },
        { effect: 'allow', action: 'all', filter: 'tenants/a/#' },
      ]);
      const world = new World({ store, authority: () => ({ outcome: 'accept', principal: 'p', permissions }) });
      const client = world.connect({ clientId: 'c' }, a);
      client.send(subscribe(1, '#', 'secret', 'tenants/a/#'));
      client.expect(suback(1, 0, ReasonCode.NotAuthorized, 0));
      client.send(publish({ topic: 'open', qos: 1, packetId: 1 }));
      client.expect(publish({ topic: 'open' }), puback(1));
      client.publishWhole(publish({ topic: 'secret', qos: 1, packetId: 1 }), ReasonCode.NotAuthorized);
      world.publish('tenants/a/secret', 'x');
      client.expectNothing();
      const will = { topic: 'secret', payload: text('w'), qos: 0, retain: false } as const;
      world.connecting({ clientId: 'd', will }, a).expectRefused(ReasonCode.NotAuthorized);
      const elsewhere = world.connect({ clientId: 'e' }, b);
      elsewhere.send(subscribe(1, '#'));
      elsewhere.expect(suback(1, ReasonCode.NotAuthorized));
      assert.deepEqual(
        world.takeEvents('subscribe-refused').map(({ filter }) => filter),
        ['tenants/a/secret', 'tenants/b/#'],
      );
      world.end();
    });

    test('no way out: `$` names, $SYS, other mount points, wildcards, levels that would go up', () => {
      const world = new World({ store, sysIntervalMs: 1_000 });
      world.advance(1_000);
      const all = everything(world);
      const client = world.connect({ clientId: 'c' }, a);
      client.send(subscribe(1, '$SYS/#', '$share/g/$SYS/#', '$x', '/tenants/b/#', '../b/#', '#'));
      const invalid = ReasonCode.TopicFilterInvalid;
      client.expect(suback(1, invalid, invalid, invalid, 0, 0, 0));
      world.publish('tenants/b/x', 'x');
      world.publish('tenants/ab', 'x');
      world.publish('tenants/a', 'the parent, which # matches and which has no name here');
      world.publish('tenants/a/$x', 'x');
      world.publish('x', 'x');
      client.expectNothing();
      all.takeAll();
      client.send(publish({ topic: '../b/x' }));
      client.receiveWhole(publish({ topic: '../b/x' }));
      all.expect(publish({ topic: 'tenants/a/../b/x' }));
      client.send(publish({ topic: '$SYS/broker/version', qos: 1, packetId: 1 }));
      client.expectDisconnected(ReasonCode.TopicNameInvalid);
      all.expectNothing();
      world.end();
    });

    test('a name that the prefix makes too long is no name', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'c' }, a);
      const room = 65_535 - a.terms.mountPoint.length;
      client.send(publish({ topic: 'x'.repeat(room), qos: 1, packetId: 1 }));
      client.expect(puback(1, ReasonCode.NoMatchingSubscribers));
      client.send(subscribe(1, 'x'.repeat(room), 'x'.repeat(room + 1)));
      client.expect(suback(1, 0, ReasonCode.TopicFilterInvalid));
      client.send(publish({ topic: 'x'.repeat(room + 1), qos: 1, packetId: 1 }));
      client.expectDisconnected(ReasonCode.TopicNameInvalid);
      world.end();
    });

    test('the mapping of a verdict works below the mount point', () => {
      const mapping = {
        topicIn: (topic: string) => (topic === 'hidden' ? null : `own/${topic}`),
        topicOut: (topic: string) => (topic.startsWith('own/') ? topic.slice(4) : null),
        filterIn: (filter: string) => `own/${filter}`,
      };
      const world = new World({ store, authority: () => ({ outcome: 'accept', principal: null, mapping }) });
      const client = world.connect({ clientId: 'c' }, a);
      client.send(subscribe(1, '#'));
      client.expect(suback(1, 0));
      world.publish('tenants/a/own/t', 'x');
      world.publish('tenants/a/t', 'elsewhere');
      client.expect(publish({ topic: 't', payload: 'x' }));
      client.send(publish({ topic: 'hidden' }));
      client.expectDisconnected(ReasonCode.TopicNameInvalid);
      world.end();
    });
  });

  describe(`terms of a listener, store: ${store}`, () => {
    /** Of a terms' and a verdict's capability the narrower counts. */
    function world(verdict: Partial<Extract<Verdict, { outcome: 'accept' }>> = {}): World {
      return new World({ store, authority: () => ({ outcome: 'accept', principal: null, ...verdict }) });
    }
    const announced = ({ connack }: Client) => (connack as ConnackPacket).properties ?? {};

    test('[MQTT-3.2.2-9] [MQTT-3.2.2-10] [MQTT-3.2.2-12] Maximum QoS: announced, granted so, and above it 0x9B', () => {
      const terms: Terms = { maximumQoS: 1 };
      for (const [capabilities, most] of [
        [{}, 1] as const,
        [{ maximumQoS: 0 }, 0] as const,
        [{ maximumQoS: 2 }, 1] as const,
      ]) {
        const here = world({ capabilities });
        const client = here.connect({ clientId: 'c' }, { terms });
        assert.equal(announced(client).maximumQoS, most);
        client.send(subscribe(1, { filter: 'a', qos: 2 }));
        client.expect(suback(1, most));
        client.send(publish({ topic: 't', qos: 2, packetId: 1 }));
        client.expectDisconnected(ReasonCode.QoSNotSupported);
        const will = { topic: 'w', payload: text('w'), qos: 2, retain: false } as const;
        here.connecting({ clientId: 'd', will }, { terms }).expectRefused(ReasonCode.QoSNotSupported);
        here.end();
      }
      const here = world();
      const old = here.connect({ clientId: 'old', version: 4 }, { terms });
      old.send(subscribe(1, { filter: 'a', qos: 2 }));
      old.expect(suback(1, 1));
      old.send(publish({ topic: 't', qos: 2, packetId: 1 }));
      old.expectDisconnected(null);
      const free = here.connect({ clientId: 'free' });
      assert.equal(announced(free).maximumQoS, undefined);
      free.send(publish({ topic: 't', qos: 2, packetId: 1 }));
      free.expect(pubrec(1, ReasonCode.NoMatchingSubscribers));
      here.end();
    });

    test('[MQTT-3.2.2-13] [MQTT-3.2.2-14] Retain Available: announced, and RETAIN is 0x9A, of a will, too', () => {
      const terms: Terms = { retainAvailable: false };
      const here = world({ capabilities: { retain: true } });
      here.publish('state', 'kept', { retain: true });
      const client = here.connect({ clientId: 'c' }, { terms });
      assert.equal(announced(client).retainAvailable, false);
      client.send(subscribe(1, 'state'));
      client.expect(suback(1, 0), publish({ topic: 'state', payload: 'kept', retain: true }));
      const will = { topic: 'w', payload: text('w'), qos: 0, retain: true } as const;
      here.connecting({ clientId: 'd', will }, { terms }).expectRefused(ReasonCode.RetainNotSupported);
      client.send(publish({ topic: 'state', retain: true }));
      client.expectDisconnected(ReasonCode.RetainNotSupported);
      const old = here.connect({ clientId: 'old', version: 4 }, { terms });
      old.send(publish({ topic: 'state', retain: true }));
      old.expectDisconnected(null);
      const late = here.connect({ clientId: 'late' });
      late.send(subscribe(1, 'state'));
      late.expect(suback(1, 0), publish({ topic: 'state', payload: 'kept', retain: true }));
      here.end();
    });

    test('Topic Alias Maximum: the lower of the broker and the listener', () => {
      const here = world();
      const client = here.connect({ clientId: 'c' }, { terms: { topicAliasMaximum: 2 } });
      assert.equal(announced(client).topicAliasMaximum, 2);
      client.send(publish({ topic: 't', properties: { topicAlias: 2 } }));
      client.send(publish({ topic: 't', properties: { topicAlias: 3 } }));
      client.expectDisconnected(ReasonCode.TopicAliasInvalid);
      const none = here.connect({ clientId: 'n' }, { terms: { topicAliasMaximum: 0 } });
      assert.equal(announced(none).topicAliasMaximum, undefined);
      here.end();
    });

    test('an empty client id where none is given: 0x85, or 2; elsewhere one with the prefix', () => {
      const here = world();
      for (const version of [4, 5] as const) {
        const refused = here.connecting({ clientId: '', version }, { terms: { allowEmptyClientId: false } });
        refused.expectRefused(version === 5 ? ReasonCode.ClientIdentifierNotValid : 2);
      }
      assert.equal(here.core.state.sessions.size, 0);
      here.connect({ clientId: 'named' }, { terms: { allowEmptyClientId: false } });
      const client = here.connect({ clientId: '' }, { terms: { assignedClientIdPrefix: 'guest-' } });
      assert.match(announced(client).assignedClientIdentifier ?? '', /^guest-[0-9a-f]{32}$/);
      here.end();
    });
  });
}
