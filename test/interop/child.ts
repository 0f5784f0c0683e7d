/**
 * A program started by the tests: its output by lines, and its end. None outlives the test process, and never more
 * than a few start at the same time, since the machine may have two cores.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ChildOptions {
  /** Called with each line of standard output. */
  readonly line?: (text: string) => void;
  /** Called with each line of standard error. */
  readonly errorLine?: (text: string) => void;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export class Child {
  readonly ended: Promise<Ended>;
  readonly #name: string;
  readonly #child;
  readonly #awaited: { readonly text: string; readonly resolve: () => void }[] = [];
  #errors = '';

  constructor(command: readonly string[], { line, errorLine, cwd, env }: ChildOptions) {
    const [program = '', ...args] = command;
    this.#name = command.join(' ');
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], cwd, env: { ...process.env, ...env } });
    const child = this.#child;
    running.add(child);
    this.ended = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        running.delete(child);
        resolve({ code, signal });
      });
    });
    if (line === undefined) child.stdout.resume();
    else createInterface(child.stdout).on('line', line);
    if (errorLine !== undefined) createInterface(child.stderr).on('line', errorLine);
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text;
      for (const { text, resolve } of this.#awaited) if (this.#errors.includes(text)) resolve();
    });
    child.once('error', (error) => {
      this.#errors += error.message;
    });
    // A program that ends before it has read everything is seen by how it ended.
    child.stdin.on('error', () => {});
  }

  /** What it wrote to standard error so far. */
  get errors(): string {
    return this.#errors;
  }

  /** Done when it has written this to standard error. */
  wrote(text: string): Promise<void> {
    return new Promise((resolve) => {
      this.#awaited.push({ text, resolve });
      if (this.#errors.includes(text)) resolve();
    });
  }

  write(text: string): void {
    this.#child.stdin.write(text);
  }

  endInput(text = ''): void {
    this.#child.stdin.end(text);
  }

  kill(signal: NodeJS.Signals): Promise<Ended> {
    this.#child.kill(signal);
    return this.ended;
  }

  /** Fails when the program ends, which is not expected yet. */
  async endedEarly(): Promise<never> {
    throw await this.failure();
  }

  async failure(): Promise<Error> {
    const { code, signal } = await this.ended;
    return new Error(`${this.#name}: ended with ${signal ?? code}; ${this.#errors.trim()}`);
  }
}

/** Hands out a number of permits; who asks for more waits. */
export class Permits {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async holding<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}

/** What a program prints, or an error that says which Debian package to install. */
export function outputOf(command: string, args: readonly string[], debianPackage: string): string {
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (error === undefined && status !== null) return stdout + stderr;
  throw new Error(`${command} is missing: apt-get install ${debianPackage}`);
}
