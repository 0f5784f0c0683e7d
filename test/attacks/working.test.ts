/** Attacks of who is let in that make the broker work: filters that lead everywhere, groups and sessions by the thousand, wills, replays. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Counter } from '@pipit/broker';
import { type Packet, PacketType } from '@pipit/protocol';
import { type Arena, type Attacker, clients, publish, subscribe, underAttack } from './arena.ts';

const timeout = { timeout: 120_000 };

function many<Value>(count: number, make: (at: number) => Value): Value[] {
  return Array.from({ length: count }, (_, at) => make(at));
}

/** Waits until the broker has read so many packets of a type more than before, and what came before them. */
async function readBy(
  { broker, until }: Arena,
  type: PacketType,
  count: number,
  attack: () => Promise<unknown>,
): Promise<void> {
  const before = broker.metrics.packetsReceived(type);
  await attack();
  await until('all was read', () => broker.metrics.packetsReceived(type) >= before + count);
}

test(
  'filters with a wildcard or a name in each level: a topic that leads to all of their places and to nobody',
  timeout,
  async () => {
    await underAttack(
      async (arena) => {
        const attackers = await clients(arena, 4, 'explosive');
        const filters = many(2_048, (at) => many(11, (bit) => ((at >> bit) & 1 ? '+' : 'a')).join('/'));
        await readBy(arena, PacketType.Subscribe, 4 * 32, () =>
          Promise.all(
            attackers.map(async (each, who) => {
              for (let at = 0; at < 32; at++) {
                const some = filters.slice(at * 64, at * 64 + 64).map((filter) => `${filter}/end-${who}`);
                await each.send(subscribe(at + 1, some));
              }
            }),
          ),
        );
        assert.equal(arena.broker.inspection.totals().subscriptions, 1 + 4 * 2_048);
        const topics = many(2_000, (at) => publish({ topic: `${'a/'.repeat(11)}${at}` }));
        await readBy(arena, PacketType.Publish, 4 * topics.length, () =>
          Promise.all(attackers.map((each) => each.send(...topics))),
        );
        assert.ok(attackers.every(({ isClosed }) => !isClosed));
      },
      { limits: { subscriptionsPerSessionMax: 10_000 } },
    );
  },
);

test('names of 17,000 characters, all of one length, in topics and filters', timeout, async () => {
  await underAttack(async (arena) => {
    const attackers = await clients(arena, 5, 'long');
    const begin = 'x'.repeat(17_000);
    const nameOf = (who: number, at: number): string => begin + `${who}-${at}`.padStart(12);
    await readBy(arena, PacketType.Subscribe, 5 * 200, () =>
      Promise.all(
        attackers.map(async (each, who) => {
          for (let at = 0; at < 200; at++) await each.send(subscribe(at + 1, [nameOf(who, at)]));
        }),
      ),
    );
    await readBy(arena, PacketType.Publish, 5 * 100, () =>
      Promise.all(
        attackers.map(async (each, who) => {
          for (let at = 0; at < 100; at++)
            await each.send(
              publish({ topic: nameOf(who, at + 1_000), retain: at % 2 === 0, payload: new Uint8Array(1) }),
            );
        }),
      ),
    );
    assert.ok(attackers.every(({ isClosed }) => !isClosed));
  });
});

test(
  'SUBSCRIBEs of a thousand filters, and sessions with thousands of subscriptions that all end at once',
  timeout,
  async () => {
    await underAttack(
      async (arena) => {
        for (let round = 0; round < 3; round++) {
          const attackers = await clients(arena, 20, `hoarder-${round}`);
          await readBy(arena, PacketType.Subscribe, 20 * 5, () =>
            Promise.all(
              attackers.map(async (each, who) => {
                for (let packetId = 1; packetId <= 5; packetId++) {
                  await each.send(
                    subscribe(
                      packetId,
                      many(1_000, (at) => `f/${who}/${packetId}/${at}/+/#`),
                    ),
                  );
                }
              }),
            ),
          );
          await arena.until('all are subscribed', () => arena.broker.inspection.totals().subscriptions === 100_001);
          for (const { socket } of attackers) socket.destroy();
          await arena.until('all are gone', () => arena.broker.inspection.totals().subscriptions === 1);
        }
      },
      { limits: { subscriptionsPerSessionMax: 10_000 } },
    );
  },
);

test('one shared subscription of a thousand who never acknowledge, join, leave, and join again', timeout, async () => {
  await underAttack(
    async (arena) => {
      const members = await clients(arena, 1_000, 'member', { properties: { receiveMaximum: 1 } });
      const [writer] = (await clients(arena, 1, 'writer')) as [Attacker];
      for (let round = 1; round <= 3; round++) {
        await readBy(arena, PacketType.Subscribe, members.length, () =>
          Promise.all(members.map((each) => each.send(subscribe(round, ['$share/g/t'])))),
        );
        await readBy(arena, PacketType.Publish, 2_000, () =>
          writer.send(...many(2_000, () => publish({ topic: 't', payload: new Uint8Array(10) }))),
        );
        const leave: Packet = { type: PacketType.Unsubscribe, packetId: 100 + round, filters: ['$share/g/t'] };
        await readBy(arena, PacketType.Unsubscribe, members.length, () =>
          Promise.all(members.map((each) => each.send(leave))),
        );
        assert.equal(arena.broker.inspection.totals().sharedSubscriptions, 0);
      }
    },
    { limits: { acceptsPerSecondPerAddressMax: 5_000 } },
  );
});

test('replays of everything retained, asked for again and again by hundreds who take nothing', timeout, async () => {
  await underAttack(
    async (arena) => {
      for (let at = 0; at < 1_000; at++) await arena.broker.publish(`r/${at}`, 'x'.repeat(200), { retain: true });
      const attackers = await clients(arena, 200, 'replayed', { properties: { receiveMaximum: 1 } });
      for (const { socket } of attackers) socket.pause();
      await readBy(arena, PacketType.Subscribe, 200 * 30, () =>
        Promise.all(
          attackers.map(async (each) => {
            for (let at = 1; at <= 30; at++) await each.send(subscribe(at, [['#', '+/+', 'r/#'][at % 3] as string]));
          }),
        ),
      );
      for (let at = 0; at < 1_000; at++) await arena.broker.publish(`r/${at}`, '', { retain: true });
    },
    { limits: { retainedExpiryMax: 60, acceptsPerSecondPerAddressMax: 5_000 } },
  );
});

test('storms of wills: hundreds that all go at once, each owed to hundreds', timeout, async () => {
  await underAttack(
    async (arena) => {
      const readers = await clients(arena, 200, 'reader');
      await Promise.all(readers.map((each) => each.send(subscribe(1, ['will/#']))));
      await arena.until('all have subscribed', () => arena.broker.inspection.totals().subscriptions === 201);
      const will = { topic: 'will/t', payload: new Uint8Array(500), qos: 1 as const, retain: false };
      const dying = await clients(arena, 300, 'dying', { will });
      await arena.until('all are connected', () => dying.every(({ receivedBytes }) => receivedBytes > 0));
      const before = arena.broker.metrics.get(Counter.WillsPublished);
      for (const { socket } of dying) socket.destroy();
      await arena.until(
        'every will is published',
        () => arena.broker.metrics.get(Counter.WillsPublished) === before + 300,
      );
    },
    { limits: { acceptsPerSecondPerAddressMax: 5_000 } },
  );
});

test(
  'wars over client ids whose sessions last, with wills: one owner, and each loser’s will at most once',
  timeout,
  async () => {
    await underAttack(
      async (arena) => {
        let wills = 0;
        arena.broker.on('will-published', () => {
          wills++;
        });
        const will = { topic: 'war', payload: new Uint8Array(10), qos: 1 as const, retain: true };
        const rounds = 40;
        const width = 10;
        for (let round = 0; round < rounds; round++) {
          await Promise.all(
            many(width, (at) =>
              arena.client(
                {
                  clientId: `contested-${at % 3}`,
                  cleanStart: round % 3 === 0,
                  will,
                  properties: { sessionExpiryInterval: round % 2 },
                },
                `198.51.100.${at}`,
              ),
            ),
          );
          const { connections, sessions } = arena.broker.inspection.totals();
          assert.ok(
            connections <= 2 + rounds * width && sessions <= 2 + 3,
            `${connections} connections, ${sessions} sessions`,
          );
        }
        await arena.until('three are left', () => arena.broker.inspection.totals().connections === 5);
        assert.ok(wills <= rounds * width, `${wills} wills`);
      },
      { limits: { acceptsPerSecondPerAddressMax: 5_000 } },
    );
  },
);

test('every packet id of a client in use, towards the broker and from it, again and again', timeout, async () => {
  await underAttack(async (arena) => {
    const attackers = await clients(arena, 3, 'ids', { version: 4 });
    await Promise.all(attackers.map((each) => each.send(subscribe(1, ['ids/#']))));
    await readBy(arena, PacketType.Publish, 3 * 65_535, () =>
      Promise.all(
        attackers.map(async (each) => {
          for (let id = 1; id <= 65_535; id += 1_365) {
            await each.send(
              ...many(Math.min(1_365, 65_536 - id), (at) => publish({ topic: 'ids/t', qos: 2, packetId: id + at })),
            );
          }
        }),
      ),
    );
    for (let at = 0; at < attackers.length; at++) {
      const view = arena.broker.inspection.session(`ids-${at}`);
      assert.ok((view?.inFlight.messages ?? 0) <= arena.limits.sendMaximum);
      assert.ok((view?.queue.messages ?? 0) <= arena.limits.queueMessagesMax);
    }
  }, {});
});
