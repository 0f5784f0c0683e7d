import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { run, scratch } from './command.ts';

describe('pipit completion bash', () => {
  const folder = mkdtempSync(join(scratch, 'completion-'));

  before(async () => {
    const { exitCode, stdout, stderr } = await run(['completion', 'bash']);
    assert.deepEqual([exitCode, stderr], [0, '']);
    writeFileSync(join(folder, 'pipit.bash'), stdout);
  });

  /** What bash offers for the last of the words. */
  function offered(...words: readonly string[]): string[] {
    const list = words.map((word) => `'${word}'`).join(' ');
    const line = `source pipit.bash; COMP_WORDS=(pipit ${list}); COMP_CWORD=${words.length}; _pipit; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { status, stdout, stderr } = spawnSync('bash', ['--norc', '-c', line], { cwd: folder, encoding: 'utf8' });
    assert.deepEqual([status, stderr], [0, '']);
    return stdout.split('\n').filter((word) => word !== '');
  }

  for (const [words, expected] of [
    [['re'], ['record', 'replay', 'retained']],
    [['--v'], ['--version']],
    [
      ['retained', ''],
      ['list', 'clear'],
    ],
    [['store', 'ver'], ['verify']],
    [['store', 'inspect', '--so'], ['--sort']],
    [['store', 'inspect', '--sort', 'b'], ['bytes']],
    [
      ['sub', '--retain'],
      ['--retained-only', '--retain-as-published'],
    ],
    [['pub', '-t', 'store', '--lin'], ['--lines']],
    [['pub', '--tls-version', 'tlsv1.2'], ['tlsv1.2']],
    [
      ['bench', '--deliver', ''],
      ['pair', 'all', 'shared'],
    ],
    [
      ['completion', ''],
      ['bash', 'zsh'],
    ],
    // Names of files are left to bash, and what cannot be guessed to nobody.
    [['replay', ''], []],
    [['pub', '--cafile', ''], []],
    [['pub', '-m', '--li'], []],
    [['nonsense', '--'], []],
  ] as const) {
    test(`pipit ${words.join(' ')}<TAB>`, () => assert.deepEqual(offered(...words), expected));
  }

  test('every command is offered, with --help', async () => {
    const commands = offered('');
    for (const [, name = ''] of (await run(['--help'])).stdout.matchAll(/^ {2}(\w+) {2,}[A-Z]/gm)) {
      assert.ok(commands.includes(name), name);
      assert.ok(offered(name, '--he').includes('--help'), name);
    }
    assert.ok(commands.length >= 10);
  });

  test('the help of every command has an example', async () => {
    const parents = ['store', 'retained'];
    const names = offered('').filter((name) => !parents.includes(name));
    const below = parents.flatMap((parent) => offered(parent, '').map((name) => [parent, name]));
    for (const words of [...names.map((name) => [name]), ...below]) {
      const { exitCode, stdout } = await run([...words, '--help']);
      assert.equal(exitCode, 0);
      assert.match(stdout, new RegExp(`\nExamples?:\n.*pipit ${words.join(' ')}`), words.join(' '));
    }
  });

  test('another shell is refused in a sentence', async () => {
    const { exitCode, stderr } = await run(['completion', 'fish']);
    assert.equal(exitCode, 2);
    assert.match(stderr, /Allowed choices are bash, zsh/);
  });
});
