/** Topic aliases, from clients and to them. They belong to one network connection. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PacketType, ReasonCode } from '@pipit/protocol';
import { puback, publish, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, World, type WorldOptions } from './world.ts';

for (const store of storeKinds) {
  describe(`topic aliases from a client, store: ${store}`, () => {
    function open(options: WorldOptions = {}): { world: World; publisher: Client; reader: Client } {
      const world = new World({ store, ...options });
      const reader = world.connect({ clientId: 'reader' });
      reader.send(subscribe(1, { filter: '#', qos: 2 }));
      reader.expect(suback(1, 2));
      return { world, reader, publisher: world.connect({ clientId: 'publisher' }) };
    }
    const aliased = (topic: string, topicAlias: number, payload = '') =>
      publish({ topic, payload, properties: { topicAlias } });

    test('[MQTT-3.3.2-12] set, used, replaced; readers get the topic and no alias', () => {
      const { world, publisher, reader } = open();
      publisher.send(aliased('a', 1), aliased('b', 64), aliased('', 1), aliased('', 64));
      reader.expect(...['a', 'b', 'a', 'b'].map((topic) => publish({ topic })));
      publisher.send(aliased('c', 1), aliased('', 1), aliased('', 64), aliased('a', 2), aliased('', 1));
      reader.expect(...['c', 'c', 'b', 'a', 'c'].map((topic) => publish({ topic })));
      world.end();
    });

    test('[MQTT-3.3.2-9] [MQTT-3.3.2-11] the greatest allowed, and one above it: 0x94', () => {
      const { world, publisher, reader } = open({ limits: { topicAliasMaximum: 3 } });
      publisher.send(aliased('a', 3));
      reader.expect(publish({ topic: 'a' }));
      publisher.send(aliased('a', 4));
      publisher.expectDisconnected(ReasonCode.TopicAliasInvalid);
      world.end();
    });

    test('[MQTT-3.3.2-8] 0: 0x94; any when none is allowed: 0x94', () => {
      const { world, publisher } = open({ limits: { topicAliasMaximum: 0 } });
      publisher.send(aliased('a', 1));
      publisher.expectDisconnected(ReasonCode.TopicAliasInvalid);
      const other = world.connect({ clientId: 'other' });
      other.sendRaw('3008 0001 61 03 23 0000 78');
      other.expectDisconnected(ReasonCode.TopicAliasInvalid);
      world.end();
    });

    test('one never set, and no topic and no alias: 0x82', () => {
      const { world, publisher } = open();
      publisher.send(aliased('a', 1), aliased('', 2));
      publisher.expectDisconnected(ReasonCode.ProtocolError);
      const other = world.connect({ clientId: 'other' });
      other.sendRaw('3003 0000 00');
      other.expectDisconnected(ReasonCode.ProtocolError);
      world.clients[0]?.takeAll();
      world.end();
    });

    test('[MQTT-3.3.2-7] it ends with the connection, also when the session goes on', () => {
      const { world, reader } = open();
      const lasting = { clientId: 'lasting', cleanStart: false, properties: { sessionExpiryInterval: 100 } };
      const first = world.connect(lasting);
      first.send(aliased('a', 1));
      reader.expect(publish({ topic: 'a' }));
      first.drop();
      const second = world.connect(lasting);
      second.send(aliased('', 1));
      second.expectDisconnected(ReasonCode.ProtocolError);
      reader.expectNothing();
      world.end();
    });

    test('each client has its own', () => {
      const { world, publisher, reader } = open();
      const other = world.connect({ clientId: 'other' });
      publisher.send(aliased('a', 1));
      other.send(aliased('b', 1));
      publisher.send(aliased('', 1));
      other.send(aliased('', 1));
      reader.expect(...['a', 'b', 'a', 'b'].map((topic) => publish({ topic })));
      world.end();
    });

    test('a refused PUBLISH sets it all the same', () => {
      const { world, publisher } = open();
      const first = publish({ topic: '$SYS/x', qos: 1, packetId: 1, properties: { topicAlias: 1 } });
      publisher.publishWhole(first, ReasonCode.NotAuthorized);
      publisher.publishWhole({ ...first, topic: '' }, ReasonCode.NotAuthorized);
      world.end();
    });

    test('at QoS 1 and 2, repeated, retained and queued', () => {
      const { world, publisher, reader } = open();
      const two = publish({
        topic: 'a',
        qos: 2,
        packetId: 1,
        retain: true,
        payload: 'x',
        properties: { topicAlias: 1 },
      });
      publisher.publishWhole(two);
      reader.receiveWhole(publish({ topic: 'a', qos: 2, packetId: 1, payload: 'x' }));
      publisher.publishWhole({ ...two, topic: '', payload: two.payload });
      reader.receiveWhole(publish({ topic: 'a', qos: 2, packetId: 2, payload: 'x' }));
      const late = world.connect({ clientId: 'late' });
      late.send(subscribe(1, 'a'));
      late.expect(suback(1, 0), publish({ topic: 'a', retain: true, payload: 'x' }));
      world.end();
    });

    test('wherever it stands among the properties, the others arrive whole and in order', () => {
      const alias = '23 0001';
      const expiry = '02 00000064';
      const user = '26 0001 6b 0001 76';
      const content = '03 0001 63';
      const properties = {
        messageExpiryInterval: 100,
        userProperties: [['k', 'v']] as [string, string][],
        contentType: 'c',
      };
      for (const order of [
        [alias, expiry, user, content],
        [expiry, alias, user, content],
        [user, alias, expiry, content],
        [content, user, expiry, alias],
        [content, user, alias, expiry],
      ]) {
        const { world, publisher, reader } = open();
        const old = world.connect({ clientId: 'old', version: 4 });
        old.send(subscribe(1, 'a'));
        old.expect(suback(1, 0));
        const lasting = { clientId: 'lasting', cleanStart: false, properties: { sessionExpiryInterval: 1000 } };
        let away = world.connect(lasting);
        away.send(subscribe(1, { filter: 'a', qos: 1 }));
        away.expect(suback(1, 1));
        away.drop();
        // Topic "a", packet id 1, 19 bytes of properties, payload "p".
        const hex = `321a 0001 61 0001 13 ${order.join(' ')} 70`;
        publisher.sendRaw(hex);
        publisher.expect(puback(1));
        reader.expect(publish({ topic: 'a', qos: 1, packetId: 1, payload: 'p', properties }));
        old.expect(publish({ topic: 'a', payload: 'p' }));
        world.advance(30_000);
        away = world.connect(lasting);
        const left = { ...properties, messageExpiryInterval: 70 };
        away.expect(publish({ topic: 'a', qos: 1, packetId: 1, payload: 'p', properties: left }));
        world.end();
      }
    });
  });

  describe(`topic aliases to a client, store: ${store}`, () => {
    function reading(world: World, topicAliasMaximum: number, sessionExpiryInterval = 0): Client {
      const reader = world.connect({
        clientId: 'reader',
        cleanStart: false,
        properties: { sessionExpiryInterval, ...(topicAliasMaximum > 0 ? { topicAliasMaximum } : {}) },
      });
      return reader;
    }

    test('[MQTT-3.1.2-26] as many as it allows: with the topic first, instead of it then; further topics go by name', () => {
      const world = new World({ store });
      const reader = reading(world, 2);
      reader.send(subscribe(1, { filter: '#', qos: 1 }));
      reader.expect(suback(1, 1));
      const publisher = world.connect({ clientId: 'publisher', version: 4 });
      for (const topic of ['a', 'b', 'c', 'a', 'b', 'c']) publisher.send(publish({ topic, payload: topic }));
      reader.expect(
        publish({ topic: 'a', payload: 'a', properties: { topicAlias: 1 } }),
        publish({ topic: 'b', payload: 'b', properties: { topicAlias: 2 } }),
        publish({ topic: 'c', payload: 'c' }),
        publish({ topic: '', payload: 'a', properties: { topicAlias: 1 } }),
        publish({ topic: '', payload: 'b', properties: { topicAlias: 2 } }),
        publish({ topic: 'c', payload: 'c' }),
      );
      publisher.publishWhole(publish({ topic: 'a', qos: 1, packetId: 1, payload: 'a' }));
      reader.expect(publish({ topic: '', qos: 1, packetId: 1, payload: 'a', properties: { topicAlias: 1 } }));
      world.end();
    });

    test('[MQTT-3.1.2-27] none or 0: none', () => {
      const world = new World({ store });
      const reader = reading(world, 0);
      reader.send(subscribe(1, '#'));
      reader.expect(suback(1, 0));
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.send(publish({ topic: 'a', properties: { topicAlias: 5 } }));
      publisher.send(publish({ topic: '', properties: { topicAlias: 5 } }));
      reader.expect(publish({ topic: 'a' }), publish({ topic: 'a' }));
      world.end();
    });

    test('after a resume they are set anew; what is sent again carries what this connection knows', () => {
      const world = new World({ store });
      let reader = reading(world, 5, 1000);
      reader.send(subscribe(1, { filter: '#', qos: 1 }));
      reader.expect(suback(1, 1));
      const publisher = world.connect({ clientId: 'publisher', version: 4 });
      const message = publish({ topic: 'a', qos: 1, packetId: 1, payload: 'x' });
      publisher.publishWhole(message);
      publisher.publishWhole(message);
      reader.expect(
        { ...message, properties: { topicAlias: 1 } },
        { ...message, topic: '', packetId: 2, properties: { topicAlias: 1 } },
      );
      reader.drop();
      reader = reading(world, 5, 1000);
      reader.expect(
        { ...message, dup: true, properties: { topicAlias: 1 } },
        { ...message, topic: '', packetId: 2, dup: true, properties: { topicAlias: 1 } },
      );
      reader.drop();
      reader = reading(world, 0, 1000);
      reader.expect({ ...message, dup: true }, { ...message, packetId: 2, dup: true });
      world.end();
    });

    test('beside Subscription Identifiers and the properties of the message', () => {
      const world = new World({ store });
      const reader = reading(world, 1);
      reader.send({ ...subscribe(1, 'a'), properties: { subscriptionIdentifier: 300 } });
      reader.expect(suback(1, 0));
      const publisher = world.connect({ clientId: 'publisher' });
      const packet = publish({ topic: 'a', properties: { contentType: 'c', topicAlias: 9 } });
      publisher.send(packet, { ...packet, topic: '' });
      const properties = { contentType: 'c', topicAlias: 1, subscriptionIdentifiers: [300] };
      reader.expect(publish({ topic: 'a', properties }), publish({ topic: '', properties }));
      world.end();
    });
  });
}

test('an alias set in a packet that waits for the disk would be used before it: it is not', () => {
  const world = new World({ store: 'late' });
  const store = world.store as NonNullable<World['store']>;
  const properties = { sessionExpiryInterval: 1000, topicAliasMaximum: 5 };
  const reader = world.connect({ clientId: 'reader', properties });
  reader.send(subscribe(1, { filter: 'a', qos: 2 }));
  reader.expect(suback(1, 2));
  const publisher = world.connect({ clientId: 'publisher', version: 4 });
  store.isStalled = true;
  publisher.send(
    publish({ topic: 'a', qos: 2, packetId: 1, payload: 'two' }),
    publish({ topic: 'a', payload: 'zero' }),
  );
  reader.expect(publish({ topic: 'a', payload: 'zero', properties: { topicAlias: 1 } }));
  store.isStalled = false;
  reader.receiveWhole(publish({ topic: 'a', qos: 2, packetId: 1, payload: 'two' }));
  assert.equal(publisher.takeAll().length, 1);
  publisher.send(publish({ topic: 'a', payload: 'again' }));
  reader.expect(publish({ topic: '', payload: 'again', properties: { topicAlias: 1 } }));
  world.end();
});

test('an alias set behind a CONNACK that waits for the disk is not used before it', () => {
  const world = new World({ store: 'late' });
  const store = world.store as NonNullable<World['store']>;
  const reader = {
    clientId: 'reader',
    cleanStart: false,
    properties: { sessionExpiryInterval: 1000, topicAliasMaximum: 5 },
  };
  const first = world.connect(reader);
  first.send(subscribe(1, 'a'));
  first.expect(suback(1, 0));
  first.drop();
  const publisher = world.connect({ clientId: 'publisher', version: 4 });
  store.isStalled = true;
  const second = world.connecting(reader);
  publisher.send(publish({ topic: 'a', payload: '1' }), publish({ topic: 'a', payload: '2' }));
  second.expectNothing();
  store.isStalled = false;
  store.answer(world.core, world.now);
  store.isStalled = true;
  publisher.send(publish({ topic: 'a', payload: '3' }));
  const properties = { topicAlias: 1 };
  assert.equal(second.take().type, PacketType.Connack);
  second.expect(
    publish({ topic: 'a', payload: '1', properties }),
    publish({ topic: '', payload: '2', properties }),
    publish({ topic: '', payload: '3', properties }),
  );
  store.isStalled = false;
  world.end();
});
