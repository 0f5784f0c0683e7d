/**
 * `npm run check`: every checker over the whole repository, one line each. A checker that read no file has failed,
 * whatever it says. The compiler's projects must between them read every TypeScript file there is, and every pure
 * folder's project every file of that folder that ships.
 */
import { spawn } from 'node:child_process';
import { globSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { API } from 'typescript/unstable/sync';

const ROOT = resolve(import.meta.dirname, '..');

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
      const { code, output } = await runTool('biome', ['check', '--error-on-warnings', '--max-diagnostics=50']);
      return { ok: code === 0, files: Number(/Checked (\d+) file/.exec(output)?.[1] ?? 0), output };
    },
  },
  {
    name: 'tsc',
    what: 'types, tests included; purity of the pure folders',
    remedy:
      'a name that is missing in a pure folder, or a file "not under rootDir", is something that folder may not use',
    run: async () => {
      const { code, output } = await runTool('tsc', ['--build', 'tsconfig.check.json']);
      const coverage = projectCoverage();
      return { ok: code === 0 && coverage.missed === '', files: coverage.files, output: output + coverage.missed };
    },
  },
  {
    name: 'tidy',
    what: 'layers, purity, sizes, names, spec ids',
    remedy: 'the rules and their reasons are in CONTRIBUTING.md; a size that must be has an entry in tidy.json',
    run: async () => {
      const { code, output } = await runTool('node', ['scripts/tidy.ts']);
      return { ok: code === 0, files: Number(/Read (\d+) files/.exec(output)?.[1] ?? 0), output };
    },
  },
];

function runTool(name: string, args: readonly string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(resolve(ROOT, 'node_modules/.bin', name), args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
  return new Promise((done, failed) => {
    child.on('error', failed);
    child.on('close', (code) => done({ code, output }));
  });
}

/** How many files the projects of tsconfig.check.json read, and a line for each file that none of them reads. */
function projectCoverage(): { files: number; missed: string } {
  const api = new API({ cwd: ROOT });
  const filesOf = (config: string): Set<string> =>
    new Set(api.parseConfigFile(resolve(ROOT, config)).fileNames.map((name) => relative(ROOT, name)));
  try {
    const all = globSync('{packages,scripts,test}/**/*.ts', { cwd: ROOT, exclude: ['**/node_modules', '**/dist'] });
    const configs = ['tsconfig.test.json', ...globSync('packages/*/tsconfig.json', { cwd: ROOT })];
    const covered = new Set(configs.flatMap((config) => [...filesOf(config)]));
    const missed = all.filter((path) => !covered.has(path)).map((path) => `${path} is in no project\n`);
    for (const config of globSync('packages/*/src/**/tsconfig.pure.json', { cwd: ROOT })) {
      const read = filesOf(config);
      const folder = `${dirname(config)}/`;
      const shipped = all.filter((path) => path.startsWith(folder) && !/\.(test|suite)\.ts$/.test(path));
      missed.push(...shipped.filter((path) => !read.has(path)).map((path) => `${path} is not in ${config}\n`));
    }
    return { files: covered.size, missed: missed.join('') };
  } finally {
    api.close();
  }
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
