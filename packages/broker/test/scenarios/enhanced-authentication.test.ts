/** Enhanced authentication (4.12): steps before CONNACK, and again beside traffic. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import type { AuthenticationRequest, Verdict } from '../../src/core/index.ts';
import { announced, auth, connack, disconnect, pingreq, pingresp, publish } from './packets.ts';
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

function pings(client: Client): void {
  client.send(pingreq);
  client.expect(pingresp);
}

for (const store of storeKinds) {
  describe(`enhanced authentication, store: ${store}`, () => {
    test('[MQTT-4.12.0-2] [MQTT-4.12.0-5] challenge and response, to CONNACK with the last data', () => {
      const asked: [string, string | null, string, unknown][] = [];
      const answers: Verdict[] = [
        { outcome: 'continue', data: text('challenge 1'), reason: 'go on', memory: 'nonce' },
        { outcome: 'continue', data: null },
        { ...accept, data: text('proof') },
      ];
      const authority = ({ kind, method, data, memory }: AuthenticationRequest) => {
        asked.push([kind, method, String.fromCharCode(...(data ?? [])), memory]);
        return answers.shift();
      };
      const world = new World({ store, authority });
      const client = connectingWith(world);
      const challenge = { authenticationMethod, authenticationData: text('challenge 1'), reasonString: 'go on' };
      client.expect(auth(more, challenge));
      client.send(step('response 1'));
      client.expect(auth(more, { authenticationMethod }));
      client.send(step('response 2'));
      const properties = { ...announced, authenticationMethod, authenticationData: text('proof') };
      client.expect(connack({ properties }));
      assert.deepEqual(asked, [
        ['connect', 'SCRAM', 'first', null],
        ['continue', 'SCRAM', 'response 1', 'nonce'],
        ['continue', 'SCRAM', 'response 2', null],
      ]);
      pings(client);
      world.end();
    });

    test('[MQTT-4.12.0-4] refused at any step: CONNACK and the end', () => {
      const answers: Verdict[] = [
        { outcome: 'continue', data: null },
        { outcome: 'refuse', reasonCode: ReasonCode.NotAuthorized },
      ];
      const world = new World({ store, authority: () => answers.shift() });
      const client = connectingWith(world);
      client.expect(auth(more, { authenticationMethod }));
      client.send(step('wrong'), publish({ topic: 't', retain: true, payload: 'x' }));
      client.expectRefused(ReasonCode.NotAuthorized);
      assert.equal(world.core.state.retained.count, 0);
      world.end();
    });

    test('[MQTT-4.12.0-1] a method that is not known: 0x8C', () => {
      const world = new World({
        store,
        authority: () => ({ outcome: 'refuse', reasonCode: ReasonCode.BadAuthenticationMethod }),
      });
      connectingWith(world).expectRefused(ReasonCode.BadAuthenticationMethod);
      world.end();
    });

    test('[MQTT-3.1.2-30] before CONNACK only AUTH and DISCONNECT: anything else ends it with 0x82, even if malformed', () => {
      for (const bytes of [
        'c000',
        '3003000174',
        '82080001000001 2b2b 00',
        '300600017403230000',
        '10020000',
        '4002 0001',
      ]) {
        const world = new World({ store, authority: () => ({ outcome: 'continue', data: null }) });
        const client = connectingWith(world);
        client.expect(auth(more, { authenticationMethod }));
        client.sendRaw(bytes);
        client.expectRefused(ReasonCode.ProtocolError);
        assert.equal(world.core.state.sessions.size, 0);
        world.end();
      }
    });

    test('[MQTT-4.12.0-5] AUTH that breaks its rules before CONNACK', () => {
      const cases: [ReturnType<typeof auth> | string, number][] = [
        [auth(more, { authenticationMethod: 'PLAIN' }), ReasonCode.ProtocolError],
        [step('x', again), ReasonCode.ProtocolError],
        ['f000', ReasonCode.ProtocolError],
        ['f009 00 07 150004 53435241'.replaceAll(' ', ''), ReasonCode.ProtocolError],
        ['f100', ReasonCode.MalformedPacket],
      ];
      for (const [packet, code] of cases) {
        const world = new World({ store, authority: () => ({ outcome: 'continue', data: null }) });
        const client = connectingWith(world);
        client.expect(auth(more, { authenticationMethod }));
        if (typeof packet === 'string') client.sendRaw(packet);
        else client.send(packet);
        client.expectRefused(code);
        world.end();
      }
    });

    test('a client may give up between the steps', () => {
      const world = new World({ store, authority: () => ({ outcome: 'continue', data: null }) });
      const client = connectingWith(world);
      client.expect(auth(more, { authenticationMethod }));
      client.send(disconnect());
      client.expectRefused(null);
      assert.equal(world.core.state.sessions.size, 0);
      world.end();
    });

    test('a step that comes before its challenge waits for it', () => {
      const world = new World({ store, authority: () => undefined });
      const client = connectingWith(world);
      client.send(step('early'));
      client.expectNothing();
      assert.equal(world.questions.length, 1);
      world.answer({ outcome: 'continue', data: null });
      client.expect(auth(more, { authenticationMethod }));
      assert.equal(world.questions.length, 1);
      world.answer(accept);
      client.expect(welcome);
      world.end();
    });

    test('[MQTT-4.12.0-6] no method in CONNECT: no AUTH from the broker, whatever the authority says', () => {
      const world = new World({ store, authority: () => ({ outcome: 'continue', data: text('?') }) });
      world.connecting({ clientId: 'c' }).expectRefused(ReasonCode.BadAuthenticationMethod);
      world.connecting({ clientId: 'c', version: 4 }).expectRefused(5);
      const other = new World({ store, authority: () => ({ ...accept, data: text('?') }) });
      const client = other.connect({ clientId: 'c' });
      assert.deepEqual(client.connack, connack({ properties: announced }));
      other.end();
      world.end();
    });

    test('[MQTT-3.15.2-2] a reason is left out where it does not fit or is not wanted; data that does not fit ends it', () => {
      const properties = { authenticationMethod };
      const reason = 'r'.repeat(100);
      const world = new World({ store, authority: () => ({ outcome: 'continue', data: text('d'), reason }) });
      const small = world.connecting({ clientId: 'a', properties: { ...properties, maximumPacketSize: 50 } });
      small.expect(step('d'));
      const quiet = world.connecting({
        clientId: 'b',
        properties: { ...properties, requestProblemInformation: false },
      });
      quiet.expect(step('d'));
      const tiny = world.connecting({ clientId: 'c', properties: { ...properties, maximumPacketSize: 15 } });
      tiny.expectRefused(ReasonCode.PacketTooLarge);
      world.end();
    });
  });
}
