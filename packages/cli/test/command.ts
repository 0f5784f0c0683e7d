/** Runs `pipit` as a process of its own, from the sources. */

import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

const program = `${import.meta.dirname}/../src/index.ts`;
/** Half of the time of a short command would go into stripping types. */
const cache = `${import.meta.dirname}/../../../node_modules/.cache/compile`;

export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Where commands run: what they leave behind goes with the test. */
export const scratch = mkdtempSync(join(tmpdir(), 'pipit-cli-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

/** What a failed test leaves running would keep the others waiting. */
const running = new Set<ChildProcessWithoutNullStreams>();
after(() => {
  for (const process of running) process.kill('SIGKILL');
});

export class RunningCommand {
  readonly process: ChildProcessWithoutNullStreams;
  /** What was printed so far, a character a byte. */
  stdout = '';
  stderr = '';
  readonly #closed: Promise<unknown[]>;

  constructor(args: readonly string[], cwd: string, environment: Readonly<Record<string, string>> = {}) {
    this.process = spawn(process.execPath, ['--conditions=pipit-source', program, ...args], {
      cwd,
      env: { ...process.env, NODE_COMPILE_CACHE: cache, ...environment },
    });
    running.add(this.process);
    this.#closed = once(this.process, 'close').finally(() => running.delete(this.process));
    this.process.stdout.setEncoding('latin1').on('data', (text: string) => {
      this.stdout += text;
    });
    this.process.stderr.setEncoding('latin1').on('data', (text: string) => {
      this.stderr += text;
    });
  }

  /** Resolves once the pattern occurs in what was printed; rejects when the command ends without. */
  async until(output: 'stdout' | 'stderr', pattern: RegExp): Promise<string> {
    const isOver = this.#closed.then(() => true);
    for (;;) {
      const found = pattern.exec(this[output]);
      if (found !== null) return found[1] ?? found[0];
      const printed = once(this.process[output], 'data').then(() => false);
      if ((await Promise.race([printed, isOver])) && !pattern.test(this[output])) {
        throw new Error(`pipit ended without ${pattern}:\n${this.stdout}${this.stderr}`);
      }
    }
  }

  async outcome(): Promise<Outcome> {
    await this.#closed;
    return { exitCode: this.process.exitCode ?? -1, stdout: this.stdout, stderr: this.stderr };
  }

  stop(): Promise<Outcome> {
    this.process.kill('SIGTERM');
    return this.outcome();
  }
}

export function start(...args: string[]): RunningCommand {
  return new RunningCommand(args, scratch);
}

/** Runs a command to its end, with `input` as its stdin. */
export function run(
  args: readonly string[],
  input: string | Uint8Array = '',
  environment: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const command = new RunningCommand(args, scratch, environment);
  command.process.stdin.on('error', () => undefined).end(input);
  return command.outcome();
}

/** A `sub` whose subscription the broker has confirmed. */
export async function startSub(...args: string[]): Promise<RunningCommand> {
  const sub = start('sub', '-d', ...args);
  await sub.until('stderr', /received SUBACK/);
  return sub;
}

/** A broker that is ready, in a folder of its own. */
export function startServe(...args: string[]): Promise<RunningCommand> {
  return startServeIn(mkdtempSync(join(scratch, 'serve-')), ...args);
}

/** A broker that is ready. */
export async function startServeIn(folder: string, ...args: string[]): Promise<RunningCommand> {
  const serve = new RunningCommand(['serve', ...args], folder);
  await serve.until('stdout', /^ready$/m);
  return serve;
}
