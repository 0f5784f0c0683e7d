/**
 * `npm test` and `npm run test:interop`: `node --test` over the files of one group, with the sources unbuilt. Fails
 * when a group has no test, or when one was skipped or left for later: a test that does not run proves nothing.
 */
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '..');

const GROUPS: Readonly<Record<string, readonly string[]>> = {
  unit: ['packages/*/src/**/*.test.ts', 'packages/*/test/**/*.test.ts', 'scripts/**/*.test.ts'],
  interop: ['test/interop/**/*.test.ts'],
};

async function run(group: string, options: readonly string[]): Promise<number> {
  const files = (GROUPS[group] ?? []).flatMap((pattern) => globSync(pattern, { cwd: ROOT })).sort();
  if (files.length === 0) {
    console.error(`There is no test file in the group "${group}"; groups: ${Object.keys(GROUPS).join(', ')}`);
    return 1;
  }
  const args = ['--conditions=pipit-source', '--test', ...options, ...files];
  const child = spawn(process.execPath, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
  let tail = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    process.stdout.write(text);
    tail = (tail + text).slice(-4096);
  });
  const code = await new Promise<number | null>((done, failed) => {
    child.on('error', failed);
    child.on('close', done);
  });
  const count = (what: string): number => Number(new RegExp(`^. ${what} (\\d+)$`, 'm').exec(tail)?.[1] ?? 0);
  if (code !== 0) return 1;
  if (count('tests') === 0) return fail('No test ran.');
  if (count('skipped') + count('todo') > 0)
    return fail('Tests were skipped or left for later; make them run or delete them.');
  return 0;
}

function fail(sentence: string): number {
  console.error(sentence);
  return 1;
}

const [group = 'unit', ...options] = process.argv.slice(2);
process.exitCode = await run(group, options);
