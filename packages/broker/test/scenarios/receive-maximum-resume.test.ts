/** Receive Maximum after a resume: a PUBCOMP for a PUBREL sent again frees no slot, because its PUBLISH took none. */

import { describe, test } from 'node:test';
import { pubcomp, publish, pubrec, pubrel, suback, subscribe } from './packets.ts';
import { storeKinds, World } from './world.ts';

const message = (payload: string, packetId: number) => publish({ topic: 't', qos: 2, packetId, payload });

for (const store of storeKinds) {
  describe(`Receive Maximum after a resume, store: ${store}`, () => {
    test('[MQTT-3.3.4-9] the PUBCOMP of a PUBREL sent again does not let a second message out', () => {
      const world = new World({ store });
      const properties = { receiveMaximum: 1, sessionExpiryInterval: 100 };
      const first = world.connect({ clientId: 'subscriber', properties });
      first.send(subscribe(1, { filter: 't', qos: 2 }));
      first.expect(suback(1, 2));
      const publisher = world.connect({ clientId: 'publisher' });
      for (const i of [1, 2, 3]) publisher.publishWhole(message(`${i}`, i));
      first.expect(message('1', 1));
      first.send(pubrec(1));
      first.expect(pubrel(1));
      first.drop();
      const second = world.connect({ clientId: 'subscriber', cleanStart: false, properties });
      second.expect(pubrel(1), message('2', 2));
      second.send(pubcomp(1));
      second.expectNothing();
      second.send(pubrec(2));
      second.expect(pubrel(2));
      second.send(pubcomp(2));
      second.expect(message('3', 3));
      second.send(pubrec(3));
      second.expect(pubrel(3));
      second.send(pubcomp(3));
      second.expectNothing();
      world.end();
    });
  });
}
