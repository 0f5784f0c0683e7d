/** The built `pipit serve` as a process to stop, kill and watch, on a data directory that outlives it. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child, type Ended } from '../interop/child.ts';
import { pipitBin } from '../interop/pipit.ts';

export class Served {
  readonly port: number;
  /** What it printed before `ready`. */
  readonly lines: readonly string[];
  readonly #child: Child;

  private constructor(child: Child, lines: readonly string[]) {
    this.#child = child;
    this.lines = lines;
    this.port = Number(/^mqtt:\/\/127\.0\.0\.1:(\d+)$/m.exec(lines.join('\n'))?.[1]);
  }

  /** Resolves once it is ready. `under`: a program and its arguments that run it. */
  static async start(data: string, args: readonly string[] = [], under: readonly string[] = []): Promise<Served> {
    const lines: string[] = [];
    const ready = Promise.withResolvers<void>();
    const line = (text: string): void => {
      if (text === 'ready') ready.resolve();
      else lines.push(text);
    };
    const command = [...under, process.execPath, pipitBin, 'serve', '--tcp', '0', '--data', data, ...args];
    const child = new Child(command, { line });
    await Promise.race([ready.promise, child.endedEarly()]);
    return new Served(child, lines);
  }

  /** Starts it and kills it so many milliseconds later, ready or not. */
  static async killWhileStarting(data: string, ms: number, args: readonly string[] = []): Promise<void> {
    const child = new Child([process.execPath, pipitBin, 'serve', '--tcp', '0', '--data', data, ...args], {});
    await sleep(ms);
    assert.deepEqual(await child.kill('SIGKILL'), { code: null, signal: 'SIGKILL' });
  }

  /** What it logged: one JSON object a line. */
  get log(): readonly Record<string, unknown>[] {
    const whole = this.#child.errors.slice(0, this.#child.errors.lastIndexOf('\n') + 1);
    return whole.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
  }

  /** Resolves when it has logged this message. */
  logged(message: string): Promise<void> {
    return this.#child.wrote(`"msg":"${message}"`);
  }

  stop(): Promise<Ended> {
    return this.#child.kill('SIGTERM');
  }

  /** Asks it to stop and kills it so many milliseconds later, done or not. */
  async killWhileStopping(ms: number): Promise<void> {
    const ended = this.stop();
    await sleep(ms);
    await this.kill();
    const { code, signal } = await ended;
    assert.ok(code === 0 || signal === 'SIGKILL', `it ended with ${signal ?? code}`);
  }

  kill(): Promise<Ended> {
    return this.#child.kill('SIGKILL');
  }
}
