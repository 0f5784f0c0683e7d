/** What becomes of shared messages when the member that was given them goes: promise 7 of the design. */

import { describe, test } from 'node:test';
import { type QoS, ReasonCode } from '@pipit/protocol';
import { disconnect, puback, publish, pubrec, pubrel, suback, subscribe, unsuback, unsubscribe } from './packets.ts';
import { type Client, storeKinds, World } from './world.ts';

const lasting = { properties: { sessionExpiryInterval: 1000 } } as const;
const filter = '$share/g/t';

function join(client: Client, qos: QoS): Client {
  client.send(subscribe(1, { filter, qos }));
  client.expect(suback(1, qos));
  return client;
}

for (const store of storeKinds) {
  describe(`a shared member leaves, store: ${store}`, () => {
    const message = (payload: string, packetId: number, qos: QoS = 1) =>
      publish({ topic: 't', qos, packetId, payload });

    for (const [how, leave] of [
      ['is lost', (_: World, client: Client) => client.drop()],
      ['disconnects', (_: World, client: Client) => client.send(disconnect())],
      ['is taken over', (world: World) => void world.connect({ clientId: 'first', cleanStart: false, ...lasting })],
    ] as const) {
      test(`QoS 1 without PUBACK, and what was never sent, go to another who is online, when it ${how}`, () => {
        for (const sessionExpiryInterval of [0, 1000]) {
          const world = new World({ store });
          const properties = { sessionExpiryInterval, receiveMaximum: 2 };
          const first = join(world.connect({ clientId: 'first', properties }), 1);
          const publisher = world.connect({ clientId: 'publisher' });
          for (const i of [1, 2, 3]) publisher.publishWhole(message(`${i}`, i));
          first.expect(message('1', 1), message('2', 2));
          first.send(puback(1));
          first.expect(message('3', 3));
          publisher.publishWhole(message('4', 4));
          const second = join(world.connect({ clientId: 'second' }), 1);
          leave(world, first);
          if (how === 'is taken over') first.expectDisconnected(ReasonCode.SessionTakenOver);
          second.expect(message('2', 1), message('3', 2), message('4', 3));
          second.send(puback(1), puback(2), puback(3));
          // The one who left gets none of them.
          world.connect({ clientId: 'first', cleanStart: false, ...lasting }).expectNothing();
          if (how === 'is taken over') (world.clients.at(-2) as Client).takeAll();
          world.end();
        }
      });
    }

    test('[MQTT-4.8.2-5] a QoS 2 message once sent stays with its session; one never sent moves', () => {
      const world = new World({ store });
      const properties = { sessionExpiryInterval: 1000, receiveMaximum: 2 };
      let first = join(world.connect({ clientId: 'first', properties }), 2);
      const publisher = world.connect({ clientId: 'publisher' });
      for (const i of [1, 2, 3]) publisher.publishWhole(message(`${i}`, i, 2));
      first.expect(message('1', 1, 2), message('2', 2, 2));
      first.send(pubrec(1));
      first.expect(pubrel(1));
      const second = join(world.connect({ clientId: 'second' }), 2);
      first.drop();
      second.receiveWhole(message('3', 1, 2));
      first = world.connect({ clientId: 'first', cleanStart: false, properties });
      first.expect(pubrel(1), { ...message('2', 2, 2), dup: true });
      second.expectNothing();
      world.end();
    });

    test('[MQTT-4.8.2-5] a QoS 2 message dies with its session', () => {
      const world = new World({ store });
      const first = join(world.connect({ clientId: 'first' }), 2);
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(message('1', 1, 2));
      first.expect(message('1', 1, 2));
      const second = join(world.connect({ clientId: 'second' }), 2);
      first.drop();
      second.expectNothing();
      world.end();
    });

    test('[MQTT-4.8.2-6] a message refused with 0x80 or more is discarded', () => {
      const world = new World({ store });
      const first = join(world.connect({ clientId: 'first', ...lasting }), 2);
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(message('1', 1, 1));
      publisher.publishWhole(message('2', 2, 2));
      first.expect(message('1', 1, 1), message('2', 2, 2));
      const second = join(world.connect({ clientId: 'second' }), 2);
      first.send(puback(1, ReasonCode.UnspecifiedError), pubrec(2, ReasonCode.ImplementationSpecificError));
      first.drop();
      second.expectNothing();
      world.end();
    });

    test('when the session of the only member online ends, one that lasts keeps the message', () => {
      const world = new World({ store });
      join(world.connect({ clientId: 'away', ...lasting }), 1).drop();
      const online = join(world.connect({ clientId: 'online', properties: { receiveMaximum: 1 } }), 1);
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(message('sent', 1));
      publisher.publishWhole(message('unsent', 2));
      online.expect(message('sent', 1));
      online.drop();
      const resumed = world.connect({ clientId: 'away', cleanStart: false, ...lasting });
      resumed.expect(message('sent', 1), message('unsent', 2));
      world.end();
    });

    test('a session that lasts keeps its messages while nobody else is there, and passes them on when it ends', () => {
      const world = new World({ store });
      const short = { properties: { sessionExpiryInterval: 10, receiveMaximum: 1 } };
      let first = join(world.connect({ clientId: 'first', ...short }), 1);
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(message('1', 1));
      publisher.publishWhole(message('2', 2));
      first.expect(message('1', 1));
      first.drop();
      first = world.connect({ clientId: 'first', cleanStart: false, ...short });
      first.expect({ ...message('1', 1), dup: true });
      first.drop();
      const second = join(world.connect({ clientId: 'second' }), 1);
      second.expectNothing();
      world.advance(9_000);
      second.expectNothing();
      world.advance(1_000);
      second.expect(message('1', 1), message('2', 2));
      world.end();
    });

    test('Clean Start ends the session: its shared messages go to another', () => {
      const world = new World({ store });
      const first = join(world.connect({ clientId: 'first', ...lasting }), 1);
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(message('1', 1));
      first.expect(message('1', 1));
      first.drop();
      const second = join(world.connect({ clientId: 'second' }), 1);
      second.expectNothing();
      world.connect({ clientId: 'first', cleanStart: true }).expectNothing();
      second.expect(message('1', 1));
      world.end();
    });

    test('[MQTT-3.3.2-5] [MQTT-3.3.2-6] what has expired is not passed on, and what has not is counted down', () => {
      const world = new World({ store });
      const first = join(world.connect({ clientId: 'first', properties: { receiveMaximum: 1 } }), 1);
      const publisher = world.connect({ clientId: 'publisher' });
      const send = (payload: string, messageExpiryInterval: number) =>
        publisher.publishWhole({ ...message(payload, 1), properties: { messageExpiryInterval } });
      send('short and sent', 10);
      send('short', 10);
      send('long', 100);
      first.expect({ ...message('short and sent', 1), properties: { messageExpiryInterval: 10 } });
      world.advance(30_000);
      const second = world.connect({ clientId: 'second' });
      second.send(subscribe(1, { filter, qos: 0 }));
      second.expect(suback(1, 0));
      first.drop();
      second.expect(publish({ topic: 't', payload: 'long', properties: { messageExpiryInterval: 70 } }));
      world.end();
    });

    test('UNSUBSCRIBE: nothing new comes, what was given is finished', () => {
      const world = new World({ store });
      const first = join(world.connect({ clientId: 'first' }), 1);
      const second = join(world.connect({ clientId: 'second' }), 1);
      const publisher = world.connect({ clientId: 'publisher' });
      publisher.publishWhole(message('1', 1));
      first.expect(message('1', 1));
      first.send(unsubscribe(2, filter));
      first.expect(unsuback(2, 0));
      for (const i of [2, 3]) publisher.publishWhole(message(`${i}`, i));
      second.expect(message('2', 1), message('3', 2));
      first.send(puback(1));
      world.end();
    });
  });
}
