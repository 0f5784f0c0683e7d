/** Completion in a bash and a zsh with a terminal, typed with the TAB key. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { run, scratch } from '../test/command.ts';

/** Says what it was called with, so that completed words can be told from typed ones. */
const speaker = `pipit() { printf '<%s>' "$@"; echo; }`;

const shells = {
  bash: { command: 'bash --norc --noprofile -i', first: 'PS1="ready> "; bind "set bell-style none"' },
  zsh: { command: 'zsh -f -i', first: 'PS1="ready> "; autoload -U compinit; compinit -u -D' },
} as const;

for (const [shell, { command, first }] of Object.entries(shells)) {
  test(`${shell} completes commands, options, choices and files`, { timeout: 60_000 }, async () => {
    const folder = mkdtempSync(join(scratch, `${shell}-`));
    writeFileSync(join(folder, 'recording.jsonl'), '');
    writeFileSync(join(folder, 'script'), (await run(['completion', shell])).stdout);
    const terminal = spawn('script', ['-qfc', command, '/dev/null'], {
      cwd: folder,
      env: { ...process.env, TERM: 'dumb' },
    });
    let shown = '';
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
      shown += text;
    });
    const until = async (pattern: RegExp): Promise<void> => {
      while (!pattern.test(shown)) await once(terminal.stdout, 'data');
    };
    terminal.stdin.write(`${first}; ${speaker}; source ./script; echo be''gin\n`);
    await until(/begin/);
    for (const [typed, said] of [
      ['pipit doc\t', '<doctor>'],
      // zsh shows what an option means at the first TAB.
      ['pipit retained cl\t--dry\t\t', '<retained><clear><--dry-run>'],
      ['pipit bench --deliver sh\t', '<bench><--deliver><shared>'],
      ['pipit replay rec\t', '<replay><recording.jsonl>'],
    ] as const) {
      // A key at a time, as a shell reads ahead only what it is given.
      for (const key of typed) {
        terminal.stdin.write(key);
        await sleep(key === '\t' ? 300 : 5);
      }
      terminal.stdin.write('\n');
      await until(new RegExp(said.replaceAll(/[.\-<>]/g, '\\$&')));
    }
    terminal.stdin.write('exit\n');
    terminal.stdin.end();
    await once(terminal, 'close');
    assert.match(shown, /<replay><recording\.jsonl>/);
  });
}
