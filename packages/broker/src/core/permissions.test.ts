import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterMatches } from '@pipit/protocol';
import fc from 'fast-check';
import { filterCovers, Permissions } from './permissions.ts';

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
  assert.equal(permissions.publish('a/x'), 0x97);
  assert.equal(permissions.publish('a/y'), 0);
  assert.equal(permissions.publish('b'), 0x87);
  assert.equal(permissions.receive('a/x'), 0x97);
  assert.equal(permissions.receive('b/c'), 0);
  assert.equal(permissions.receive('a/y'), 0x87);
  assert.equal(permissions.subscribe('b/+'), 0);
  assert.equal(permissions.subscribe('#'), 0x87);
  const { epoch } = permissions;
  permissions.replace([]);
  assert.equal(permissions.epoch, epoch + 1);
  assert.equal(permissions.receive('b/c'), 0x87);
});
