/** Client ids: which are accepted, what an empty one gets. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import { announced, connack, disconnect, pingreq, pingresp, publish, suback, subscribe } from './packets.ts';
import { type Client, storeKinds, World } from './world.ts';

const letters = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ';

/** An empty id cannot be written by an encoder that keeps the rules: by hand. */
const emptyV3 = '100e 00064d5149736470 03 02 0000 0000';
const emptyV4Clean = '100c 00044d515454 04 02 0000 0000';
const emptyV4 = '100c 00044d515454 04 00 0000 0000';

for (const store of storeKinds) {
  describe(`client ids, store: ${store}`, () => {
    test('[MQTT-3.1.3-5] [MQTT3-3.1.3-5] letters and digits, one to 23 of them, and longer or richer ones too', () => {
      const world = new World({ store });
      const ids = [
        'a',
        letters.slice(0, 23),
        letters.slice(23, 46),
        letters.slice(39),
        letters,
        'ü/€ #+',
        'x'.repeat(1000),
      ];
      for (const version of [3, 4, 5] as const) {
        for (const clientId of ids) {
          const client = world.connect({ clientId: `${clientId}${version === 3 ? '' : version}`, version });
          assert.deepEqual(client.connack, connack(version === 5 ? { properties: announced } : {}));
          client.send(pingreq);
          client.expect(pingresp);
        }
      }
      world.end();
    });

    test('as long as the limit says, and no byte longer: 0x85, or 2 before 5.0', () => {
      const world = new World({ store, limits: { clientIdBytesMax: 30 } });
      for (const version of [3, 4, 5] as const) {
        world.connect({ clientId: `${version}${'ü'.repeat(14)}x`, version });
        const long = world.connecting({ clientId: `${version}${'ü'.repeat(15)}`, version });
        long.expectRefused(version === 5 ? ReasonCode.ClientIdentifierNotValid : 2);
      }
      assert.equal(world.core.state.sessions.size, 3);
    });

    test('3.1: an empty client id is refused with 2', () => {
      const world = new World({ store });
      for (const bytes of [emptyV3, emptyV3.replace('03 02', '03 00')]) {
        const client = world.open(3);
        client.sendRaw(bytes);
        client.expectRefused(2);
      }
      assert.equal(world.core.state.sessions.size, 0);
      world.end();
    });

    test('[MQTT3-3.1.3-8] 3.1.1: an empty client id without Clean Session is refused with 2', () => {
      const world = new World({ store });
      const client = world.open(4);
      client.sendRaw(emptyV4);
      client.expectRefused(2);
      world.end();
    });

    test('[MQTT3-3.1.3-6] 3.1.1: two clients with empty ids have a session each', () => {
      const world = new World({ store });
      const clients = [world.open(4), world.open(4)];
      for (const client of clients) {
        client.sendRaw(emptyV4Clean);
        client.expect(connack());
        client.send(subscribe(1, 't'));
        client.expect(suback(1, 0));
      }
      (clients[0] as Client).send(publish({ topic: 't' }));
      for (const client of clients) client.expect(publish({ topic: 't' }));
      assert.equal(world.core.state.sessions.size, 2);
      world.end();
    });

    test('[MQTT-3.1.3-6] [MQTT-3.1.3-7] [MQTT-3.2.2-16] 5.0: an assigned id is told, differs each time, and resumes', () => {
      const world = new World({ store });
      const options = { clientId: '', cleanStart: false, properties: { sessionExpiryInterval: 100 } };
      const first = world.connect(options);
      const second = world.connect(options);
      const [a, b] = [assigned(first), assigned(second)];
      assert.notEqual(a, b);
      assert.ok(a.length >= 32, 'an assigned id must not be guessable');
      assert.deepEqual(first.connack, connack({ properties: { ...announced, assignedClientIdentifier: a } }));
      first.send(subscribe(1, 't'));
      first.expect(suback(1, 0));
      first.send(disconnect());
      const again = world.connect({ ...options, clientId: a });
      assert.deepEqual(again.connack, connack({ sessionPresent: true, properties: announced }));
      second.send(publish({ topic: 't' }));
      again.expect(publish({ topic: 't' }));
      world.end();
    });

    test('an authority may choose the assigned id, but not replace one the client has', () => {
      const world = new World({
        store,
        authority: () => ({ outcome: 'accept', principal: null, assignedClientId: 'chosen' }),
      });
      assert.equal(assigned(world.connect({ clientId: '' })), 'chosen');
      const named = world.connect({ clientId: 'named' });
      assert.deepEqual(named.connack, connack({ properties: announced }));
      assert.deepEqual([...world.core.state.sessions.keys()], ['chosen', 'named']);
      world.end();
    });

    test('[MQTT-3.1.3-2] [MQTT3-3.1.3-2] ids that differ in anything are different sessions', () => {
      const world = new World({ store });
      for (const clientId of ['a', 'A', 'a ', '\u{feff}a', 'á', 'a\u0301']) {
        const client = world.connect({ clientId, cleanStart: false, version: 4 });
        assert.deepEqual(client.connack, connack());
      }
      assert.equal(world.core.state.sessions.size, 6);
      world.end();
    });

    test('[MQTT-3.1.3-8] [MQTT3-3.1.3-9] an id that is refused is told so', () => {
      const world = new World({ store, strictText: true });
      world.connecting({ clientId: 'a\u0007', version: 5 }).expectRefused(ReasonCode.ClientIdentifierNotValid);
      world.connecting({ clientId: 'a\u0007', version: 4 }).expectRefused(2);
      world.connecting({ clientId: 'a\u0007', version: 3 }).expectRefused(2);
      assert.equal(world.core.state.sessions.size, 0);
      world.end();
    });
  });
}

function assigned(client: Client): string {
  const { connack: packet } = client;
  return packet !== null && 'properties' in packet
    ? ((packet.properties as { assignedClientIdentifier?: string }).assignedClientIdentifier ?? '')
    : '';
}
