/** Programs that a test starts and ends: what they print, line by line. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after } from 'node:test';

const lineMsMax = 30_000;

export interface Running {
  /** Resolves with the first line, of those printed so far and those to come, that has the text in it. */
  line(text: string): Promise<string>;
  /** Resolves with all it printed when it has ended well; rejects with the same when it has not. */
  readonly ended: Promise<string>;
  stop(): Promise<void>;
}

/** Whatever is still there when the tests of the file are over is killed. */
const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) signal(child, 'SIGKILL');
});

export function run(cwd: string, command: string, args: readonly string[], env = process.env): Running {
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  children.add(child);
  let text = '';
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', (line) => {
      text += `${line}\n`;
      for (const look of waiting) look();
    });
  }
  const ended = new Promise<string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      children.delete(child);
      if (code === 0) resolve(text);
      else reject(new Error(`${command} ${args.join(' ')} ended with ${code ?? signal}:\n${text}`));
    });
  });
  ended.catch(() => undefined);
  return {
    ended,
    line: async (wanted) => {
      const found = Promise.withResolvers<string>();
      const look = (): void => {
        const line = text.split('\n').find((each) => each.includes(wanted));
        if (line !== undefined) found.resolve(line);
      };
      const failed = (): void =>
        found.reject(new Error(`${command} ${args.join(' ')} has not said ${wanted}:\n${text}`));
      const timer = setTimeout(failed, lineMsMax);
      waiting.add(look);
      child.once('close', failed);
      look();
      try {
        return await found.promise;
      } finally {
        clearTimeout(timer);
        waiting.delete(look);
      }
    },
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'close');
      signal(child, 'SIGTERM');
      await gone;
    },
  };
}

/** To all that it started, too: `npx` hands nothing on. */
function signal({ pid }: ChildProcess, name: NodeJS.Signals): void {
  if (pid !== undefined) process.kill(-pid, name);
}
