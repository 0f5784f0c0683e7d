/** The test runner, tested: what passes, and what must not pass for success. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const RUNNER = join(import.meta.dirname, 'test.ts');
const IMPORT = "import { test } from 'node:test';\n";

/** Where a file runs in a process of its own, and where it shares one. */
const FOLDERS = ['packages/a/src', 'packages/protocol/src/wire'];

/** Runs the group "unit" over a repository with one test file of this content, or none. */
function runUnit(
  content: string | undefined,
  folder = FOLDERS[0] as string,
): { status: number | null; stdout: string; stderr: string } {
  const root = mkdtempSync(join(tmpdir(), 'pipit-test-'));
  try {
    if (content !== undefined) {
      mkdirSync(join(root, folder), { recursive: true });
      writeFileSync(join(root, folder, 'a.test.ts'), content);
    }
    // Unset, or the runner would take itself for a part of this run.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    return spawnSync(process.execPath, [RUNNER, 'unit'], { cwd: root, env, encoding: 'utf8' });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

test('a passing test passes, types stripped, and the run ends on the counts', () => {
  const { status, stdout } = runUnit(`${IMPORT}test('a', (): void => {});\ntest('b', () => {});\n`);
  assert.equal(status, 0, stdout);
  assert.match(
    stdout,
    /^# tests 2\n# suites 0\n# pass 2\n# fail 0\n# cancelled 0\n# skipped 0\n# todo 0\n# duration_ms \d+\n$/m,
  );
});

const failures: Readonly<Record<string, { content: string | undefined; says: RegExp }>> = {
  'a failing test': {
    content: `${IMPORT}test('a', () => {\n  throw new Error('no');\n});\n`,
    says: /^Tests failed\.$/m,
  },
  'a file that does not load': { content: "throw new Error('no');\n", says: /^Tests failed\.$/m },
  'a file without a test': { content: 'export {};\n', says: /a\.test\.ts holds no test\.$/m },
  'a skipped test': { content: `${IMPORT}test('a', { skip: true }, () => {});\n`, says: /^Tests were skipped/m },
  'a test left for later': { content: `${IMPORT}test('a', { todo: true }, () => {});\n`, says: /^Tests were skipped/m },
  'no file at all': { content: undefined, says: /^No test ran\.$/m },
};

for (const [what, { content, says }] of Object.entries(failures)) {
  for (const folder of FOLDERS) {
    test(`${what} fails the run (${folder})`, () => {
      const { status, stderr } = runUnit(content, folder);
      assert.equal(status, 1, stderr);
      assert.match(stderr, says);
    });
  }
}
