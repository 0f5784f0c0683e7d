import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type RunningCommand, run, scratch, startServe } from './command.ts';

/** The files that a command has loaded when it has ended, as V8 counts them. */
async function loaded(...args: readonly string[]): Promise<{ exitCode: number; files: readonly string[] }> {
  const folder = mkdtempSync(join(scratch, 'loaded-'));
  const { exitCode } = await run(args, '', { NODE_V8_COVERAGE: folder });
  const files = readdirSync(folder).flatMap((name) => {
    const { result } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as { result: { url: string }[] };
    return result.map(({ url }) => url).filter((url) => url.startsWith('file:'));
  });
  return { exitCode, files: files.map((url) => url.replace(/^.*\/(packages|node_modules)\//, '$1/')) };
}

/** `packages/cli`, `node_modules/commander` and so on. */
const homesOf = (files: readonly string[]): string[] =>
  [...new Set(files.map((file) => file.split('/').slice(0, 2).join('/')))].sort();

describe('what a command loads', () => {
  let serve: RunningCommand;
  let url: string;

  before(async () => {
    serve = await startServe('--memory', '--tcp', '0', '--log-level', 'silent');
    url = await serve.until('stdout', /^(mqtt:\S+)$/m);
  });
  after(async () => assert.equal((await serve.stop()).exitCode, 0));

  for (const args of [
    ['pub', '-t', 'a', '-m', 'x', '-q', '1'],
    ['sub', '-t', 'a', '-E'],
  ] as const) {
    test(`pipit ${args[0]} loads neither the broker nor the client, nor what they depend on`, async () => {
      const { exitCode, files } = await loaded(...args, '-L', url);
      assert.equal(exitCode, 0);
      assert.ok(files.includes(`packages/cli/src/${args[0]}.ts`), files.join('\n'));
      assert.deepEqual(homesOf(files), ['node_modules/commander', 'packages/cli', 'packages/protocol']);
      for (const other of ['serve', 'bench', 'doctor', 'store', 'conformance']) {
        assert.deepEqual(
          files.filter((file) => file.startsWith(`packages/cli/src/${other}`)),
          [],
        );
      }
    });
  }

  test('pipit retained loads the client, and not the broker', async () => {
    const { exitCode, files } = await loaded('retained', 'list', '#', '-W', '0.1', '-L', url);
    assert.equal(exitCode, 0);
    const homes = homesOf(files);
    assert.ok(homes.includes('packages/client') && !homes.includes('packages/broker'), homes.join());
  });

  test('what is there to be completed is known without loading what it does', async () => {
    const { exitCode, files } = await loaded('completion', 'bash');
    assert.equal(exitCode, 0);
    assert.deepEqual(homesOf(files), ['node_modules/commander', 'packages/cli', 'packages/protocol']);
  });
});
