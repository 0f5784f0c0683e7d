/** Re-authentication (4.12.1): AUTH beside traffic, and AUTH where it does not belong. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { PacketType, ReasonCode } from '@pipit/protocol';
import { Permissions, type Verdict } from '../../src/core/index.ts';
import { announced, auth, connack, pingreq, pingresp, puback, publish, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, text, World } from './world.ts';

const accept = { outcome: 'accept', principal: null } as const;
const authenticationMethod = 'SCRAM';
const [more, again] = [ReasonCode.ContinueAuthentication, ReasonCode.ReAuthenticate];
const step = (data: string, code: number = more) =>
  auth(code, { authenticationMethod, authenticationData: text(data) });
const welcome = connack({ properties: { ...announced, authenticationMethod } });

function connectingWith(world: World, data = 'first'): Client {
  return world.connecting({ clientId: 'c', properties: { authenticationMethod, authenticationData: text(data) } });
}

/** A client that was let in with a method; what it sends afterwards is for `world.answer`. */
function letIn(store: (typeof storeKinds)[number]): { world: World; client: Client } {
  const world = new World({ store, authority: ({ kind }) => (kind === 'connect' ? accept : undefined) });
  const client = connectingWith(world);
  client.expect(welcome);
  return { world, client };
}

function pings(client: Client): void {
  client.send(pingreq);
  client.expect(pingresp);
}

for (const store of storeKinds) {
  describe(`re-authentication, store: ${store}`, () => {
    test('[MQTT-4.12.1-1] re-authentication runs beside traffic', () => {
      const { world, client } = letIn(store);
      client.send(subscribe(1, 't'), step('again', again), publish({ topic: 't', qos: 1, packetId: 1 }));
      const came = client.takeAll().map(({ type }) => type);
      assert.deepEqual(came.sort(), [PacketType.Publish, PacketType.Puback, PacketType.Suback].sort());
      assert.deepEqual(world.questions[0]?.request.kind, 're-authenticate');
      world.answer({ outcome: 'continue', data: text('challenge') });
      client.expect(step('challenge'));
      pings(client);
      client.send(step('response'));
      assert.deepEqual(world.questions[0]?.request.kind, 'continue');
      pings(client);
      world.answer({ ...accept, data: text('proof') });
      client.expect(step('proof', 0));
      // And once more.
      client.send(step('again', again));
      world.answer(accept);
      client.expect(auth(0, { authenticationMethod }));
      pings(client);
      world.end();
    });

    test('[MQTT-4.12.1-2] re-authentication that fails ends the connection with its code, and the will', () => {
      for (const [refused, told, serverReference] of [
        [ReasonCode.NotAuthorized, ReasonCode.NotAuthorized],
        [ReasonCode.UseAnotherServer, ReasonCode.UseAnotherServer, 'other:1883'],
        [ReasonCode.BadUserNameOrPassword, ReasonCode.NotAuthorized],
      ] as const) {
        const world = new World({ store, authority: ({ kind }) => (kind === 'connect' ? accept : undefined) });
        const watcher = world.connect({ clientId: 'watcher' });
        watcher.send(subscribe(1, 'gone'));
        watcher.expect(suback(1, 0));
        const will = { topic: 'gone', payload: text('w'), qos: 0, retain: false } as const;
        const client = world.connect({ clientId: 'c', will, properties: { authenticationMethod } });
        client.send(step('again', again));
        pings(client);
        const reference = serverReference === undefined ? {} : { serverReference };
        world.answer({ outcome: 'refuse', reasonCode: refused, ...reference });
        client.expectDisconnected(told, reference);
        watcher.expect(publish({ topic: 'gone', payload: 'w' }));
        world.end();
      }
    });

    test('re-authentication as somebody else is not possible', () => {
      const { world, client } = letIn(store);
      client.send(step('again', again));
      world.answer({ outcome: 'accept', principal: 'mallory' });
      client.expectDisconnected(ReasonCode.NotAuthorized);
      world.end();
    });

    test('a step that no packet can carry ends the connection', () => {
      const { world, client } = letIn(store);
      client.send(step('again', again));
      world.answer({ outcome: 'continue', data: new Uint8Array(65_536) });
      client.expectDisconnected(ReasonCode.ImplementationSpecificError);
      world.end();
    });

    test('AUTH out of order on an open connection is a Protocol Error', () => {
      const wrong: ((client: Client) => void)[] = [
        (client) => client.send(step('no exchange is open')),
        (client) => client.send(auth(again, { authenticationMethod: 'PLAIN' })),
        (client) => client.send(step('one', again), step('two', again)),
        (client) => client.send(step('one', again), step('before its challenge')),
      ];
      for (const send of wrong) {
        const { world, client } = letIn(store);
        send(client);
        client.expectDisconnected(ReasonCode.ProtocolError);
        for (let open = world.questions.length; open > 0; open--) world.answer(accept);
        client.expectNothing();
        world.end();
      }
    });

    test('[MQTT-4.12.0-7] AUTH without a method in CONNECT is a Protocol Error', () => {
      const world = new World({ store });
      const client = world.connect({ clientId: 'c' });
      client.send(step('again', again));
      client.expectDisconnected(ReasonCode.ProtocolError);
      world.end();
    });

    test('re-authentication renews the expiry and the permissions', () => {
      const allow = (filter: string) => new Permissions([{ effect: 'allow', action: 'all', filter }]);
      let verdict: Verdict = { ...accept, expiresInMs: 10_000, permissions: allow('#') };
      const world = new World({ store, authority: () => verdict });
      const client = connectingWith(world);
      client.expect(welcome);
      client.send(subscribe(1, 'a/#', 'b/#'));
      client.expect(suback(1, 0, 0));
      client.send(publish({ topic: 'x', qos: 1, packetId: 1 }));
      client.expect(puback(1, ReasonCode.NoMatchingSubscribers));
      world.advance(9_000);
      verdict = { ...accept, expiresInMs: 20_000, permissions: allow('a/#') };
      client.send(step('again', again));
      client.expect(auth(0, { authenticationMethod }));
      world.publish('a/x');
      world.publish('b/x');
      client.expect(publish({ topic: 'a/x' }));
      client.send(publish({ topic: 'x', qos: 1, packetId: 2 }));
      client.expect(puback(2, ReasonCode.NotAuthorized));
      assert.deepEqual(
        world.takeEvents('subscription-revoked').map(({ filter }) => filter),
        ['b/#'],
      );
      world.advance(19_999);
      assert.equal(client.isClosed, false);
      world.advance(1);
      client.expectDisconnected(ReasonCode.MaximumConnectTime);
      world.end();
    });
  });
}
