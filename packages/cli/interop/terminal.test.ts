/** Long work in front of a person: one line on the terminal says how far it is; without a terminal nothing does. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type RunningCommand, run, scratch, startServe } from '../test/command.ts';

const clearing = '\r\x1b[K';
const program = `${import.meta.dirname}/../src/index.ts`;

describe('progress on a terminal', () => {
  const folder = mkdtempSync(join(scratch, 'terminal-'));
  const lines = join(folder, 'lines');
  const recording = join(folder, 'recording.jsonl');
  let serve: RunningCommand;
  let url: string;

  before(async () => {
    const numbers = Array.from({ length: 30_000 }, (_, i) => i);
    writeFileSync(lines, numbers.map((i) => `line ${i}\n`).join(''));
    writeFileSync(recording, numbers.map((i) => `{"at":${i},"topic":"r","payload":"${i}"}\n`).join(''));
    serve = await startServe('--data', join(folder, 'data'), '--tcp', '0', '--log-level', 'silent');
    url = await serve.until('stdout', /^(mqtt:\S+)$/m);
  });
  after(async () => assert.equal((await serve.stop()).exitCode, 0));

  /** What a terminal shows; the input comes from a file. */
  async function shown(args: readonly string[], input = '/dev/null'): Promise<string> {
    const words = [process.execPath, '--conditions=pipit-source', program, ...args];
    const command = `${words.map((word) => `'${word}'`).join(' ')} <${input}`;
    const terminal = spawn('script', ['-qefc', command, '/dev/null'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    terminal.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    await once(terminal, 'close');
    assert.equal(terminal.exitCode, 0, text);
    return text;
  }

  /** The cursor goes back to the beginning of the line, which is cleared at the end. */
  const line = (text: string): RegExp => new RegExp(`\\r\\x1b\\[K${text}`);

  for (const [title, args, text, input] of [
    ['pub -l', () => ['pub', '-L', url, '-t', 'l', '-q', '1', '-l'], '[\\d,]+ messages', lines],
    ['replay', () => ['replay', recording, '-L', url, '--speed', 'max'], '[\\d,]+ messages, \\d+ %', undefined],
    [
      'bench',
      () => ['bench', url, '--duration', '1', '--warm-up', '0.6'],
      'measuring, \\d of 1 s: published',
      undefined,
    ],
    ['retained clear', () => ['retained', 'clear', 'x/#', '-L', url, '-W', '0.2'], '1 of 1 cleared', undefined],
    [
      'store export',
      () => ['store', 'export', join(folder, 'data'), '-o', join(folder, 'out')],
      '[\\d,]+ lines',
      undefined,
    ],
  ] as const) {
    test(title, async () => {
      await run(['pub', '-L', url, '-t', 'x/1', '-m', 'x', '-r', '-q', '1']);
      const all = await shown(args(), input);
      assert.match(all, line(text));
      // The last of it is cleared.
      const last = all.slice(all.lastIndexOf(clearing) + clearing.length);
      assert.doesNotMatch(last, new RegExp(`^${text}`));
    });
  }

  test('without a terminal: nothing', async () => {
    const { stderr } = await run(['pub', '-L', url, '-t', 'l', '-l'], 'a\nb\n');
    assert.equal(stderr, '');
  });
});
