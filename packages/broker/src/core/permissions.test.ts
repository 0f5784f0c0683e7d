import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterMatches } from '@pipit/protocol';
import fc from 'fast-check';
import { filterCovers, Permissions, type Rule } from './permissions.ts';

const level = fc.constantFrom('a', 'b', '', '$s');
const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/') || 'a');
const filter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant('+')), { maxLength: 3 }), fc.boolean())
  .map(([levels, open]) => (open ? [...levels, '#'] : levels).join('/') || '+');

test('a filter that covers another matches everything the other does', () => {
  fc.assert(
    fc.property(filter, filter, fc.array(topic, { minLength: 10, maxLength: 30 }), (wide, narrow, topics) => {
      if (!filterCovers(wide, narrow)) return;
      for (const name of topics) if (filterMatches(narrow, name)) assert.ok(filterMatches(wide, name), name);
    }),
    { numRuns: 3_000 },
  );
});

for (const [wide, narrow, covers] of [
  ['#', '#', true],
  ['#', '+/a', true],
  ['#', '$SYS/#', false],
  ['+/a', '$SYS/a', false],
  ['$SYS/#', '$SYS/#', true],
  ['$SYS/#', '#', false],
  ['a/#', 'a', true],
  ['a', 'a/#', false],
  ['a/#', 'a/#', true],
  ['a/#', '#', false],
  ['a/+', 'a/b', true],
  ['a/+', 'a/+', true],
  ['a/+', 'a/#', false],
  ['a/b', 'a/+', false],
  ['a/+', 'a/b/c', false],
  ['+', '', true],
  ['a/+', 'a', false],
  ['a', 'a', true],
] as const) {
  test(`'${wide}' ${covers ? 'covers' : 'does not cover'} '${narrow}'`, () => {
    assert.equal(filterCovers(wide, narrow), covers);
  });
}

test('the first rule that applies decides; none means no; a deny may name its code', () => {
  const permissions = new Permissions([
    { effect: 'deny', action: 'all', filter: 'a/x', reasonCode: 0x97 },
    { effect: 'allow', action: 'publish', filter: 'a/+' },
    { effect: 'deny', action: 'publish', filter: 'a/y' },
    { effect: 'allow', action: 'subscribe', filter: 'b/#' },
  ]);
  assert.equal(permissions.publish('a/x', 0, false), 0x97);
  assert.equal(permissions.publish('a/y', 0, false), 0);
  assert.equal(permissions.publish('b', 0, false), 0x87);
  assert.equal(permissions.receive('a/x'), 0x97);
  assert.equal(permissions.receive('b/c'), 0);
  assert.equal(permissions.receive('a/y'), 0x87);
  assert.equal(permissions.subscribe('b/+', 0), 0);
  assert.equal(permissions.subscribe('#', 0), 0x87);
  permissions.replace([]);
  assert.equal(permissions.receive('b/c'), 0x87);
});

test('a rule may be about some QoS, or about RETAIN', () => {
  const permissions = new Permissions([
    { effect: 'deny', action: 'publish', filter: '#', retain: true },
    { effect: 'allow', action: 'publish', filter: 'a', qos: [0, 1] },
    { effect: 'deny', action: 'subscribe', filter: 'b', qos: [2] },
    { effect: 'allow', action: 'subscribe', filter: 'b' },
    { effect: 'allow', action: 'subscribe', filter: 'c', qos: [0] },
  ]);
  assert.equal(permissions.publish('a', 1, false), 0);
  assert.equal(permissions.publish('a', 2, false), 0x87);
  assert.equal(permissions.publish('a', 1, true), 0x87);
  assert.equal(permissions.subscribe('b', 2), 0x87);
  assert.equal(permissions.subscribe('b', 1), 0);
  assert.equal(permissions.receive('b'), 0, 'what was granted at QoS 1 is received');
  assert.equal(permissions.receive('c'), 0);
});

test('a rule with a share name is about shared subscriptions to that group, `+` about all', () => {
  const permissions = new Permissions([
    { effect: 'allow', action: 'subscribe', filter: '$share/mine/#' },
    { effect: 'deny', action: 'subscribe', filter: '$share/+/#' },
    { effect: 'allow', action: 'all', filter: 'a/#' },
  ]);
  assert.equal(permissions.subscribe('a/b', 0, 'mine'), 0);
  assert.equal(permissions.subscribe('a/b', 0, 'yours'), 0x87);
  assert.equal(permissions.subscribe('a/b', 0), 0);
  assert.equal(permissions.publish('a/b', 0, false), 0);
  assert.equal(permissions.publish('b', 0, false), 0x87);
});

test('templates take the values of who asks; without the value a rule does not apply', () => {
  const rules = new Permissions([
    { effect: 'deny', action: 'all', filter: 'd/${clientId}/secret' },
    { effect: 'allow', action: 'all', filter: 'd/${clientId}/#' },
    { effect: 'allow', action: 'subscribe', filter: 'u/${username}/+' },
  ]);
  const as = (values: Record<string, string>) => rules.for({ name: '', groups: [], values });
  const one = as({ clientId: 'one', username: 'a$&' });
  const two = as({ clientId: 'two' });
  assert.deepEqual([...rules.names], ['clientId', 'username']);
  assert.equal(one.publish('d/one/x', 0, false), 0);
  assert.equal(one.publish('d/two/x', 0, false), 0x87);
  assert.equal(one.publish('d/one/secret', 0, false), 0x87);
  assert.equal(one.subscribe('u/a$&/x', 0), 0, 'a value stands as it is');
  assert.equal(two.publish('d/two/x', 0, false), 0);
  assert.equal(two.subscribe('u//x', 0), 0x87);
  assert.equal(rules.publish('d//x', 0, false), 0x87);
  two.replace([{ effect: 'allow', action: 'all', filter: '${clientId}' }]);
  assert.equal(one.publish('one', 0, false), 0, 'the rules are shared');
  assert.ok(one.sharesRulesWith(rules));
  for (const value of ['+', '#', 'a/b', '', 'a\0', '$SYS', '$'])
    assert.throws(() => as({ clientId: value }), TypeError);
});

test('a rule may be about users, and about members of groups, known here or told of', () => {
  const rules: Rule[] = [
    { effect: 'deny', action: 'all', filter: 'a', users: ['eve'] },
    { effect: 'allow', action: 'all', filter: 'a', groups: ['staff'], users: ['bob'] },
    { effect: 'allow', action: 'subscribe', filter: 'b', users: [''] },
  ];
  const permissions = new Permissions(rules, { staff: ['ada', 'eve'] });
  const as = (name: string, ...groups: string[]) => permissions.for({ name, groups, values: {} });
  const may = (who: Permissions) => who.publish('a', 0, false) === 0;
  assert.deepEqual([as('ada'), as('bob'), as('eve'), as('kim'), as('kim', 'staff'), as('')].map(may), [
    true,
    true,
    false,
    false,
    true,
    false,
  ]);
  assert.equal(as('').receive('b'), 0);
  assert.equal(as('ada').receive('b'), 0x87);
  const ada = as('ada');
  permissions.replace(rules, { staff: ['kim'] });
  assert.ok(!may(ada) && may(as('kim')), 'membership changes for all at once');
});

test('who may request a filter need not receive all of it', () => {
  const permissions = new Permissions([
    { effect: 'allow', action: 'request', filter: '#' },
    { effect: 'allow', action: 'subscribe', filter: 'a/+' },
  ]);
  assert.equal(permissions.subscribe('#', 2), 0);
  assert.equal(permissions.receive('a/b'), 0);
  assert.equal(permissions.receive('b'), 0x87);
  assert.equal(permissions.publish('a/b', 0, false), 0x87);
});
