/** The finder of ARCHITECTURE.md is true: what it names is there, and every file of the core is in it. So are the tests of docs/security.md. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '..');
const CORE = join(ROOT, 'packages/broker/src/core');
const page = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8');
const named = [...page.matchAll(/`([\w./*-]+(?:\.ts|\.md|\.tsv|\/))`/g)].map((match) => match[1] as string);

test('every file and folder that is named exists', () => {
  assert.ok(named.length > 60, `${named.length} names were found`);
  const everywhere = globSync('packages/*/src/**/*.ts', { cwd: ROOT });
  for (const name of named) {
    const isThere =
      name.includes('/') || name.includes('*')
        ? [ROOT, join(ROOT, 'packages'), join(ROOT, 'packages/broker/src')].some(
            (folder) => existsSync(join(folder, name)) || globSync(name, { cwd: folder }).length > 0,
          )
        : everywhere.some((path) => basename(path) === name);
    assert.ok(isThere, `${name} is named and is nowhere`);
  }
});

test('every file of the core can be found', () => {
  const files = readdirSync(CORE).filter((name) => /^[\w-]+\.ts$/.test(name) && name !== 'index.ts');
  assert.deepEqual(
    files.filter((name) => !named.some((each) => basename(each) === name)),
    [],
  );
});

test('every test that docs/security.md names exists', () => {
  const security = readFileSync(join(ROOT, 'docs/security.md'), 'utf8');
  const tests = [...security.matchAll(/`([\w./-]+\.test\.ts)`/g)].map((match) => match[1] as string);
  assert.ok(tests.length > 10, `${tests.length} names were found`);
  const everywhere = globSync(['packages/*/{src,test}/**/*.test.ts', 'test/**/*.test.ts', 'scripts/*.test.ts'], {
    cwd: ROOT,
  });
  for (const name of tests)
    assert.ok(
      everywhere.some((path) => path.endsWith(`/${name}`) || path === name),
      name,
    );
});
