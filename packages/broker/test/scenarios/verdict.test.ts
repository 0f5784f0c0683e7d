/** Verdicts of an authority: what it is asked, what each field of an acceptance does, how a refusal is told. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connackReturnCode, type ProtocolVersion, ReasonCode } from '@pipit/protocol';
import type { AuthenticationRequest, Verdict } from '../../src/core/index.ts';
import { announced, connack, pingreq, pingresp, puback, publish, pubrec, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, text, World } from './world.ts';

const accept = { outcome: 'accept', principal: null } as const;

for (const store of storeKinds) {
  describe(`verdicts, store: ${store}`, () => {
    test('the authority is asked with everything CONNECT says', () => {
      const requests: AuthenticationRequest[] = [];
      const world = new World({
        store,
        authority: (request) => {
          requests.push(request);
          return accept;
        },
      });
      const userProperties: [string, string][] = [['k', 'v']];
      world.connect({ clientId: 'a', username: 'u', password: text('p'), properties: { userProperties } });
      world.connect({ clientId: 'b', version: 3 });
      const [first, second] = requests;
      assert.deepEqual(first, {
        kind: 'connect',
        peer: { transport: 'memory', address: 'peer-1', listener: 'memory' },
        version: 5,
        clientId: 'a',
        username: 'u',
        password: text('p'),
        method: null,
        data: null,
        userProperties,
        principal: null,
        memory: null,
      });
      assert.deepEqual([second?.version, second?.username, second?.password], [3, null, null]);
      world.end();
    });

    test('an assigned client id is what the authority is asked about', () => {
      const ids: string[] = [];
      const world = new World({ store, authority: ({ clientId }) => (ids.push(clientId) > 0 ? accept : undefined) });
      const client = world.connect({ clientId: '' });
      const { connack: packet } = client;
      assert.deepEqual(packet, connack({ properties: { ...announced, assignedClientIdentifier: ids[0] as string } }));
      world.end();
    });

    test('[MQTT-3.1.4-2] [MQTT-3.2.2-7] [MQTT-3.2.2-8] [MQTT-4.13.2-1] [MQTT3-3.2.2-5] [MQTT3-3.2.2-6] a refusal is told as its version can, and the connection closed', () => {
      const codes = [0x80, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x97, 0x99, 0x9c, 0x9d, 0x9f] as const;
      let verdict: Verdict = accept;
      const world = new World({ store, authority: () => verdict });
      for (const reasonCode of codes) {
        verdict = { outcome: 'refuse', reasonCode };
        for (const version of [3, 4, 5] as ProtocolVersion[]) {
          const told = version === 5 ? reasonCode : (connackReturnCode(reasonCode) ?? null);
          world.connecting({ clientId: 'c', version }).expectRefused(told);
        }
        assert.equal(
          world.takeEvents('refused').every((event) => event.reasonCode === reasonCode),
          true,
        );
      }
      assert.equal(world.core.state.sessions.size, 0);
      world.end();
    });

    test('a refusal with a code that CONNACK has not is Unspecified error', () => {
      const world = new World({
        store,
        authority: () => ({ outcome: 'refuse', reasonCode: ReasonCode.SessionTakenOver }),
      });
      world.connecting({ clientId: 'c' }).expectRefused(ReasonCode.UnspecifiedError);
      world.connecting({ clientId: 'c', version: 4 }).expectRefused(null);
      world.end();
    });

    test('a refusal carries its reason and the Server Reference', () => {
      const refusal = {
        outcome: 'refuse',
        reasonCode: ReasonCode.ServerMoved,
        reason: 'moved',
        serverReference: 'b:1883',
      } as const;
      const world = new World({ store, authority: () => refusal });
      const client = world.connecting({ clientId: 'c' });
      client.expectClosed(
        connack({
          reasonCode: ReasonCode.ServerMoved,
          properties: { reasonString: 'moved', serverReference: 'b:1883' },
        }),
      );
      world.end();
    });

    test('a session key apart from the client id: who has the same key has the same session', () => {
      const authority = ({ clientId, username }: AuthenticationRequest): Verdict => ({
        outcome: 'accept',
        principal: username,
        sessionKey: `${username}/${clientId}`,
      });
      const world = new World({ store, authority });
      const properties = { sessionExpiryInterval: 100 };
      const alice = world.connect({ clientId: 'c', username: 'alice', properties });
      const bob = world.connect({ clientId: 'c', username: 'bob', properties });
      for (const client of [alice, bob]) {
        client.send(pingreq);
        client.expect(pingresp);
      }
      alice.send(subscribe(1, { filter: 't', qos: 1 }));
      alice.expect(suback(1, 1));
      alice.drop();
      world.publish('t', 'x', { qos: 1 });
      const again = world.connect({ clientId: 'c', username: 'alice', cleanStart: false, properties });
      assert.deepEqual(again.connack, connack({ sessionPresent: true, properties: announced }));
      again.expect(publish({ topic: 't', qos: 1, packetId: 1, payload: 'x' }));
      again.send(puback(1));
      bob.expectNothing();
      assert.equal(world.core.disconnect('c', ReasonCode.AdministrativeAction, 'by client id', world.now), true);
      world.settle();
      assert.equal([again, bob].filter(({ isClosed }) => isClosed).length, 1);
      for (const client of [again, bob]) client.takeAll();
      world.end();
    });

    test('the limits of a verdict are enforced: packet size, receive maximum, alias and keep alive', () => {
      const limits = { packetBytesMax: 50, receiveMaximum: 1, topicAliasMaximum: 1, keepAliveMax: 10 };
      const world = new World({
        store,
        authority: ({ clientId }) => (clientId === 'c' ? { ...accept, limits } : accept),
      });
      const client = (): Client => world.connect({ clientId: 'c', properties: { sessionExpiryInterval: 1 } });
      const large = client();
      large.send(publish({ topic: 't', payload: 'x'.repeat(45) }), pingreq); // 2 + 3 + 1 + 45 bytes: one too many
      large.expectDisconnected(ReasonCode.PacketTooLarge);
      const fits = client();
      fits.send(publish({ topic: 't', payload: 'x'.repeat(44) }), pingreq);
      fits.expect(pingresp);
      fits.send(publish({ topic: 't', properties: { topicAlias: 1 } }), pingreq);
      fits.expect(pingresp);
      fits.send(publish({ topic: 't', properties: { topicAlias: 2 } }));
      fits.expectDisconnected(ReasonCode.TopicAliasInvalid);
      const eager = client();
      eager.send(publish({ topic: 't', qos: 2, packetId: 1 }));
      eager.expect(pubrec(1, ReasonCode.NoMatchingSubscribers));
      eager.send(publish({ topic: 't', qos: 2, packetId: 2 }));
      eager.expectDisconnected(ReasonCode.ReceiveMaximumExceeded);
      const silent = client();
      silent.send(pingreq);
      silent.expect(pingresp);
      world.advance(14_999);
      assert.equal(silent.isClosed, false);
      world.advance(1);
      silent.expectDisconnected(ReasonCode.KeepAliveTimeout);
      // Nobody else is bound by them.
      const free = world.connect({ clientId: 'free' });
      free.send(publish({ topic: 't', payload: 'x'.repeat(100), properties: { topicAlias: 2 } }), pingreq);
      free.expect(pingresp);
      world.end();
    });

    test('a verdict that no packet can carry ends its connection and harms nobody else', () => {
      const reason = 'x'.repeat(70_000);
      const bad: Verdict[] = [
        { ...accept, reason },
        { ...accept, userProperties: [['nul', 'a\u0000b']] },
        { outcome: 'refuse', reasonCode: ReasonCode.NotAuthorized, reason },
        { outcome: 'refuse', reasonCode: ReasonCode.UseAnotherServer, serverReference: reason },
      ];
      const world = new World({ store, authority: ({ clientId }) => (clientId === 'c' ? bad[0] : accept) });
      const properties = { sessionExpiryInterval: 100 };
      const other = world.connect({ clientId: 'other' });
      for (; bad.length > 0; bad.shift()) {
        world.connecting({ clientId: 'c', properties }).expectRefused(ReasonCode.ImplementationSpecificError);
        assert.equal(world.core.state.sessions.size, 1);
      }
      other.send(pingreq);
      other.expect(pingresp);
      world.end();
    });

    test('a verdict for an exchange that is over is ignored', () => {
      const world = new World({ store, authority: () => undefined });
      const client = world.connecting({ clientId: 'c' });
      const [question] = world.questions;
      assert.ok(question);
      world.answer(accept);
      client.expect(connack({ properties: announced }));
      const again = (verdict: Verdict, exchange: number) => {
        world.core.authenticated(question.connection, exchange, verdict, world.now);
        world.settle();
      };
      again(accept, question.exchange);
      again({ outcome: 'refuse', reasonCode: ReasonCode.NotAuthorized }, question.exchange);
      again({ outcome: 'continue', data: null }, question.exchange + 1);
      again({ outcome: 'refuse', reasonCode: ReasonCode.NotAuthorized }, question.exchange + 7);
      client.send(pingreq);
      client.expect(pingresp);
      world.end();
    });
  });
}
