/** A bug of ours, or of code that came with a verdict, ends the connection it was met on and nothing else. */

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import type { TopicMapping } from '../../src/core/index.ts';
import { puback, publish, suback, subscribe } from './packets.ts';
import { World } from './world.ts';

const broken: TopicMapping = {
  topicIn: () => {
    throw new Error('a broken mapping');
  },
  topicOut: () => {
    throw new Error('a broken mapping');
  },
  filterIn: (filter) => filter,
};

function worldWithBrokenMapping(): World {
  return new World({
    toleratesErrors: true,
    authority: ({ clientId }) => ({
      outcome: 'accept',
      principal: null,
      ...(clientId === 'broken' ? { mapping: broken } : {}),
    }),
  });
}

describe('an internal error', () => {
  it('while a packet is handled: the peer is told 0x80, the event has the error, others go on', () => {
    const world = worldWithBrokenMapping();
    const victim = world.connect({ clientId: 'broken' });
    const honest = world.connect({ clientId: 'honest' });
    victim.send(publish({ topic: 'a', qos: 1, packetId: 1 }));
    victim.expectDisconnected(ReasonCode.UnspecifiedError);
    const [event] = world.takeEvents('internal-error');
    assert.equal(event?.clientId, 'broken');
    assert.match(event?.error ?? '', /a broken mapping/);
    honest.send(publish({ topic: 'a', qos: 1, packetId: 1 }));
    honest.expect(puback(1, ReasonCode.NoMatchingSubscribers));
    world.end();
  });

  it('while waiting work is done in a turn: the same, and the turn goes on', () => {
    const world = worldWithBrokenMapping();
    world.publish('a', 'kept', { retain: true });
    const victim = world.connect({ clientId: 'broken' });
    const honest = world.connect({ clientId: 'honest' });
    victim.send(subscribe(1, 'a'));
    assert.deepEqual(victim.take(), suback(1, 0));
    victim.expectDisconnected(ReasonCode.UnspecifiedError);
    assert.equal(world.takeEvents('internal-error').length, 1);
    honest.send(subscribe(1, 'a'));
    honest.expect(suback(1, 0), publish({ topic: 'a', payload: 'kept', retain: true }));
    world.end();
  });
});
