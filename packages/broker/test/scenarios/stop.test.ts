/** A broker that stops: everybody is told, and who waits for a commit hears first what it acknowledges. */

import { describe, it } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import { disconnect, puback, publish, suback, subscribe } from './packets.ts';
import { World } from './world.ts';

function stoppingWorld(): { world: World; publisher: ReturnType<World['connect']> } {
  const world = new World({ store: 'late' });
  const away = world.connect({ clientId: 'away', properties: { sessionExpiryInterval: 100 } });
  away.send(subscribe(1, { filter: 'a', qos: 1 }));
  away.expect(suback(1, 1));
  away.send(disconnect());
  away.expectClosed();
  const publisher = world.connect({ clientId: 'publisher' });
  if (world.store !== null) world.store.isStalled = true;
  publisher.send(publish({ topic: 'a', qos: 1, packetId: 1 }));
  publisher.expectNothing();
  world.core.stop(world.now);
  world.settle();
  return { world, publisher };
}

describe('stop', () => {
  it('waits for the commit under way: PUBACK, then 0x8B', () => {
    const { world, publisher } = stoppingWorld();
    publisher.expectNothing();
    // What comes now is not handled any more.
    publisher.send(publish({ topic: 'a', qos: 1, packetId: 2 }));
    publisher.expectNothing();
    if (world.store !== null) world.store.isStalled = false;
    publisher.expect(
      puback(1),
      disconnect(ReasonCode.ServerShuttingDown, { reasonString: 'the server is shutting down' }),
    );
    publisher.expectClosed();
    world.end();
  });

  it('does not wait for a disk that never answers', () => {
    const { world, publisher } = stoppingWorld();
    world.advance(world.core.state.limits.heldMsMax);
    publisher.expectDisconnected(ReasonCode.UnspecifiedError);
    world.end();
  });
});
