/**
 * The tarballs, installed together into an empty folder as a user would, and the first minute of the README there: on the command
 * line and in a program, on every supported line of Node, and in a browser. The examples are the README's own, to the letter, so the
 * default ports have to be free.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { build } from 'esbuild';
import { reported } from '../../packages/client/test/page.ts';
import { example } from './readme.ts';
import { type Running, run } from './running.ts';
import { npm, tarballs, temporaryFolder } from './tarballs.ts';

/** npm's package `node`: the oldest line we support, the one in long-term support, the newest. */
const lines = ['22.23.3', '24.21.0', '26.10.0'] as const;

const home = temporaryFolder('first-minute');
const application = join(home, 'application');

before(async () => {
  const dependencies = Object.fromEntries((await tarballs()).map(({ name, path }) => [name, `file:${path}`]));
  await Promise.all([
    install('application', { type: 'module', dependencies }),
    ...lines.map((line) => install(`node-${line}`, { dependencies: { node: line }, allowScripts: { node: true } })),
  ]);
});

async function install(folder: string, manifest: Readonly<Record<string, unknown>>): Promise<void> {
  mkdirSync(join(home, folder));
  writeFileSync(join(home, folder, 'package.json'), JSON.stringify({ private: true, ...manifest }));
  await npm(join(home, folder), 'install', '--no-audit', '--no-fund', '--prefer-offline');
}

/** With this Node, and what is installed, in front of everything else. */
function environment(line: string): NodeJS.ProcessEnv {
  const bins = [join(home, `node-${line}`, 'node_modules/.bin'), join(application, 'node_modules/.bin')];
  return { ...process.env, PATH: [...bins, process.env['PATH']].join(':') };
}

/** Runs the lines of a block: what serves or waits for messages goes on, the others end before the next begins. */
async function shell(block: string, cwd: string, env: NodeJS.ProcessEnv, during: (sub: Running) => Promise<void>) {
  const going: Running[] = [];
  let subscriber: Running | null = null;
  try {
    for (const line of block.split('\n').map((each) => each.replace(/\s+#\s.*$/, ''))) {
      // `exec`: the signal that ends it must reach the program.
      const program = run(cwd, 'sh', ['-c', `exec ${line}`], env);
      if (/pipit serve/.test(line)) await program.line('ready');
      if (/pipit sub/.test(line)) subscriber = program;
      if (/pipit (serve|sub)/.test(line)) going.push(program);
      else await program.ended;
    }
    assert.ok(subscriber !== null);
    await during(subscriber);
  } finally {
    for (const program of going.reverse()) await program.stop();
  }
}

for (const line of lines) {
  test(`Node ${line}: the program of the README`, async () => {
    const env = environment(line);
    assert.equal(await run(home, 'node', ['--version'], env).ended, `v${line}\n`);
    writeFileSync(join(application, 'greenhouse.ts'), example('program'));
    assert.equal(await run(application, 'node', ['greenhouse.ts'], env).ended, 'greenhouse/door open\n');
  });

  test(`Node ${line}: the command line of the README`, async () => {
    const env = environment(line);
    const version = await run(application, 'pipit', ['--version'], env).ended;
    assert.match(version, /^\d+\.\d+\.\d+\n$/);
    await shell(example('command line'), application, env, async (subscriber) => {
      assert.equal(await subscriber.line('greenhouse'), 'greenhouse/temperature 21.5');
    });
  });
}

test('Chromium: the page of the README', async () => {
  const env = environment(lines[2]);
  const server = run(application, 'npx', ['pipit', 'serve', '--memory'], env);
  try {
    await server.line('ready');
    await run(application, 'npx', ['pipit', 'pub', '-t', 'greenhouse/temperature', '-m', '21.5', '-r'], env).ended;
    // What it shows is told to us.
    const watch = `new MutationObserver(() => fetch('/seen', { method: 'POST', body: JSON.stringify(document.body.innerText) }))
      .observe(document.body, { childList: true });`;
    const result = await build({
      stdin: { contents: `${watch}\n${example('page')}`, resolveDir: application },
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'browser',
    });
    assert.equal(await reported(result.outputFiles[0]?.text ?? ''), 'greenhouse/temperature 21.5');
  } finally {
    await server.stop();
  }
});
