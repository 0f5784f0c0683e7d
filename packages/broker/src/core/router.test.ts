import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterMatches, type QoS } from '@pipit/protocol';
import fc from 'fast-check';
import { Permissions } from './permissions.ts';
import { QueueTotal } from './queue.ts';
import { filterBytes, Router } from './router.ts';
import { Session } from './session.ts';
import { type Topic, TopicTable } from './topic-table.ts';

const level = fc.constantFrom('a', 'b', 'c');
const topicName = fc.array(level, { minLength: 1, maxLength: 3 }).map((levels) => levels.join('/'));
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 3 }), fc.boolean())
  .map(([levels, open]) => (open ? [...levels, '#'] : levels).join('/') || '#');
const options = fc.record({
  qos: fc.constantFrom<QoS>(0, 1, 2),
  noLocal: fc.boolean(),
  retainAsPublished: fc.boolean(),
  identifier: fc.nat(3),
});
const share = fc.option(fc.constantFrom('g', 'h'), { nil: undefined });
const who = fc.nat(3);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('subscribe' as const), who, filter, share, options }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('unsubscribe' as const), who, filter, share }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), who }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('clear' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('plan' as const), topic: topicName }) },
);

interface Held {
  who: number;
  filter: string;
  share: string | undefined;
  options: { qos: QoS; noLocal: boolean; retainAsPublished: boolean; identifier: number };
}

/** What one session gets of a topic by these subscriptions, merged. */
function merged(held: readonly Held[]): unknown {
  if (held.length === 0) return null;
  return {
    qos: Math.max(...held.map((each) => each.options.qos)),
    retainAsPublished: held.some((each) => each.options.retainAsPublished),
    identifiers: held
      .map((each) => each.options.identifier)
      .filter((identifier) => identifier > 0)
      .sort(),
  };
}

function shown(
  recipient: { qos: QoS; retainAsPublished: boolean; identifiers: readonly number[] | null } | null,
): unknown {
  if (recipient === null) return null;
  const { qos, retainAsPublished, identifiers } = recipient;
  return { qos, retainAsPublished, identifiers: [...(identifiers ?? [])].sort() };
}

test('plans are what a plain list of subscriptions says, after any change [MQTT-3.3.4-2] [MQTT-3.3.4-4]', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.nat(20), (steps, plannedMax) => {
      const router = new Router(plannedMax);
      const topics = new TopicTable(8, 128, 1, () => router.forgetPlans());
      const sessions = [0, 1, 2, 3].map((i) => new Session(`s${i}`, `s${i}`, null, i, new QueueTotal()));
      const model = new Map<string, Held>();
      /** Sessions that are gone and not out of the tree yet. */
      const leaving: number[] = [];
      const key = (of: number, name: string | undefined, text: string) => `${of} ${name ?? ''} ${text}`;
      for (const each of steps) {
        if (each.kind === 'subscribe') {
          const session = sessions[each.who] as Session;
          const at = key(each.who, each.share, each.filter);
          assert.equal(router.subscribe(session, each.filter, each.share, each.options), !model.has(at));
          model.set(at, each);
          const found = router.find(session, each.filter, each.share);
          assert.equal(found?.qos, each.options.qos);
        } else if (each.kind === 'unsubscribe') {
          const at = key(each.who, each.share, each.filter);
          assert.equal(router.unsubscribe(sessions[each.who] as Session, each.filter, each.share), model.delete(at));
        } else if (each.kind === 'forget') {
          const number = router.forget(sessions[each.who] as Session);
          if (number !== null) leaving.push(number);
          for (const [at, held] of model) if (held.who === each.who) model.delete(at);
        } else if (each.kind === 'clear') {
          const [number] = leaving;
          if (number !== undefined && !router.clear(number)) leaving.shift();
        } else {
          const plan = router.plan(topics.internName(each.topic) as Topic);
          const matching = [...model.values()].filter((held) => filterMatches(held.filter, each.topic));
          for (const [i, session] of sessions.entries()) {
            const own = matching.filter((held) => held.who === i && held.share === undefined);
            const recipient = plan.recipients.find((candidate) => candidate.session === session) ?? null;
            assert.deepEqual(shown(recipient), merged(own));
            if (recipient === null) continue;
            assert.equal(
              recipient.hasNoLocal,
              own.some((held) => held.options.noLocal),
            );
            assert.deepEqual(shown(recipient.own), merged(own.filter((held) => !held.options.noLocal)));
          }
          const groups = new Set(
            matching.filter((held) => held.share !== undefined).map((held) => `$share/${held.share}/${held.filter}`),
          );
          assert.deepEqual((plan.groups ?? []).map((group) => group.key).sort(), [...groups].sort());
          assert.equal(router.plan(topics.internName(each.topic) as Topic).version, router.version);
        }
        assert.equal(router.count, model.size);
        assert.equal(router.sharedCount, [...model.values()].filter((held) => held.share !== undefined).length);
        for (const [i, session] of sessions.entries()) {
          const mine = [...model.values()].filter((held) => held.who === i);
          assert.equal(session.subscriptionCount, mine.length);
          assert.equal([...router.subscriptionsOf(session)].length, mine.length);
          const bytes = mine.reduce((sum, held) => sum + filterBytes(held.filter, held.share), 0);
          assert.equal(session.subscriptionBytes, bytes);
        }
      }
      for (const session of sessions) leaving.push(router.forget(session) ?? -1);
      for (const number of leaving) while (number >= 0 && router.clear(number));
      assert.equal(router['tree'].count + router['tree']['nodes'].used + router['tree']['levels'].count, 0 + 1 + 2);
      assert.ok(router['owners'].every((owner: unknown) => owner === null));
    }),
    { numRuns: 300 },
  );
});

test('the right to receive is applied when the plan is made, and asked again at another version', () => {
  const router = new Router(100);
  const topics = new TopicTable(100, 128, 1, () => router.forgetPlans());
  const topic = topics.internName('a') as Topic;
  const session = new Session('s', 's', null, 1, new QueueTotal());
  session.permissions = new Permissions([]);
  router.subscribe(session, 'a', undefined, { qos: 0, noLocal: false, retainAsPublished: false, identifier: 0 });
  assert.equal(router.plan(topic).recipients.length, 0);
  session.permissions.replace([{ effect: 'allow', action: 'all', filter: 'a' }]);
  assert.equal(router.plan(topic).recipients.length, 0, 'the plan holds until the version rises');
  router.version++;
  assert.equal(router.plan(topic).recipients.length, 1);
});
