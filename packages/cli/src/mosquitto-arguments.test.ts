import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Command, Option } from 'commander';
import { plainArguments } from './mosquitto-arguments.ts';
import { collectProperty } from './property-options.ts';

const options = [
  '-m, --message <text>',
  '-t <topic>',
  '-l, --lines',
  '-P, --password <text>',
  '-D, --property <parts>',
].map((flags) => new Option(flags, ''));

test('long names of Mosquitto become those of here, values stay', () => {
  const args = [
    '--stdin-line',
    '-m',
    '--stdin-line',
    '--pw',
    'x',
    '-t',
    '-D',
    '-l',
    '-D',
    'publish',
    'content-type',
    '-D',
  ];
  assert.deepEqual(plainArguments(args, options), [
    '--lines',
    '-m',
    '--stdin-line',
    '--password',
    'x',
    '-t',
    '-D',
    '-l',
    '-D',
    'publish\0content-type\0-D',
  ]);
});

test('-D takes three values, of user-property four; fewer are left to be told', () => {
  assert.deepEqual(plainArguments(['-D', 'will', 'user-property', 'a', 'b', 'c'], options), [
    '-D',
    'will\0user-property\0a\0b',
    'c',
  ]);
  assert.deepEqual(plainArguments(['--property', 'will'], options), ['--property', 'will']);
  assert.deepEqual(plainArguments(['-D'], options), ['-D']);
});

test('properties add up by packet', () => {
  const given = ['publish\0user-property\0a\0b', 'publish\0user-property\0a\0c', 'connect\0receive-maximum\x005'];
  const all = given.reduce((before: ReturnType<typeof collectProperty>, text) => collectProperty(text, before), {});
  assert.deepEqual(all, {
    publish: {
      userProperties: [
        ['a', 'b'],
        ['a', 'c'],
      ],
    },
    connect: { receiveMaximum: 5 },
  });
});

for (const text of [
  'publish',
  'nowhere\0content-type\0x',
  'publish\0bogus\x001',
  'publish\0topic-alias\x0099999',
  'publish\0topic-alias\0x',
  'connect\0topic-alias\x009',
  'publish\0user-property\0a',
]) {
  test(`${text.replaceAll('\0', ' ')} is no property`, () =>
    assert.throws(() => collectProperty(text), /invalid|It takes|none of|not|has to/));
}

test('one that is given twice is refused', () => {
  const once = collectProperty('publish\0topic-alias\x001');
  assert.throws(() => collectProperty('publish\0topic-alias\x002', once), /twice/);
});

test('what a command has not stays as it is: -D of passwd is no property', () => {
  const command = new Command().option('-D, --delete', 'remove');
  assert.deepEqual(plainArguments(['-D', 'file', 'name', '--pw'], command.options), ['-D', 'file', 'name', '--pw']);
});
