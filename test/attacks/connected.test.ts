/** Attacks of who is let in: packets that cost much, flows that never end, floods of subscriptions, messages and takeovers. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PacketType } from '@pipit/protocol';
import { type Arena, type Attacker, clients, publish, subscribe, underAttack } from './arena.ts';

const timeout = { timeout: 60_000 };
const levels = 'a/'.repeat(32_000);

/** What the broker did about each of them. */
async function allClosed(arena: Arena, attackers: readonly Attacker[]): Promise<void> {
  await arena.until('all are disconnected', () => attackers.every(({ isClosed }) => isClosed));
}

function reached({ broker }: Arena, limit: Parameters<Arena['broker']['metrics']['limitsReached']['get']>[0]): number {
  return broker.metrics.limitsReached.get(limit) ?? 0;
}

test('bombs of User Properties and topic aliases end the connection they come by', timeout, async () => {
  await underAttack(async (arena) => {
    const many = Array.from({ length: 60_000 }, (_, at): [string, string] => [`k${at}`, 'v']);
    const long: [string, string][] = Array.from({ length: 100 }, () => ['k', 'v'.repeat(60_000)]);
    const bombs: readonly object[] = [{ userProperties: many }, { userProperties: long }, { topicAlias: 65_535 }];
    for (const properties of bombs) {
      const attackers = await clients(arena, 10, 'bomber');
      await Promise.all(attackers.map((each) => each.send(publish({ topic: 't', properties }))));
      await allClosed(arena, attackers);
    }
    assert.deepEqual(
      [
        reached(arena, 'userPropertiesMax'),
        reached(arena, 'userPropertyBytesMax'),
        reached(arena, 'topicAliasMaximum'),
      ],
      [10, 10, 10],
    );
    // Aliases within what is announced, each for a topic of its own, again and again.
    const attackers = await clients(arena, 10, 'aliases');
    for (let round = 0; round < 300; round++) {
      const topicAlias = (round % 64) + 1;
      const topic = `alias/${round}/${'x'.repeat(4_000)}`;
      await Promise.all(attackers.map((each) => each.send(publish({ topic, properties: { topicAlias } }))));
    }
    assert.ok(attackers.every(({ isClosed }) => !isClosed));
  });
});

test('topics and filters of 32,000 levels are refused wherever they stand, without a walk', timeout, async () => {
  await underAttack(async (arena) => {
    const publishers = await clients(arena, 20, 'deep');
    await Promise.all(publishers.map((each) => each.send(publish({ topic: `${levels}x` }))));
    await allClosed(arena, publishers);
    const subscribers = await clients(arena, 20, 'deep');
    await Promise.all(subscribers.map((each) => each.send(subscribe(1, [`${levels}#`, `$share/g/${levels}+`]))));
    await arena.until('each filter is refused', () => reached(arena, 'topicLevelsMax') === 60);
    assert.equal(arena.broker.inspection.totals().subscriptions, 1);
    const wills = await clients(arena, 20, 'will', {
      will: { topic: `${levels}x`, payload: new Uint8Array(0), qos: 0, retain: false },
    });
    await allClosed(arena, wills);
  });
});

test(
  'QoS 2 that is never released: 5.0 is closed at Receive Maximum, 3.x ids are bits and end with the session',
  timeout,
  async () => {
    await underAttack(async (arena) => {
      const modern = await clients(arena, 5, 'modern');
      const old = await clients(arena, 5, 'old', { version: 4 });
      for (let packetId = 1; packetId <= 65_535; packetId += 1_500) {
        const packets = Array.from({ length: Math.min(1_500, 65_536 - packetId) }, (_, at) =>
          publish({ topic: 'q2', qos: 2, packetId: packetId + at }),
        );
        await Promise.all([...modern, ...old].map((each) => each.send(...packets)));
      }
      await allClosed(arena, modern);
      assert.equal(reached(arena, 'receiveMaximum'), 5);
      const { metrics } = arena.broker;
      await arena.until('all was read', () => metrics.packetsReceived(PacketType.Publish) > 5 * 65_535);
      const views = old.map((_, at) => arena.broker.inspection.session(`old-${at}`));
      assert.ok(views.every((view) => view !== null));
    });
  },
);

test('a subscriber that never acknowledges has its window and its queue, and no packet id more', timeout, async () => {
  await underAttack(async (arena) => {
    const properties = { sessionExpiryInterval: 1 };
    const stuck = await clients(arena, 5, 'stuck', { cleanStart: false, properties });
    await Promise.all(stuck.map((each) => each.send(subscribe(1, ['flood/#']))));
    await arena.until('all have subscribed', () => arena.broker.inspection.totals().subscriptions === 6);
    for (let at = 0; at < 4_000; at++) await arena.broker.publish('flood/t', 'x'.repeat(100), { qos: 1 });
    for (let at = 0; at < stuck.length; at++) {
      const view = arena.broker.inspection.session(`stuck-${at}`);
      const waiting = (view?.queue.messages ?? 0) + (view?.inFlight.messages ?? 0);
      assert.ok(waiting <= arena.limits.queueMessagesMax, `${waiting} messages wait`);
    }
    assert.ok((arena.broker.metrics.drops.get('queue-full') ?? 0) > 0);
  });
});

test('floods of subscriptions end at the limit of a session, and are gone with it', timeout, async () => {
  await underAttack(async (arena) => {
    for (let round = 0; round < 5; round++) {
      const attackers = await clients(arena, 10, `subscriber-${round}`);
      for (let packetId = 1; packetId <= 10; packetId++) {
        const filters = Array.from({ length: 500 }, (_, at) => `f/${packetId}/${at}/+/#`);
        await Promise.all(attackers.map((each) => each.send(subscribe(packetId, filters))));
      }
      await arena.until(
        'all were read',
        () => reached(arena, 'subscriptionsPerSessionMax') === (round + 1) * 10 * 4_000,
      );
      assert.equal(arena.broker.inspection.totals().subscriptions, 10_001);
      for (const { socket } of attackers) socket.destroy();
      await arena.until('all are gone', () => arena.broker.inspection.totals().subscriptions === 1);
    }
    const attackers = await clients(arena, 10, 'one-packet');
    const filters = Array.from({ length: 1_001 }, (_, at) => `${at}`);
    await Promise.all(attackers.map((each) => each.send(subscribe(1, filters))));
    await allClosed(arena, attackers);
  });
});

test(
  'floods of retained messages end at the limits of all and of one user, and what is there stays',
  timeout,
  async () => {
    const authority = {
      authenticate: ({ clientId }: { clientId: string }) =>
        ({ outcome: 'accept', principal: clientId.split('-')[0] ?? null }) as const,
    };
    const limits = { retainedMessagesPerPrincipalMax: 500, retainedExpiryMax: 30 };
    await underAttack(
      async (arena) => {
        await arena.broker.publish('precious', 'kept', { retain: true });
        const attackers = await clients(arena, 10, 'hoarder');
        for (let at = 0; at < 300; at++) {
          await Promise.all(
            attackers.map((each, who) =>
              each.send(publish({ topic: `r/${who}/${at}`, retain: true, payload: new Uint8Array(64) })),
            ),
          );
        }
        await arena.until('all were read', () => reached(arena, 'retainedMessagesPerPrincipalMax') === 2_500);
        assert.equal(arena.broker.inspection.totals().retainedMessages, 501);
        // Somebody else still may.
        const [other] = (await clients(arena, 1, 'other')) as [Attacker];
        await other.send(publish({ topic: 'other', retain: true, payload: new Uint8Array(1) }));
        await arena.until('it is retained', () => arena.broker.inspection.totals().retainedMessages === 502);
        for (const topic of [
          'precious',
          'other',
          ...Array.from({ length: 3_000 }, (_, at) => `r/${at % 10}/${Math.floor(at / 10)}`),
        ]) {
          await arena.broker.publish(topic, '', { retain: true });
        }
      },
      { authority, limits },
    );
  },
);

test('storms of wildcards: what matches everything costs those who asked for it', timeout, async () => {
  await underAttack(async (arena) => {
    const filters = ['#', '+/#', '+/+', '+/+/#', '$share/g/#'];
    const attackers = await clients(arena, 60, 'storm', { properties: { receiveMaximum: 10 } });
    await Promise.all(attackers.map((each) => each.send(subscribe(1, filters))));
    await arena.until('all have subscribed', () => arena.broker.inspection.totals().subscriptions === 301);
    for (let at = 0; at < 100; at++) {
      await Promise.all(
        attackers
          .slice(0, 10)
          .map((each) => each.send(publish({ topic: `storm/${at}`, payload: new Uint8Array(500) }))),
      );
    }
    await arena.until('much was received', () => attackers.every(({ receivedBytes }) => receivedBytes > 50_000));
  });
});

test('wars over a client id have one owner at any time, and end when they end', timeout, async () => {
  await underAttack(async (arena) => {
    for (let round = 0; round < 60; round++) {
      await Promise.all(
        Array.from({ length: 10 }, (_, at) =>
          arena.client(
            { clientId: 'contested', cleanStart: round % 2 === 0, properties: { sessionExpiryInterval: 1 } },
            `198.51.100.${at}`,
          ),
        ),
      );
      const owners = [...arena.broker.inspection.sessions(({ clientId }) => clientId === 'contested')].filter(
        (each) => each !== null,
      );
      assert.ok(owners.length <= 1);
    }
    await arena.until('one is left', () => arena.broker.inspection.totals().connections === 3);
  });
});

test('slow readers by the hundred take what they may, and the rest is dropped for them alone', timeout, async () => {
  await underAttack(async (arena) => {
    const attackers = await clients(arena, 150, 'slow');
    await Promise.all(attackers.map((each) => each.send(subscribe(1, ['big/#']))));
    await arena.until('all have subscribed', () => arena.broker.inspection.totals().subscriptions === 151);
    for (const { socket } of attackers) socket.pause();
    for (let at = 0; at < 150; at++) await arena.broker.publish('big/t', Buffer.alloc(40_000), { qos: 0 });
    assert.ok((arena.broker.metrics.drops.get('unsent-full') ?? 0) + reached(arena, 'unsentBytesTotalMax') > 0);
  });
});
