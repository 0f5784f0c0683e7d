/**
 * `npm test`, `npm run test:attacks`, `test:durability`, `test:interop` and `test:packages`: the test files of one group, with the sources unbuilt. Ends on the counts,
 * `# tests N` first. Fails also when a file held no test, or when a test was skipped or left for later.
 */
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';

const GROUPS: Readonly<Record<string, readonly string[]>> = {
  unit: ['packages/*/src/**/*.test.ts', 'packages/*/test/**/*.test.ts', 'bench/**/*.test.ts', 'scripts/**/*.test.ts'],
  packages: ['test/packages/**/*.test.ts'],
  attacks: ['test/attacks/**/*.test.ts'],
  durability: ['test/durability/**/*.test.ts'],
  interop: ['test/interop/**/*.test.ts', 'packages/*/interop/**/*.test.ts'],
};

/** Tests of pure code in virtual time share one process: starting a process for each file would cost most of the time. */
const SHARED = /^packages\/(protocol|broker|client)\/(src\/(core|store|auth|wire|flow)|test\/scenarios)\//;

interface Counts {
  tests: number;
  suites: number;
  pass: number;
  fail: number;
  cancelled: number;
  skipped: number;
  todo: number;
  duration_ms: number;
}

/** Runs the files and prints what happens; the counts and, in `faults`, why the run counts as failed. */
async function runFiles(
  files: readonly string[],
  isolation: 'none' | 'process',
): Promise<{ counts: Counts; faults: string[] }> {
  const events =
    isolation === 'none'
      ? run({ files, isolation })
      : run({ files, isolation, concurrency: availableParallelism(), execArgv: ['--conditions=pipit-source'] });
  const counts = { tests: 0, suites: 0, pass: 0, fail: 0, cancelled: 0, skipped: 0, todo: 0, duration_ms: 0 };
  const faults: string[] = [];
  const paths = new Set(files.map((file) => resolve(file)));
  const silent = new Set(isolation === 'none' ? paths : []);

  async function* withoutSummary(): AsyncGenerator {
    for await (const event of events) {
      if (event.type === 'test:summary' && event.data.file === undefined) {
        const { passed, failed, ...others } = event.data.counts;
        Object.assign(counts, {
          pass: passed,
          fail: failed,
          ...others,
          duration_ms: Math.round(event.data.duration_ms),
        });
        if (!event.data.success) faults.push('Tests failed.');
      }
      // A file in which no test was registered is reported as one passing test that bears the file's name.
      if (event.type === 'test:pass' && paths.has(resolve(event.data.name)))
        faults.push(`${event.data.name} holds no test.`);
      if (event.type === 'test:start' && event.data.file !== undefined) silent.delete(event.data.file);
      const isSummary = event.type === 'test:diagnostic' && event.data.nesting === 0 && event.data.file === undefined;
      if (!isSummary) yield event;
    }
  }

  for await (const text of Readable.from(withoutSummary()).compose(new spec())) process.stdout.write(text);
  for (const file of silent) faults.push(`${file} holds no test.`);
  if (counts.tests === 0) faults.push('No test ran.');
  if (counts.skipped + counts.todo > 0)
    faults.push('Tests were skipped or left for later: make them run or delete them.');
  return { counts, faults };
}

const [group = '', ...named] = process.argv.slice(2);
const patterns = GROUPS[group];
if (patterns === undefined) throw new Error(`usage: test.ts ${Object.keys(GROUPS).join('|')} [FILE…]`);
const files = named.length > 0 ? named : patterns.flatMap((pattern) => globSync(pattern)).sort();
const shared = files.filter((file) => SHARED.test(file));
const alone = files.filter((file) => !SHARED.test(file));
const runs = [];
if (shared.length > 0) runs.push(await runFiles(shared, 'none'));
if (alone.length > 0 || shared.length === 0) runs.push(await runFiles(alone, 'process'));
for (const fault of runs.flatMap(({ faults }) => faults)) console.error(fault);
for (const what of ['tests', 'suites', 'pass', 'fail', 'cancelled', 'skipped', 'todo', 'duration_ms'] as const) {
  console.log(`# ${what} ${runs.reduce((sum, { counts }) => sum + counts[what], 0)}`);
}
process.exitCode = runs.every(({ faults }) => faults.length === 0) ? 0 : 1;
