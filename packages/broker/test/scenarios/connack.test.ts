/** What CONNACK says of the connection's terms, and what it leaves out when it must be small. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ConnackPacket, type ConnectPacket, encodePacket, ReasonCode } from '@pipit/protocol';
import type { Acceptance } from '../../src/core/index.ts';
import { announced, connack, pingreq, pingresp, puback, publish, suback, subscribe } from './packets.ts';
import { storeKinds, World, type WorldOptions } from './world.ts';

/** The properties of the CONNACK that one CONNECT gets. */
function told(options: WorldOptions, connect: Partial<ConnectPacket> = {}): ConnackPacket['properties'] {
  const world = new World(options);
  const { connack: packet } = world.connect({ clientId: 'c', ...connect });
  world.end();
  return (packet as ConnackPacket).properties;
}

const verdict = (fields: Partial<Acceptance>) => () => ({ outcome: 'accept', principal: null, ...fields }) as const;

for (const store of storeKinds) {
  describe(`CONNACK, store: ${store}`, () => {
    test('the limits that a client must know are announced as they are set', () => {
      const limits = { receiveMaximum: 7, packetBytesMax: 1234, topicAliasMaximum: 3 };
      assert.deepEqual(told({ store, limits }), { receiveMaximum: 7, maximumPacketSize: 1234, topicAliasMaximum: 3 });
      const widest = { receiveMaximum: 65_535, topicAliasMaximum: 0 };
      assert.deepEqual(told({ store, limits: widest }), { maximumPacketSize: announced.maximumPacketSize });
    });

    test('a verdict may lower the limits of one connection, not raise them', () => {
      const lower = { receiveMaximum: 5, packetBytesMax: 500, topicAliasMaximum: 2 };
      assert.deepEqual(told({ store, authority: verdict({ limits: lower }) }), {
        receiveMaximum: 5,
        maximumPacketSize: 500,
        topicAliasMaximum: 2,
      });
      const higher = { receiveMaximum: 2_000, packetBytesMax: 2 ** 27, topicAliasMaximum: 65 };
      assert.deepEqual(told({ store, authority: verdict({ limits: higher }) }), announced);
    });

    test('[MQTT-3.2.2-9] capabilities that are missing are announced, those that are there are not', () => {
      const none = {
        maximumQoS: 0,
        retain: false,
        wildcards: false,
        shared: false,
        subscriptionIdentifiers: false,
      } as const;
      assert.deepEqual(told({ store, authority: verdict({ capabilities: none }) }), {
        ...announced,
        maximumQoS: 0,
        retainAvailable: false,
        wildcardSubscriptionAvailable: false,
        sharedSubscriptionAvailable: false,
        subscriptionIdentifierAvailable: false,
      });
      const all = {
        maximumQoS: 2,
        retain: true,
        wildcards: true,
        shared: true,
        subscriptionIdentifiers: true,
      } as const;
      assert.deepEqual(told({ store, authority: verdict({ capabilities: all }) }), announced);
      const one = { maximumQoS: 1 } as const;
      assert.deepEqual(told({ store, authority: verdict({ capabilities: one }) }), { ...announced, maximumQoS: 1 });
    });

    test('Server Keep Alive is told when it differs from what was asked', () => {
      const limits = { serverKeepAliveMax: 60 };
      assert.deepEqual(told({ store, limits }, { keepAlive: 59 }), announced);
      assert.deepEqual(told({ store, limits }, { keepAlive: 60 }), announced);
      assert.deepEqual(told({ store, limits }, { keepAlive: 61 }), { ...announced, serverKeepAlive: 60 });
      assert.deepEqual(told({ store, limits }, { keepAlive: 0 }), { ...announced, serverKeepAlive: 60 });
      const authority = verdict({ limits: { keepAliveMax: 10 } });
      assert.deepEqual(told({ store, limits, authority }, { keepAlive: 60 }), { ...announced, serverKeepAlive: 10 });
      assert.deepEqual(told({ store }, { keepAlive: 65_535 }), announced);
      assert.deepEqual(told({ store }, { keepAlive: 0 }), announced);
    });

    test('Session Expiry Interval is told when it is not the one asked for', () => {
      const limits = { sessionExpiryMax: 100 };
      const asking = (sessionExpiryInterval: number) => ({ properties: { sessionExpiryInterval } });
      assert.deepEqual(told({ store, limits }, asking(100)), announced);
      assert.deepEqual(told({ store, limits }, asking(101)), { ...announced, sessionExpiryInterval: 100 });
      assert.deepEqual(told({ store, limits }, asking(0xffff_ffff)), { ...announced, sessionExpiryInterval: 100 });
      assert.deepEqual(told({ store, limits }, asking(0)), announced);
      assert.deepEqual(told({ store, limits }), announced);
      const authority = verdict({ limits: { sessionExpiryMax: 0 } });
      assert.deepEqual(told({ store, limits, authority }, asking(50)), { ...announced, sessionExpiryInterval: 0 });
    });

    test('[MQTT-3.1.2-28] Response Information is told to who asked for it', () => {
      const authority = verdict({ responseInformation: 'answers/c' });
      const ask = (requestResponseInformation: boolean) => ({ properties: { requestResponseInformation } });
      assert.deepEqual(told({ store, authority }, ask(true)), { ...announced, responseInformation: 'answers/c' });
      assert.deepEqual(told({ store, authority }, ask(false)), announced);
      assert.deepEqual(told({ store, authority }), announced);
      assert.deepEqual(told({ store }, ask(true)), announced);
    });

    test('reason and User Properties of a verdict are told in their order', () => {
      const userProperties = [
        ['b', '1'],
        ['a', '2'],
        ['b', '1'],
      ] as const;
      const authority = verdict({ reason: 'welcome', userProperties });
      assert.deepEqual(told({ store, authority }), { ...announced, reasonString: 'welcome', userProperties });
    });

    test('3.x gets two bytes whatever the terms are', () => {
      const authority = verdict({ reason: 'welcome', capabilities: { maximumQoS: 0 }, limits: { receiveMaximum: 1 } });
      const world = new World({ store, authority });
      for (const version of [3, 4] as const) {
        assert.deepEqual(world.connect({ clientId: `c${version}`, version }).connack, connack());
      }
      world.end();
    });

    test('[MQTT-3.2.2-19] [MQTT-3.2.2-20] what does not fit the Maximum Packet Size is left out', () => {
      const fields = { reason: 'r'.repeat(50), userProperties: [['k', 'v'.repeat(50)]] } as const;
      const authority = verdict({ ...fields, responseInformation: 'answers' });
      const properties = { requestResponseInformation: true };
      const needed = { ...announced, responseInformation: 'answers' };
      const whole = connack({
        properties: { ...needed, reasonString: fields.reason, userProperties: [['k', 'v'.repeat(50)]] },
      });
      const size = encodePacket(whole, 5, 'server').length;
      assert.deepEqual(
        told({ store, authority }, { properties: { ...properties, maximumPacketSize: size } }),
        whole.properties,
      );
      assert.deepEqual(
        told({ store, authority }, { properties: { ...properties, maximumPacketSize: size - 1 } }),
        needed,
      );
      const least = encodePacket(connack({ properties: needed }), 5, 'server').length;
      assert.deepEqual(told({ store, authority }, { properties: { ...properties, maximumPacketSize: least } }), needed);
    });

    test('[MQTT-3.1.2-24] a client that cannot be sent its CONNACK is refused before anything changes', () => {
      const world = new World({ store });
      const before = world.connect({ clientId: 'c', properties: { sessionExpiryInterval: 100 } });
      before.send(subscribe(1, 't'));
      before.expect(suback(1, 0));
      const least = encodePacket(connack({ properties: announced }), 5, 'server').length;
      const none = world.connecting({ clientId: 'c', properties: { maximumPacketSize: 4 } });
      none.expectRefused(null);
      const small = world.connecting({ clientId: 'c', properties: { maximumPacketSize: least - 1 } });
      small.expectRefused(ReasonCode.PacketTooLarge);
      // Nothing was taken over.
      before.send(publish({ topic: 't', payload: 'x' }), pingreq);
      before.expect(publish({ topic: 't', payload: 'x' }), pingresp);
      world.end();
    });

    test('[MQTT-3.2.2-19] a refusal leaves its Reason String and Server Reference out before it is too large', () => {
      const refusal = {
        outcome: 'refuse',
        reasonCode: ReasonCode.UseAnotherServer,
        serverReference: 'other:1883',
      } as const;
      const world = new World({ store, authority: () => ({ ...refusal, reason: 'r'.repeat(50) }) });
      const connecting = (maximumPacketSize: number) =>
        world.connecting({ clientId: 'c', properties: { maximumPacketSize } });
      connecting(1000).expectRefused(ReasonCode.UseAnotherServer, { serverReference: 'other:1883' });
      connecting(20).expectRefused(ReasonCode.UseAnotherServer, { serverReference: 'other:1883' });
      connecting(5).expectRefused(ReasonCode.UseAnotherServer);
      connecting(4).expectRefused(null);
      world.end();
    });

    test('the limits announced are kept: packet size and alias at the limit and one past', () => {
      const limits = { packetBytesMax: 100, topicAliasMaximum: 3 };
      const world = new World({ store, limits });
      const client = world.connect({ clientId: 'c' });
      const body = encodePacket(publish({ topic: 't' }), 5, 'client').length;
      client.send(publish({ topic: 't', qos: 1, packetId: 1, payload: 'x'.repeat(100 - body - 2) }));
      client.expect(puback(1, ReasonCode.NoMatchingSubscribers));
      client.send(publish({ topic: 't', qos: 1, packetId: 2, properties: { topicAlias: 3 } }));
      client.expect(puback(2, ReasonCode.NoMatchingSubscribers));
      const other = world.connect({ clientId: 'd' });
      other.send(publish({ topic: 't', properties: { topicAlias: 4 } }));
      other.expectDisconnected(ReasonCode.TopicAliasInvalid);
      client.send(publish({ topic: 't', qos: 1, packetId: 3, payload: 'x'.repeat(100 - body - 1) }));
      client.expectDisconnected(ReasonCode.PacketTooLarge);
      world.end();
    });

    test('[MQTT-3.2.0-1] [MQTT3-3.2.0-1] CONNACK is first, before everything a resumed session has waiting', () => {
      const world = new World({ store });
      const properties = { sessionExpiryInterval: 100 };
      const away = world.connect({ clientId: 'c', properties });
      away.send(subscribe(1, { filter: 't', qos: 1 }));
      away.expect(suback(1, 1));
      away.drop();
      world.publish('t', 'a', { qos: 1 });
      const back = world.connecting({ clientId: 'c', cleanStart: false, properties });
      back.expect(
        connack({ sessionPresent: true, properties: announced }),
        publish({ topic: 't', qos: 1, packetId: 1, payload: 'a' }),
      );
      world.end();
    });
  });
}
