import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Permissions } from '../core/index.ts';
import { AclFileError, parseAcl } from './acl-file.ts';

const file = `# what anybody may
topic read public/#

user ada
topic home/#
topic deny home/safe
topic write in put
user bob the builder
topic readwrite sites/+
pattern write devices/%c/up
pattern read devices/%u/down
`;

const rules = new Permissions(parseAcl(file));
const as = (name: string, clientId = 'c1') =>
  rules.for({ name, groups: [], values: { clientId, ...(name !== '' && { username: name }) } });

test('topics are of the user named before them, and before any of who gave no name', () => {
  assert.equal(as('').receive('public/x'), 0);
  assert.equal(as('').publish('public/x', 0, false), 0x87);
  assert.equal(as('ada').receive('public/x'), 0x87);
  assert.equal(as('ada').publish('home/x', 2, true), 0);
  assert.equal(as('ada').receive('home/x'), 0);
  assert.equal(as('ada').publish('in put', 0, false), 0, 'a filter goes on to the end of the line');
  assert.equal(as('ada').receive('in put'), 0x87);
  assert.equal(as('bob the builder').receive('sites/1'), 0);
});

test('what is denied is denied, wherever it stands', () => {
  assert.equal(as('ada').receive('home/safe'), 0x87);
  assert.equal(as('ada').publish('home/safe', 0, false), 0x87);
});

test('patterns are about everybody, by client id and name', () => {
  for (const name of ['', 'ada']) {
    assert.equal(as(name).publish('devices/c1/up', 0, false), 0);
    assert.equal(as(name).publish('devices/c2/up', 0, false), 0x87);
  }
  assert.equal(as('ada').receive('devices/ada/down'), 0);
  assert.equal(as('').receive('devices//down'), 0x87);
});

test('any filter may be asked for, as with Mosquitto', () => {
  for (const filter of ['#', '$SYS/#', 'home/safe', '+/+']) {
    assert.equal(as('').subscribe(filter, 2), 0, filter);
  }
  assert.equal(as('').receive('$SYS/broker/uptime'), 0x87);
});

test('lines that are none are named', () => {
  assert.throws(
    () =>
      parseAcl('topic read a/#/b\nuser\nusers ada\ntopic\npattern read %c/#\ntopic dney secret/#\ntopic a/${clientId}'),
    (error) => {
      assert.ok(error instanceof AclFileError);
      assert.deepEqual(
        error.problems.map((problem) => problem.slice(0, 40)),
        [
          'line 1 has no topic filter: Topic filter',
          'line 2 names no user',
          "line 3 begins with 'users', which is not",
          'line 4 has no topic filter: Topic filter',
          "line 6 has 'dney' where read, write, rea",
          'line 7 has ${ in its filter, which would',
        ],
      );
      return true;
    },
  );
});
