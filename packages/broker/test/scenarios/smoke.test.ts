import { test } from 'node:test';
import { puback, pubcomp, publish, pubrec, pubrel, suback, subscribe } from './packets.ts';
import { storeKinds, World } from './world.ts';

for (const store of storeKinds)
  test(`QoS flows ${store}`, () => {
    const world = new World({ store });
    const a = world.connect({ clientId: 'a' });
    const b = world.connect({ clientId: 'b', version: 4, cleanStart: false });
    b.send(subscribe(1, { filter: 'x/#', qos: 2 }));
    b.expect(suback(1, 2));
    a.send(publish({ topic: 'x/y', qos: 1, packetId: 7, payload: 'hi' }));
    a.expect(puback(7));
    b.expect(publish({ topic: 'x/y', qos: 1, packetId: 1, payload: 'hi' }));
    b.send(puback(1));
    a.send(publish({ topic: 'x/y', qos: 2, packetId: 8, payload: 'ho' }));
    a.expect(pubrec(8));
    a.send(pubrel(8));
    a.expect(pubcomp(8));
    b.expect(publish({ topic: 'x/y', qos: 2, packetId: 2, payload: 'ho' }));
    b.send(pubrec(2));
    b.expect(pubrel(2));
    b.send(pubcomp(2));
    world.end();
  });
