/**
 * The checks, checked: a small copy of the repository passes `npm run check`, and with one violation of every rule
 * planted in it each is found where it stands. The configuration is the real one; only the sources are made up.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { after, before, test } from 'node:test';

const ROOT = resolve(import.meta.dirname, '..');
const CONFIGURATION = [
  'biome.json',
  'package.json',
  '.gitignore',
  ...readdirSync(ROOT).filter((name) => /^tsconfig.*\.json$/.test(name)),
  ...['protocol', 'broker', 'client', 'conformance', 'cli'].flatMap((name) => [
    `packages/${name}/package.json`,
    `packages/${name}/tsconfig.json`,
  ]),
  'packages/protocol/src/tsconfig.pure.json',
  'packages/broker/src/core/tsconfig.pure.json',
  'packages/broker/src/store/tsconfig.pure.json',
  'packages/client/src/core/tsconfig.pure.json',
  'packages/client/tsconfig.browser.json',
];

const COLUMNS = ['id', 'subject', 'section title', 'statement', 'check', 'shown by'].join('\t');
const SHOWN = 'scenario packages/protocol/src/wire/packet.test.ts#a topic is kept';

/** A table of statements: each row its id, its subject and what shows it. */
function table(...rows: readonly (readonly [id: string, subject: string, shownBy: string])[]): string {
  return `${[COLUMNS, ...rows.map(([id, subject, shownBy]) => [id, subject, 's', 's', 's', shownBy].join('\t'))].join('\n')}\n`;
}

const CLEAN: Readonly<Record<string, string>> = {
  'spec/mqtt5.tsv': table(
    ['MQTT-3.3.2-1', 'codec', `${SHOWN}; conformance MQTT-3.3.2-1`],
    ['MQTT-3.1.0-1', 'client', 'conformance MQTT-3.3.2-1'],
  ),
  'spec/mqtt311.tsv': table(['MQTT3-3.3.2-1', 'codec', SHOWN], ['MQTT3-4.8.0-2', 'both', 'not observable: so it is']),
  'spec/mqtt31.tsv': table(['3.1/connect', 'server', SHOWN]),
  'packages/protocol/src/index.ts': "export { type Packet, topicOf } from './wire/packet.ts';\n",
  'packages/protocol/src/wire/packet.ts': [
    'export interface Packet {\n  readonly topic: string;\n}\n',
    'export function topicOf(packet: Packet): string {\n  return packet.topic; // [MQTT-3.3.2-1]\n}\n',
  ].join('\n'),
  'packages/protocol/src/wire/packet.test.ts': [
    "import assert from 'node:assert/strict';\nimport { test } from 'node:test';\nimport { topicOf } from './packet.ts';\n",
    "test('a topic is kept [MQTT3-3.3.2-1]', () => {\n  assert.equal(topicOf({ topic: 'a' }), 'a');\n});\n",
  ].join('\n'),
  'packages/broker/src/core/core.ts':
    "import { type Packet, topicOf } from '@pipit/protocol';\n\nexport const route = (packet: Packet): string => topicOf(packet);\n",
  'packages/broker/src/store/log.ts': 'export const SEGMENT_BYTES_MAX = 64;\n',
  'packages/broker/src/node/driver.ts':
    "import { route } from '../core/core.ts';\nimport { SEGMENT_BYTES_MAX } from '../store/log.ts';\n\nexport const driver = { route, SEGMENT_BYTES_MAX };\n",
  'packages/broker/src/index.ts': "export { driver } from './node/driver.ts';\n",
  'packages/client/src/core/core.ts': 'export const outboxMessagesMax = 7;\n',
  'packages/client/src/client/client.ts':
    "import { outboxMessagesMax } from '../core/core.ts';\n\nexport const client = { outboxMessagesMax, soon: queueMicrotask };\n",
  'packages/client/src/node/platform.ts':
    "import { client } from '../client/client.ts';\n\nexport const node = { ...client, soon: setImmediate };\n",
  'packages/client/src/index.ts': "export { node } from './node/platform.ts';\n",
  'packages/client/src/browser.ts': "export { client } from './client/client.ts';\n",
  'packages/conformance/src/index.ts':
    "import type { Packet } from '@pipit/protocol';\n\nexport const sent: Packet = { topic: 'MQTT-3.3.2-1' };\n",
  'packages/cli/src/index.ts': "import { driver } from '@pipit/broker';\n\nexport const cli = driver;\n",
  'scripts/noop.ts': 'export const noop = 0;\n',
};

let clone = '';

function write(path: string, text: string): void {
  mkdirSync(dirname(join(clone, path)), { recursive: true });
  writeFileSync(join(clone, path), text);
}

function runIn(folder: string, script: string, ...args: string[]): { status: number | null; output: string } {
  // Unset, or a test runner started inside a test would report to the outer one and run nothing.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const options = { cwd: folder, env, encoding: 'utf8' } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'scripts', script), ...args], options);
  return { status, output: stdout + stderr };
}

before(() => {
  clone = mkdtempSync(join(tmpdir(), 'pipit-check-'));
  for (const path of CONFIGURATION) cpSync(join(ROOT, path), join(clone, path), { recursive: true });
  mkdirSync(join(clone, 'node_modules/@pipit'), { recursive: true });
  for (const name of readdirSync(join(ROOT, 'node_modules'))) {
    if (name.startsWith('.') || name === '@pipit' || name === 'pipit') continue;
    symlinkSync(join(ROOT, 'node_modules', name), join(clone, 'node_modules', name));
  }
  for (const name of ['protocol', 'broker', 'client', 'conformance']) {
    symlinkSync(join(clone, 'packages', name), join(clone, 'node_modules/@pipit', name));
  }
  for (const [path, text] of Object.entries(CLEAN)) write(path, text);
});

after(() => rmSync(clone, { recursive: true, force: true }));

test('a clean tree passes, and every checker says how many files it read', () => {
  const { status, output } = runIn(clone, 'check.ts');
  assert.equal(status, 0, output);
  const lines = output.trimEnd().split('\n');
  assert.deepEqual(lines.map((line) => /^ok +(\w+) +[1-9]\d* files +\d+\.\d s {2}\w/.exec(line)?.[1]).sort(), [
    'biome',
    'tidy',
    'tsc',
  ]);
});

test('a checker that reads no file fails', () => {
  const empty = mkdtempSync(join(tmpdir(), 'pipit-check-empty-'));
  try {
    const { status, output } = runIn(empty, 'check.ts');
    assert.equal(status, 1, output);
    assert.equal(output.match(/^FAIL \w+ +0 files/gm)?.length, 3, output);
    assert.equal(output.match(/^It read no file\.$/gm)?.length, 3, output);
    assert.equal(runIn(empty, 'tidy.ts').status, 1);
  } finally {
    rmSync(empty, { recursive: true, force: true });
  }
});

/** A file to plant, and what must be said about it: `tidy:<line> <rule>`, `tsc:<line> <code>`, `biome:<line> <rule>`. */
interface Plant {
  readonly path: string;
  readonly text: string;
  readonly found: readonly string[];
}

const WIRE = 'packages/protocol/src/wire';
const FLOW = 'packages/protocol/src/flow';
const CORE = 'packages/broker/src/core';
const STORE = 'packages/broker/src/store';
const NODE = 'packages/broker/src/node';
const CLIENT_CORE = 'packages/client/src/core';
const CLIENT = 'packages/client/src/client';

const plants: readonly Plant[] = [
  // Layers
  { path: `${WIRE}/up.ts`, text: "export { far } from '../flow/far.ts';", found: ['tidy:1 layers'] },
  { path: `${FLOW}/far.ts`, text: 'export const far = 1;', found: [] },
  { path: `${NODE}/alone.ts`, text: 'export const alone = 1;', found: [] },
  { path: `${STORE}/alone.ts`, text: 'export const alone = 1;', found: [] },
  {
    path: `${CORE}/up.ts`,
    text: "export type Up = typeof import('../node/alone.ts');\nexport { alone } from '../store/alone.ts';",
    found: ['tidy:1 layers', 'tidy:2 layers', 'tsc:1 TS6059', 'tsc:2 TS6059'],
  },
  {
    path: `${CORE}/up-lazy.ts`,
    text: "export const load = () => import('../node/driver.ts');",
    found: ['tidy:1 layers'],
  },
  {
    path: `${STORE}/up.ts`,
    text: "export { driver } from '../node/driver.ts';",
    found: ['tidy:1 layers'],
  },
  { path: 'packages/broker/src/auth/up.ts', text: "import '../node/driver.ts';", found: ['tidy:1 layers'] },
  { path: `${NODE}/down.ts`, text: "import '../../../protocol/src/wire/packet.ts';", found: ['tidy:1 layers'] },
  { path: `${NODE}/sub.ts`, text: "import '@pipit/protocol/wire';", found: ['tidy:1 layers'] },
  { path: 'packages/cli/src/deep.ts', text: "import '@pipit/broker/core';", found: ['tidy:1 layers'] },
  {
    path: 'packages/cli/test/deep.test.ts',
    text: "import '../../broker/src/node/driver.ts';",
    found: ['tidy:1 layers'],
  },
  // What another package's tests are made of may be used by tests, and by nothing that ships.
  { path: 'packages/protocol/test/made.ts', text: 'export const made = 1;', found: [] },
  {
    path: 'packages/broker/test/leaning.test.ts',
    text: "import { made } from '../../protocol/test/made.ts';\n\nexport const leaning = made;",
    found: [],
  },
  { path: `${CLIENT}/up.ts`, text: "export { node } from '../node/platform.ts';", found: ['tidy:1 layers'] },
  { path: `${CLIENT}/immediate.ts`, text: 'setImmediate(() => {});', found: ['tsc:1 TS2304'] },
  { path: 'packages/broker/src/lost/lost.ts', text: 'export const lost = 1;', found: ['tidy layers'] },
  { path: 'packages/broker/src/loose.ts', text: 'export const loose = 1;', found: ['tidy layers'] },
  // Purity: what the compiler, the linter and tidy each refuse
  ...[WIRE, FLOW, CORE, STORE, CLIENT_CORE].flatMap((folder): Plant[] => [
    { path: `${folder}/timer.ts`, text: 'setTimeout(() => {}, 1);', found: ['tsc:1 TS2304'] },
    { path: `${folder}/buffer.ts`, text: 'export const empty = Buffer.alloc(0);', found: ['tsc:1 TS2591'] },
    {
      path: `${folder}/socket.ts`,
      text: "import { connect } from 'node:net';\nconnect(1883);",
      found: ['tsc:1 TS2591', 'biome:1 noNodejsModules', 'tidy:1 layers'],
    },
    { path: `${folder}/console.ts`, text: "console.log('x');", found: ['tsc:1 TS2584'] },
    { path: `${folder}/decoder.ts`, text: 'export const decoder = new TextDecoder();', found: ['tsc:1 TS2304'] },
    { path: `${folder}/crypto.ts`, text: 'crypto.randomUUID();', found: ['tsc:1 TS2304'] },
    { path: `${folder}/package.ts`, text: "import { z } from 'zod';\nexport const q = z;", found: ['tidy:1 layers'] },
    { path: `${folder}/date.ts`, text: 'export const at = new Date(0);', found: ['biome:1 noRestrictedGlobals'] },
    {
      path: `${folder}/now.ts`,
      text: 'export const now = Date.now();',
      found: ['tidy:1 purity', 'biome:1 noRestrictedGlobals'],
    },
    { path: `${folder}/random.ts`, text: 'export const chance =\n  Math.random();', found: ['tidy:2 purity'] },
    {
      path: `${folder}/promise.ts`,
      text: 'export const p = Promise.resolve();',
      found: ['biome:1 noRestrictedGlobals'],
    },
    { path: `${folder}/weak.ts`, text: 'export const w = new WeakRef({});', found: ['biome:1 noRestrictedGlobals'] },
    { path: `${folder}/ambient.ts`, text: 'export const g = globalThis;', found: ['biome:1 noRestrictedGlobals'] },
    {
      path: `${folder}/later.ts`,
      text: 'export async function later() {\n  await 1;\n}',
      found: ['tidy:1 purity', 'tidy:2 purity'],
    },
  ]),
  // The whole of the shipped code
  {
    path: `${NODE}/state.ts`,
    text: 'export let count = 0;\ncount++;\nvar old = 1;\n',
    found: ['tidy:1 module-state', 'tidy:3 module-state'],
  },
  {
    path: `${NODE}/floating.ts`,
    text: 'async function here() {\n  await 1;\n}\nhere();',
    found: ['biome:4 noFloatingPromises'],
  },
  { path: `${NODE}/barrel.ts`, text: "export { driver } from './driver.ts';", found: ['biome:1 noBarrelFile'] },
  { path: `${NODE}/star.ts`, text: "export * from './driver.ts';", found: ['biome:1 noReExportAll'] },
  {
    path: `${NODE}/ring-a.ts`,
    text: "import { b } from './ring-b.ts';\nexport const a = () => b;",
    found: ['biome:1 noImportCycles'],
  },
  {
    path: `${NODE}/ring-b.ts`,
    text: "import { a } from './ring-a.ts';\nexport const b = () => a;",
    found: ['biome:1 noImportCycles'],
  },
  { path: `${NODE}/stranger.ts`, text: "import 'left-pad';", found: ['biome:1 noUndeclaredDependencies'] },
  { path: `${NODE}/bare.ts`, text: "import './driver';", found: ['biome:1 useImportExtensions'] },
  { path: `${NODE}/default.ts`, text: 'export default 1;', found: ['biome:1 noDefaultExport'] },
  { path: `${NODE}/enum.ts`, text: 'export enum E {\n  A,\n}', found: ['tsc:1 TS1294', 'biome:1 noEnum'] },
  { path: `${NODE}/any.ts`, text: 'export const x: any = 1;', found: ['biome:1 noExplicitAny'] },
  {
    path: `${NODE}/skipped.test.ts`,
    text: "import { test } from 'node:test';\ntest.skip('x', () => {});",
    found: ['biome:2 noSkippedTests'],
  },
  {
    path: `${NODE}/only.test.ts`,
    text: "import { test } from 'node:test';\ntest.only('x', () => {});",
    found: ['biome:2 noFocusedTests'],
  },
  { path: `${NODE}/wrong.test.ts`, text: 'export const wrong: string = 1;', found: ['tsc:1 TS2322'] },
  { path: `${NODE}/CamelCase.ts`, text: 'export const camel = 1;', found: ['biome useFilenamingConvention'] },
  { path: `${NODE}/format.ts`, text: 'export const  wide = "x"', found: ['biome format'] },
  // Sizes
  { path: `${NODE}/long.ts`, text: '//\n'.repeat(501), found: ['tidy size'] },
  {
    path: `${NODE}/long-function.ts`,
    text: `//\nexport const long = () => {${'\n'.repeat(70)}};`,
    found: ['tidy:2 size'],
  },
  { path: `${NODE}/long-allowed.ts`, text: '//\n'.repeat(600), found: [] },
  { path: `${NODE}/long-unexplained.ts`, text: '//\n'.repeat(600), found: [] },
  { path: `${NODE}/long-grown.ts`, text: '//\n'.repeat(601), found: ['tidy size'] },
  {
    path: 'tidy.json',
    text: JSON.stringify({
      [`${NODE}/long-allowed.ts`]: { lines: 600, why: 'a table' },
      [`${NODE}/long-grown.ts`]: { lines: 600, why: 'a table' },
      [`${NODE}/driver.ts`]: { lines: 600, why: 'was long once' },
      [`${NODE}/long-unexplained.ts`]: { lines: 600, why: '' },
    }),
    found: ['tidy size', 'tidy size'],
  },
  // Names
  ...['utils', 'helpers', 'common', 'types', 'socket-utils'].map(
    (name): Plant => ({ path: `${NODE}/${name}.ts`, text: 'export const x = 1;', found: ['tidy names'] }),
  ),
  { path: `${NODE}/helpers/x.ts`, text: 'export const x = 1;', found: ['tidy names'] },
  { path: `${NODE}/empty-name.ts`, text: 'export class SessionManager {}', found: ['tidy:1 names'] },
  // Ids of the standard (assembled, so that this file names none that does not exist), and traces of the machine
  {
    path: `${NODE}/no-such-id.ts`,
    text: `// [MQTT-${'9.9.9'}-9]\n// [MQTT3-${'3.15.1'}-1]`,
    found: ['tidy:1 spec-ids', 'tidy:2 spec-ids'],
  },
  {
    path: 'spec/mqtt31.tsv',
    text: table(
      ['3.1/a', 'server', ''],
      ['3.1/b', 'server', 'conformance 3.1/none'],
      ['3.1/c', 'server', 'scenario packages/none.test.ts#x'],
      ['3.1/d', 'server', 'scenario packages/protocol/src/wire/packet.test.ts#no such title'],
      ['3.1/e', 'server', 'client'],
      ['3.1/f', 'server', 'not observable: '],
      ['3.1/f', 'server', SHOWN],
    ).trimEnd(),
    found: [2, 3, 4, 5, 6, 7, 8].map((line) => `tidy:${line} trace`),
  },
  { path: `${NODE}/no-such-id.test.ts`, text: `export const id = 'MQTT-${'9.9.9'}-8';`, found: ['tidy:1 spec-ids'] },
  {
    path: 'docs/trace.md',
    text: `Built in ${['', 'Users', 'me', 'pipit'].join('/')}.`,
    found: ['tidy:1 machine-paths'],
  },
  {
    path: 'package-lock.json',
    text: `{ "resolved": "${'https:'}//x.invalid/y.tgz" }`,
    found: ['tidy:1 machine-paths'],
  },
  // Files nobody would check
  { path: 'elsewhere/orphan.ts', text: 'export const orphan = 1;', found: ['tidy projects'] },
];

/** Every finding in what the three checkers print, as `path checker[:line] rule`. */
function findings(output: string): string[] {
  const found: string[] = [];
  for (const line of output.split('\n')) {
    const tidy = /^([\w./-]+?)(:\d+)? ([a-z-]+): /.exec(line);
    const tsc = /^([\w./-]+)\((\d+),\d+\): error (TS\d+)/.exec(line);
    const biome = /^([\w./-]+?)(?:(:\d+):\d+)? (?:lint\/\w+\/)?(\w+) .*━$/.exec(line);
    if (tsc !== null) found.push(`${tsc[1]} tsc:${tsc[2]} ${tsc[3]}`);
    else if (biome !== null) found.push(`${biome[1]} biome${biome[2] ?? ''} ${biome[3]}`);
    else if (tidy !== null) found.push(`${tidy[1]} tidy${tidy[2] ?? ''} ${tidy[3]}`);
  }
  return found;
}

test('a planted violation of each rule is found where it stands', () => {
  for (const { path, text } of plants) write(path, `${text}\n`);
  const { status, output } = runIn(clone, 'check.ts');
  assert.equal(status, 1, output);
  assert.deepEqual(output.match(/^FAIL \w+/gm)?.sort(), ['FAIL biome', 'FAIL tidy', 'FAIL tsc'], output);
  assert.equal(output.match(/^→ /gm)?.length, 3, 'each failure says what to do');

  const found = findings(output);
  const expected = plants.flatMap((plant) => plant.found.map((finding) => `${plant.path} ${finding}`));
  assert.deepEqual(
    expected.filter((finding) => !found.includes(finding)),
    [],
    'not found',
  );
  const tidyOnly = (all: string[]): string[] => all.filter((finding) => / tidy\b/.test(finding)).sort();
  assert.deepEqual(tidyOnly(found), tidyOnly(expected), 'tidy says neither less nor more');
});
