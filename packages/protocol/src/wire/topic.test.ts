import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  filterMatches,
  isSharedFilter,
  parseFilter,
  splitTopic,
  topicFilterProblem,
  topicLevelsMax,
  topicNameProblem,
} from './topic.ts';

test('a topic name is not empty, has no wildcard and no U+0000 [MQTT-4.7.0-1] [MQTT-4.7.3-1] [MQTT-4.7.3-2]', () => {
  for (const topic of ['a', '/', '//', ' ', 'a b', '$SYS/x', '$', 'ä/ö', '\uFEFF', '😀']) {
    assert.equal(topicNameProblem(topic), undefined, topic);
  }
  for (const topic of ['', '+', '#', 'a+', 'a/#', '\0', 'a\0b', '\uD800']) {
    assert.equal(typeof topicNameProblem(topic), 'string', topic);
  }
});

test('a topic filter has + and # as whole levels, # as the last [MQTT-4.7.1-1] [MQTT-4.7.1-2]', () => {
  for (const filter of ['a', '+', '#', '/', '/#', '+/#', 'a/+/b', '+/+', 'a/#', '$SYS/#', '//', '+//#']) {
    assert.equal(topicFilterProblem(filter), undefined, filter);
  }
  for (const filter of [
    '',
    'a#',
    '#a',
    '##',
    '#/',
    '#/a',
    'a/#/b',
    'a+',
    '+a',
    '++',
    'a/+b',
    'a/b+/c',
    'a\0',
    '\uDC00',
  ]) {
    assert.equal(typeof topicFilterProblem(filter), 'string', filter);
  }
});

test('a shared subscription has a share name and a filter [MQTT-4.8.2-1] [MQTT-4.8.2-2]', () => {
  for (const filter of [
    '$share/g/a',
    '$share/g/#',
    '$share/g/+/a',
    '$share/g//',
    '$share/g/$SYS/#',
    '$share',
    '$shared/x',
  ]) {
    assert.equal(topicFilterProblem(filter), undefined, filter);
  }
  for (const filter of [
    '$share/',
    '$share//a',
    '$share/g',
    '$share/g/',
    '$share/+/a',
    '$share/#/a',
    '$share/a+b/c',
    '$share/g/a#',
  ]) {
    assert.equal(typeof topicFilterProblem(filter), 'string', filter);
  }
  assert.deepEqual(parseFilter('$share/g/a/#'), { shareName: 'g', filter: 'a/#' });
  assert.deepEqual(parseFilter('$share/g//'), { shareName: 'g', filter: '/' });
  assert.deepEqual(parseFilter('a/$share/g'), { shareName: undefined, filter: 'a/$share/g' });
  assert.deepEqual(parseFilter('$share'), { shareName: undefined, filter: '$share' });
  assert.equal(isSharedFilter('$share/g/a'), true);
  assert.equal(isSharedFilter('$share'), false);
});

test('65,535 bytes are the most [MQTT-4.7.3-3] [MQTT3-4.7.3-3]', () => {
  for (const problem of [topicNameProblem, topicFilterProblem]) {
    assert.equal(problem('a'.repeat(65_535)), undefined);
    assert.equal(typeof problem('a'.repeat(65_536)), 'string');
    assert.equal(problem(`${'é'.repeat(32_767)}a`), undefined);
    assert.equal(typeof problem('é'.repeat(32_768)), 'string');
    assert.equal(problem('€'.repeat(21_845)), undefined);
    assert.equal(typeof problem(`${'€'.repeat(21_845)}a`), 'string');
    assert.equal(typeof problem('😀'.repeat(16_384)), 'string');
  }
});

test('the level limit counts levels, behind the share name', () => {
  const levels = (count: number): string => Array.from({ length: count }, () => 'l').join('/');
  assert.equal(topicLevelsMax, 128);
  for (const problem of [topicNameProblem, topicFilterProblem]) {
    assert.equal(problem(levels(128)), undefined);
    assert.match(problem(levels(129)) ?? '', /129 levels/);
    assert.equal(problem(levels(3), 3), undefined);
    assert.match(problem(levels(4), 3) ?? '', /4 levels, more than 3/);
    assert.equal(problem('/'.repeat(65_535), Number.POSITIVE_INFINITY), undefined);
  }
  assert.equal(topicFilterProblem(`$share/g/${levels(3)}`, 3), undefined);
  assert.equal(typeof topicFilterProblem(`$share/g/${levels(4)}`, 3), 'string');
});

test('levels may be empty', () => {
  assert.deepEqual(splitTopic('/a//b/'), ['', 'a', '', 'b', '']);
  assert.deepEqual(splitTopic('a'), ['a']);
});

test('a filter matches what the standard says it matches [MQTT-4.7.2-1] [MQTT-4.7.3-4]', () => {
  const matches: readonly (readonly [filter: string, topics: string[], others: string[]])[] = [
    ['a/b', ['a/b'], ['a', 'a/b/', '/a/b', 'a/c', 'A/b', 'a/bc', 'ab']],
    [
      'sport/tennis/player1/#',
      ['sport/tennis/player1', 'sport/tennis/player1/x', 'sport/tennis/player1/x/y'],
      ['sport/tennis', 'sport/tennis/player12'],
    ],
    ['sport/#', ['sport', 'sport/', 'sport/a'], ['sports', 'spor']],
    ['#', ['a', 'a/b', '/', '/a'], ['$SYS', '$SYS/a']],
    ['+', ['a', ' '], ['/', 'a/', '/a', '$a']],
    ['+/+', ['/a', 'a/', '/', 'a/b'], ['a', 'a/b/c', '$a/b']],
    ['/+', ['/a', '/'], ['a', '//', 'a/b']],
    ['a/+/c', ['a/b/c', 'a//c'], ['a/c', 'a/b/b/c', 'a/b/cd']],
    ['a/+/#', ['a/b', 'a/b/c', 'a/'], ['a', 'b/b']],
    ['+/a/#', ['x/a', '/a/b'], ['$x/a']],
    ['$SYS/#', ['$SYS', '$SYS/a/b'], ['$SYSa', 'SYS/a']],
    ['$SYS/+', ['$SYS/a'], ['$SYS', '$SYS/a/b']],
    ['a/$b/+', ['a/$b/c'], ['a/b/c']],
    ['é', ['é'], ['e\u0301']],
    ['a//b', ['a//b'], ['a/b', 'a///b']],
  ];
  for (const [filter, topics, others] of matches) {
    for (const topic of topics) assert.equal(filterMatches(filter, topic), true, `${filter} matches ${topic}`);
    for (const topic of others) assert.equal(filterMatches(filter, topic), false, `${filter} does not match ${topic}`);
  }
});
