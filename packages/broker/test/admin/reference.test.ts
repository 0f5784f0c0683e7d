/** docs/errors.md is true: every event, every reason of a drop and every sentence of a refusal is there, and nothing else. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { metricDefinitions } from '../../src/admin/metrics.ts';
import { dropSentences, findingCodes } from '../../src/admin/why.ts';
import { defaultLimits, dropReasons } from '../../src/core/index.ts';

const root = join(import.meta.dirname, '../../../..');
const page = readFileSync(join(root, 'docs/errors.md'), 'utf8');

function namedIn(heading: string): string[] {
  const [, section = ''] = page.split(new RegExp(`^#+ ${heading}$`, 'm'));
  const [table = ''] = section.split(/^#+ /m);
  return [...table.matchAll(/^\| `([^`]+)` \|/gm)].map(([, name = '']) => name);
}

/** Where refusals and ends are worded. What is left out words settings, files and numbers. */
const worded = [
  ...globSync('packages/broker/src/core/*.ts', { cwd: root }),
  ...['driver', 'listener', 'arrivals', 'client-trust', 'websocket-link', 'admission', 'bans'].map(
    (name) => `packages/broker/src/node/${name}.ts`,
  ),
  ...[
    'access',
    'gate',
    'chain',
    'http',
    'jwt',
    'jwt-verification',
    'permitting',
    'scram',
    'ban-list',
    'password-file',
  ].map((name) => `packages/broker/src/auth/${name}.ts`),
  ...['server', 'client-routes'].map((name) => `packages/broker/src/admin/${name}.ts`),
].filter((path) => !/\.test\.ts$|\/(invariants|sys|event-log|trace|inspection)\.ts$/.test(path));

/** Texts of at least three words in small letters that are given as a reason. */
function sentencesOf(path: string): string[] {
  const text = readFileSync(join(root, path), 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|\s)\/\/ .*$/gm, '');
  const found = text.matchAll(/(['`])((?:[a-z]|\$\{)[^'`\n]*? [^'`\n]*? [^'`\n]*?)\1/g);
  return [...found].map(([, , sentence = '']) => sentence.replace(/\$\{[^}]*\}+/g, '…'));
}

/** These go with `traced` events, are keys, or are about a ban or a file that is not in order. */
const details = new Set([
  'behind … others',
  'to … sessions',
  'to the claim of a program',
  '… …',
  '… … …',
  'sessions … …',
  'subscriptions …',
  'the client id',
  'there are … bans already',
  '… is no …: it cannot be banned',
  '… is no time: write it as ISO 8601, with its zone',
  '… is over: nobody would be banned',
  'line … …',
  '… is invalid.',
  'an address has no sessions: ban its clients or users with them',
  'has no name before a colon',
  'names … again',
]);

test('every event is in the error reference, and nothing else', () => {
  const events = readFileSync(join(root, 'packages/broker/src/core/events.ts'), 'utf8');
  const service = readFileSync(join(root, 'packages/broker/src/node/event-hub.ts'), 'utf8');
  const types = new Set<string>();
  for (const [, union = ''] of `${events}${service}`.matchAll(/\btype: ((?:'[a-z-]+'(?: \| )?)+) ?[;}]/g)) {
    for (const [, type = ''] of union.matchAll(/'([a-z-]+)'/g)) types.add(type);
  }
  assert.ok(types.size > 20);
  assert.deepEqual(namedIn('Events').sort(), [...types].sort());
});

test('every reason of a dropped message is there, and `why` has a sentence for it', () => {
  assert.deepEqual(namedIn('Why a message was dropped').sort(), [...dropReasons].sort());
  assert.deepEqual(Object.keys(dropSentences).sort(), [...dropReasons].sort());
});

test('every code of `why` is there, and nothing else', () => {
  assert.deepEqual(namedIn('What why finds').sort(), [...findingCodes].sort());
});

test('every sentence of a refusal or an end is there, and nothing else', () => {
  const documented = new Set(
    [
      'When a connection is not let in, or ends',
      'When a message or a subscription is refused',
      'When a socket is turned away',
    ].flatMap(namedIn),
  );
  const said = new Set(worded.flatMap(sentencesOf).filter((sentence) => !details.has(sentence)));
  assert.ok(said.size > 60, `${said.size} sentences were found`);
  assert.deepEqual(
    [...said].filter((sentence) => !documented.has(sentence)),
    [],
    'said, and not in docs/errors.md',
  );
  assert.deepEqual(
    [...documented].filter((sentence) => !said.has(sentence)),
    [],
    'in docs/errors.md, and never said',
  );
});

test('every limit it names is one', () => {
  const named = [...page.matchAll(/`limits\.(\w+)`/g)].map(([, name = '']) => name);
  assert.ok(named.length > 20);
  assert.deepEqual(
    named.filter((name) => !(name in defaultLimits)),
    [],
  );
});

test('what operators are told to watch is a metric', () => {
  const operating = readFileSync(join(root, 'docs/operating.md'), 'utf8');
  const named = [...operating.matchAll(/`((?:pipit|nodejs)_\w+)`/g)].map(([, name = '']) => name);
  assert.ok(named.length >= 6);
  const known = new Set(metricDefinitions.map(({ name }) => name));
  assert.deepEqual(
    named.filter((name) => !known.has(name)),
    [],
  );
});
