/** Topic mapping of a verdict: the peer's names and the broker's, both ways. */

import { describe, test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import type { AuthenticationRequest, TopicMapping, Verdict } from '../../src/core/index.ts';
import { disconnect, puback, publish, suback, subscribe, unsuback, unsubscribe } from './packets.ts';
import { type Client, storeKinds, text, World } from './world.ts';

/** Everything of a tenant lies below its name; `hidden` does not exist for it. */
function mappingOf(tenant: string): TopicMapping {
  const isHidden = (name: string) => name.startsWith('hidden');
  return {
    topicIn: (topic) => (isHidden(topic) ? null : `${tenant}/${topic}`),
    topicOut: (topic) => (topic.startsWith(`${tenant}/`) ? topic.slice(tenant.length + 1) : null),
    filterIn: (filter) => {
      if (isHidden(filter)) return null;
      const share = /^(\$share\/[^/]+\/)(.*)$/.exec(filter);
      return share === null ? `${tenant}/${filter}` : `${share[1]}${tenant}/${share[2]}`;
    },
  };
}

function tenants(store: (typeof storeKinds)[number]): World {
  const authority = ({ username }: AuthenticationRequest): Verdict =>
    username === null
      ? { outcome: 'accept', principal: null }
      : { outcome: 'accept', principal: username, mapping: mappingOf(username) };
  return new World({ store, authority });
}

function everything(world: World): Client {
  const client = world.connect({ clientId: 'everything' });
  client.send(subscribe(1, '#'));
  client.expect(suback(1, 0));
  return client;
}

for (const store of storeKinds) {
  describe(`topic mapping, store: ${store}`, () => {
    test('publish and subscribe in the names of the peer; tenants do not meet', () => {
      const world = tenants(store);
      const all = everything(world);
      for (const version of [4, 5] as const) {
        const [a, b] = ['a', 'b'].map((username) => {
          const client = world.connect({ clientId: `${username}${version}`, version, username });
          client.send(subscribe(1, { filter: 't/#', qos: 1 }));
          client.expect(suback(1, 1));
          return client;
        }) as [Client, Client];
        const sender = world.connect({ clientId: 'sender', version, username: 'a' });
        sender.send(publish({ topic: 't/x', qos: 1, packetId: 7, payload: 'hello' }));
        sender.expect(puback(7));
        sender.send(disconnect());
        a.expect(publish({ topic: 't/x', qos: 1, packetId: 1, payload: 'hello' }));
        a.send(puback(1));
        b.expectNothing();
        all.expect(publish({ topic: 'a/t/x', payload: 'hello' }));
        a.send(unsubscribe(2, 't/#'));
        a.expect(version === 5 ? unsuback(2, 0) : unsuback(2));
        world.publish('a/t/x', 'again');
        a.expectNothing();
        all.expect(publish({ topic: 'a/t/x', payload: 'again' }));
        world.publish('b/t/x', 'for b');
        b.expect(publish({ topic: 't/x', payload: 'for b' }));
        all.expect(publish({ topic: 'b/t/x', payload: 'for b' }));
        for (const client of [a, b]) client.send(disconnect());
      }
      world.end();
    });

    test('topic aliases stand for the name the peer meant', () => {
      const world = tenants(store);
      const all = everything(world);
      const a = world.connect({ clientId: 'a', username: 'a' });
      a.send(publish({ topic: 't', payload: '1', properties: { topicAlias: 1 } }));
      a.send(publish({ topic: '', payload: '2', properties: { topicAlias: 1 } }));
      a.send(publish({ topic: 't', payload: '3' }));
      all.expect(...['1', '2', '3'].map((payload) => publish({ topic: 'a/t', payload })));
      world.end();
    });

    test('retained messages, wills, shared and queued messages are mapped too', () => {
      const world = tenants(store);
      const properties = { sessionExpiryInterval: 100 };
      world.publish('a/state', 'r', { retain: true });
      world.publish('b/state', 'r', { retain: true });
      const will = { topic: 'gone', payload: text('w'), qos: 1, retain: false } as const;
      const a = world.connect({ clientId: 'a', username: 'a', properties });
      a.send(subscribe(1, { filter: '$share/g/gone', qos: 1 }));
      a.expect(suback(1, 1));
      const live = world.connect({ clientId: 'live', username: 'a' });
      live.send(subscribe(1, 'state'));
      live.expect(suback(1, 0), publish({ topic: 'state', payload: 'r', retain: true }));
      a.drop();
      world.connect({ clientId: 'd', username: 'a', will }).drop();
      const again = world.connect({ clientId: 'a', username: 'a', cleanStart: false, properties });
      again.expect(publish({ topic: 'gone', qos: 1, packetId: 1, payload: 'w' }));
      again.send(puback(1));
      world.end();
    });

    test('a name that does not exist for the peer: 0x90, 0x8F, and a will is refused', () => {
      const world = tenants(store);
      const all = everything(world);
      const a = world.connect({ clientId: 'a', username: 'a' });
      a.send(subscribe(1, 'hidden/x', 't'));
      a.expect(suback(1, ReasonCode.TopicFilterInvalid, 0));
      a.send(unsubscribe(2, 'hidden/x'));
      a.expect(unsuback(2, ReasonCode.TopicFilterInvalid));
      a.send(publish({ topic: 'hidden/x', qos: 1, packetId: 1 }));
      a.expectDisconnected(ReasonCode.TopicNameInvalid);
      const will = { topic: 'hidden/w', payload: text('w'), qos: 0, retain: false } as const;
      world.connecting({ clientId: 'a', username: 'a', will }).expectRefused(ReasonCode.TopicNameInvalid);
      all.expectNothing();
      world.end();
    });
  });
}
