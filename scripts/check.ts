/**
 * `npm run check`: every checker over the repository in the working directory, all at once, one line each. A checker
 * that read no file has failed, whatever it says.
 */
import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { readProjects } from './tidy/compiler.ts';

const ROOT = process.cwd();
const OWN_ROOT = resolve(import.meta.dirname, '..');

interface Outcome {
  readonly ok: boolean;
  readonly files: number;
  /** What the checker said; shown when it failed. */
  readonly output: string;
}

interface Checker {
  readonly name: string;
  readonly what: string;
  /** What to do when it fails. */
  readonly remedy: string;
  readonly run: () => Promise<Outcome>;
}

const CHECKERS: readonly Checker[] = [
  {
    name: 'biome',
    what: 'format and lint',
    remedy: '`npm run format` mends the format and what is safe to mend; the rest is yours',
    run: async () => {
      const { code, output } = await runTool('biome', ['check', '--error-on-warnings', '--max-diagnostics=none']);
      return { ok: code === 0, files: Number(/Checked (\d+) file/.exec(output)?.[1] ?? 0), output };
    },
  },
  {
    name: 'tsc',
    what: 'types, tests included; purity of the pure folders',
    remedy:
      'mend the types; a name unknown in a pure folder only, or a file "not under rootDir", is what it may not use',
    run: async () => {
      const { code, output } = await runTool('tsc', ['--build', 'tsconfig.check.json']);
      return { ok: code === 0, files: (await readProjects(ROOT)).files.size, output };
    },
  },
  {
    name: 'tidy',
    what: 'layers, purity, state, sizes, names, spec ids, a test for each statement',
    remedy: 'the rules and their reasons are in CONTRIBUTING.md; a size that must be has an entry in tidy.json',
    run: async () => {
      const { code, output } = await runTool('node', [resolve(import.meta.dirname, 'tidy.ts')]);
      return { ok: code === 0, files: Number(/Read (\d+) files/.exec(output)?.[1] ?? 0), output };
    },
  },
];

function runTool(name: string, args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(resolve(OWN_ROOT, 'node_modules/.bin', name), args, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  return new Promise((done, failed) => {
    child.on('error', failed);
    child.on('close', (code) => done({ code, output }));
  });
}

async function check({ name, what, remedy, run }: Checker): Promise<boolean> {
  const started = performance.now();
  const { ok, files, output } = await run();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const passed = ok && files > 0;
  console.log(
    `${passed ? 'ok  ' : 'FAIL'} ${name.padEnd(5)} ${String(files).padStart(4)} files ${seconds.padStart(5)} s  ${what}`,
  );
  if (!passed) console.log(`${output.trimEnd()}\n${files === 0 ? 'It read no file.\n' : ''}→ ${remedy}`);
  return passed;
}

const passed = await Promise.all(CHECKERS.map(check));
process.exitCode = passed.every(Boolean) ? 0 : 1;
