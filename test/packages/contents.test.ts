/** What is in the tarballs: all that is needed and nothing that is not, and types that are right whatever the reader's module mode. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { root, tarballs } from './tarballs.ts';

const unwanted = /\.tsbuildinfo$|\.test\.|\.suite\.|tsconfig|^(?!(dist|src|bin)\/|package\.json$|LICENSE$|README\.md$)/;

for (const { name, path, files, manifest } of await tarballs()) {
  test(`${name}: the licence, the sources its maps lead to, and no tests or leavings of the build`, () => {
    assert.deepEqual(
      files.filter((file) => unwanted.test(file)),
      [],
    );
    for (const file of ['LICENSE', 'README.md', 'package.json']) assert.ok(files.includes(file), `no ${file}`);
    const built = files.filter((file) => /^dist\/.*\.js$/.test(file));
    assert.ok(built.length > 0, 'nothing was built');
    for (const file of built) {
      const source = file.replace(/^dist/, 'src').replace(/js$/, 'ts');
      assert.ok(files.includes(source), `${file} has no ${source}: was it left by an earlier build?`);
    }
  });

  test(`${name}: publint finds nothing`, async () => {
    const { messages } = await publint({ pack: { tarball: arrayBufferOf(path) }, strict: true });
    assert.deepEqual(
      messages.map((message) => formatMessage(message, manifest, { color: false })),
      [],
    );
  });

  // The command has no types.
  if (manifest['exports'] === undefined) continue;
  test(`${name}: attw finds the types right in every module mode`, () => {
    // Node 22.12 and later load ES modules from CommonJS, and so do the compilers that know it.
    const options = ['--ignore-rules', 'cjs-resolves-to-esm', '--format', 'ascii', '--no-color'];
    const { status, stdout } = spawnSync(join(root, 'node_modules/.bin/attw'), [path, ...options], {
      encoding: 'utf8',
    });
    assert.equal(status, 0, stdout);
    assert.match(stdout, /No problems found/);
  });
}

function arrayBufferOf(path: string): ArrayBuffer {
  return new Uint8Array(readFileSync(path)).buffer;
}
