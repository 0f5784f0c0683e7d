/** docs/security.md names tests: they are there, by file and title, and no class of past vulnerabilities is without one. */

import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = join(import.meta.dirname, '..');
const text = readFileSync(join(root, 'docs/security.md'), 'utf8');
const [, table = ''] = text.split('## Classes of past vulnerabilities');
const rows = table.split('\n').filter((line) => line.startsWith('| ') && !line.startsWith('| class '));
const scripts = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: Record<string, string> })
  .scripts;

test('every class has a test, and each that is named is there under its title', () => {
  let named = 0;
  for (const row of rows) {
    const tests = row.split(' | ').at(-1) ?? '';
    const files = [...tests.matchAll(/`([^`]+\.test\.ts)`(?:: “([^”]+)”)?/g)];
    const commands = [...tests.matchAll(/`npm run ([a-z:]+)`/g)];
    assert.ok(files.length + commands.length > 0, row);
    for (const [, file = '', title] of files) {
      assert.ok(existsSync(join(root, file)), `${file} is not there`);
      const source = readFileSync(join(root, file), 'utf8');
      assert.ok(source.includes(title ?? 'test('), `${file} has no test “${title}”`);
      named++;
    }
    for (const [, command = ''] of commands) assert.ok(command in scripts, `npm run ${command}`);
  }
  assert.ok(rows.length >= 30 && named >= 40, `${rows.length} classes, ${named} tests`);
});

test('files that are named elsewhere on the page are there', () => {
  const paths = [...text.matchAll(/`((?:packages|test|scripts|docs|bench)\/[^`\s]*)`/g)].map(([, path = '']) => path);
  assert.ok(paths.length > 40);
  for (const path of paths) assert.ok(existsSync(join(root, path)), `${path} is not there`);
});

/** What is to be excluded, by its number where it has one. */
const past = [
  'CVE-2023-28366 CVE-2023-0809 CVE-2021-28166 CVE-2026-25627 CVE-2019-19307 CVE-2019-17210 CVE-2021-34432 CVE-2019-11779',
  'CVE-2024-8376 CVE-2024-10525 CVE-2024-3935 CVE-2017-7653 CVE-2021-34434 CVE-2018-12546 CVE-2026-6564 CVE-2026-8741',
  'CVE-2025-59946 CVE-2026-42209 CVE-2024-50948 CVE-2024-42644 CVE-2024-42645 CVE-2025-52136 CVE-2020-13849 CVE-2025-56352',
  'CVE-2017-7650',
].flatMap((line) => line.split(' '));

test('every past vulnerability that is known here is in the table', () => {
  for (const each of past) assert.ok(table.includes(each), each);
});
