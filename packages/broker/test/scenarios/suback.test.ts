/** What SUBSCRIBE is answered, filter by filter, and what the answer is worth. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import { Permissions } from '../../src/core/index.ts';
import { publish, suback, subscribe, subscribeWith, unsubscribe } from './packets.ts';
import { storeKinds, World } from './world.ts';

const versions = [3, 4, 5] as const;
/** 5.0 is told why, 3.1.1 that it failed, 3.1 nothing: it gets the QoS it asked for. */
const failure = (version: 3 | 4 | 5, reasonCode: number, asked: number) =>
  version === 5 ? reasonCode : version === 4 ? 0x80 : asked;

for (const store of storeKinds) {
  describe(`SUBACK, store: ${store}`, () => {
    test('[MQTT-3.8.4-1] [MQTT-3.8.4-6] [MQTT-3.9.3-1] one packet, the same id, a code for each filter in order', () => {
      for (const version of versions) {
        const world = new World({ store });
        const client = world.connect({ clientId: 'client', version, cleanStart: version === 5 });
        client.send(
          subscribe(65_535, { filter: 'a', qos: 2 }, { filter: 'b', qos: 0 }, { filter: '$share/g/c', qos: 1 }),
        );
        client.expect(suback(65_535, 2, 0, 1));
        world.end();
      }
    });

    test('[MQTT-3.8.4-5] a filter that is refused leaves the others alone', () => {
      for (const version of versions) {
        const permissions = new Permissions([
          { effect: 'deny', action: 'subscribe', filter: 'secret/#' },
          { effect: 'deny', action: 'subscribe', filter: 'odd', reasonCode: ReasonCode.ImplementationSpecificError },
          { effect: 'allow', action: 'all', filter: '#' },
        ]);
        const world = new World({
          store,
          authority: ({ clientId }) => ({
            outcome: 'accept',
            principal: null,
            ...(clientId === 'client' ? { permissions } : {}),
          }),
        });
        const client = world.connect({ clientId: 'client', version });
        client.send(
          subscribe(1, { filter: 'a', qos: 1 }, { filter: 'secret/x', qos: 2 }, { filter: 'odd', qos: 1 }, 'b'),
        );
        client.expect(
          suback(
            1,
            1,
            failure(version, ReasonCode.NotAuthorized, 2),
            failure(version, ReasonCode.ImplementationSpecificError, 1),
            0,
          ),
        );
        const publisher = world.connect({ clientId: 'publisher' });
        for (const topic of ['a', 'b', 'secret/x', 'odd']) publisher.send(publish({ topic }));
        client.expect(publish({ topic: 'a' }), publish({ topic: 'b' }));
        const reasons = world.takeEvents('subscribe-refused').map(({ reasonCode }) => reasonCode);
        assert.deepEqual(reasons, [ReasonCode.NotAuthorized, ReasonCode.ImplementationSpecificError]);
        world.end();
      }
    });

    test('as many subscriptions as a session may have, and one more: 0x97; replacing one is none more', () => {
      for (const version of versions) {
        const world = new World({ store, limits: { subscriptionsPerSessionMax: 3 } });
        const client = world.connect({ clientId: 'client', version });
        client.send(subscribe(1, 'a', '$share/g/a', 'b', 'c', { filter: 'a', qos: 1 }));
        client.expect(suback(1, 0, 0, 0, failure(version, ReasonCode.QuotaExceeded, 0), 1));
        const publisher = world.connect({ clientId: 'publisher' });
        publisher.send(publish({ topic: 'c' }), publish({ topic: 'b' }));
        client.expect(publish({ topic: 'b' }));
        world.end();
      }
    });

    test('as many bytes of filters as a session may have, and one more: 0x97; what is unsubscribed makes room', () => {
      for (const version of versions) {
        const world = new World({ store, limits: { subscriptionBytesPerSessionMax: 10 + 4 * 48 } });
        const client = world.connect({ clientId: 'client', version });
        const no = failure(version, ReasonCode.QuotaExceeded, 0);
        client.send(subscribe(1, 'ü/ü', '$share/gg/aa', 'a', 'b/'));
        client.expect(suback(1, 0, 0, 0, no));
        client.send(unsubscribe(2, '$share/gg/aa'));
        client.takeAll();
        client.send(subscribe(3, 'ccc', 'd'));
        client.expect(suback(3, 0, no));
        world.end();
      }
    });

    test('as many filters in one packet as there may be, and one more: 0x97', () => {
      const world = new World({ store, limits: { filtersPerPacketMax: 2 } });
      const client = world.connect({ clientId: 'client' });
      client.send(subscribe(1, 'a', 'b'));
      client.expect(suback(1, 0, 0));
      client.send(subscribe(2, 'c', 'd', 'e'));
      client.expectDisconnected(ReasonCode.QuotaExceeded);
      world.end();
    });

    test('[MQTT-3.2.2-9] a QoS that is not available is granted as what is', () => {
      for (const version of versions) {
        const world = new World({
          store,
          authority: () => ({ outcome: 'accept', principal: null, capabilities: { maximumQoS: 1 } }),
        });
        const client = world.connect({ clientId: 'client', version });
        client.send(subscribe(1, { filter: 'a', qos: 2 }));
        client.expect(suback(1, 1));
        world.end();
      }
    });

    test('what is not available ends the connection: wildcards 0xA2, shared 0x9E, identifiers 0xA1', () => {
      for (const [packet, capability, reasonCode] of [
        [subscribe(1, 'a/+'), 'wildcards', ReasonCode.WildcardSubscriptionsNotSupported],
        [subscribe(1, '$share/g/a'), 'shared', ReasonCode.SharedSubscriptionsNotSupported],
        [
          subscribeWith(1, { subscriptionIdentifier: 1 }, 'a'),
          'subscriptionIdentifiers',
          ReasonCode.SubscriptionIdentifiersNotSupported,
        ],
      ] as const) {
        const world = new World({
          store,
          authority: () => ({ outcome: 'accept', principal: null, capabilities: { [capability]: false } }),
        });
        const client = world.connect({ clientId: 'client' });
        client.send(subscribe(9, 'a'));
        client.expect(suback(9, 0));
        client.send(packet);
        client.expectDisconnected(reasonCode);
        world.end();
      }
    });

    test('[MQTT-3.8.3-2] no filter: 0x82; 3.1 gets an empty SUBACK', () => {
      for (const version of versions) {
        const world = new World({ store });
        const client = world.connect({ clientId: 'client', version });
        client.sendRaw(version === 5 ? '8203 0001 00' : '8202 0001');
        if (version === 3) client.expect(suback(1));
        else client.expectDisconnected(ReasonCode.ProtocolError);
        world.end();
      }
    });

    test('requested QoS 3 and Retain Handling 3: 0x82; reserved bits: 0x81; nothing is subscribed', () => {
      for (const [options, reasonCode] of [
        ['03', ReasonCode.ProtocolError],
        ['30', ReasonCode.ProtocolError],
        ['40', ReasonCode.MalformedPacket],
        ['80', ReasonCode.MalformedPacket],
      ] as const) {
        const world = new World({ store });
        const client = world.connect({ clientId: 'client', properties: { sessionExpiryInterval: 100 } });
        client.sendRaw(`820b 0001 00 0001 61 00 0001 62 ${options}`);
        client.expectDisconnected(reasonCode);
        const publisher = world.connect({ clientId: 'publisher' });
        publisher.publishWhole(publish({ topic: 'a', qos: 1, packetId: 1 }), ReasonCode.NoMatchingSubscribers);
        world.end();
      }
    });
  });
}
