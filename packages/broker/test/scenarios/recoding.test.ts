/** A message that readers need in other forms than it came in: what encoding it costs does not add up. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { publish, suback, subscribe } from './packets.ts';
import { World } from './world.ts';

test('encoding for another version again and again takes no more memory than once', () => {
  const world = new World();
  const old = world.connect({ clientId: 'old', version: 4 });
  old.send(subscribe(1, { filter: 't', qos: 1 }));
  old.expect(suback(1, 1));
  const publisher = world.connect({ clientId: 'publisher' });
  const packet = publish({ topic: 't', payload: 'x'.repeat(1000), properties: { contentType: 'text/plain' } });
  const scratch = () => (Reflect.get(world.core.state.publication, 'scratch') as { bytes: Uint8Array }).bytes.length;
  publisher.send(packet);
  const once = scratch();
  for (let i = 0; i < 20; i++) publisher.send(packet, packet, packet, packet, packet);
  assert.equal(old.takeAll().length, 101);
  assert.equal(scratch(), once);
  world.end();
});
