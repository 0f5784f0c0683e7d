/**
 * Every command, by name. What its options are is loaded when it is asked for, what it does when it runs: to add a command, add
 * a line here, a module with its options, and a module that does it.
 */

import type { Command } from 'commander';
import { exitCodes } from './command-error.ts';

/** Called with the exit code of the command that ran. */
export type Done = (exitCode: number) => void;

/** `pipit` with the options of all its commands. */
export type Whole = () => Promise<Command>;

export interface CommandEntry {
  readonly name: string;
  /** One sentence. */
  readonly description: string;
  /** The exit code of wrong usage. */
  readonly usageExitCode: number;
  /** Declares arguments, options, examples, and what runs. */
  readonly define: (command: Command, done: Done, whole: Whole) => Promise<void>;
}

const { usage, failure } = exitCodes;

export const commands: readonly CommandEntry[] = [
  entry('serve', 'Run the broker.', async (command, done) =>
    (await import('./serve-options.ts')).define(command, done),
  ),
  // Those of Mosquitto end with 1 for wrong usage.
  {
    ...entry('pub', 'Publish a message, or every line of the input.', async (command, done) =>
      (await import('./client-commands.ts')).definePub(command, done),
    ),
    usageExitCode: failure,
  },
  {
    ...entry('sub', 'Subscribe and print what arrives.', async (command, done) =>
      (await import('./client-commands.ts')).defineSub(command, done),
    ),
    usageExitCode: failure,
  },
  {
    ...entry('rpc', 'Send a request and print the response.', async (command, done) =>
      (await import('./client-commands.ts')).defineRpc(command, done),
    ),
    usageExitCode: failure,
  },
  entry('bench', 'Load a broker, and say how much it gets through and how long that takes.', async (command, done) =>
    (await import('./bench/bench-options.ts')).define(command, done),
  ),
  entry(
    'doctor',
    'Say what a broker supports and limits, how fast it answers, and what is not safe.',
    async (command, done) => (await import('./doctor/doctor-options.ts')).define(command, done),
  ),
  entry('record', 'Write what arrives to a file, with the time of each message.', async (command, done) =>
    (await import('./recording/record-options.ts')).define(command, done),
  ),
  entry('replay', 'Publish what was recorded again, as fast as it came or at another speed.', async (command, done) =>
    (await import('./recording/replay-options.ts')).define(command, done),
  ),
  entry('retained', 'List the messages that a broker retains, or clear them.', async (command, done) =>
    (await import('./retained/retained-options.ts')).define(command, done),
  ),
  entry('conformance', 'Test a broker against the standard.', async (command, done) =>
    (await import('./conformance.ts')).define(command, done),
  ),
  entry('passwd', 'Set the password of a name in a password file.', async (command, done) =>
    (await import('./passwd-options.ts')).define(command, done),
  ),
  entry('explain', 'Say which rule decides what a client may do, and why.', async (command, done) =>
    (await import('./explain-options.ts')).define(command, done),
  ),
  entry('why', 'Ask a broker why a message did not reach a client.', async (command, done) =>
    (await import('./api-options.ts')).defineWhy(command, done),
  ),
  entry('trace', 'Follow a client, an address or topics of a broker live.', async (command, done) =>
    (await import('./api-options.ts')).defineTrace(command, done),
  ),
  entry('store', 'Look into the data of a broker, check it, mend it.', async (command, done) =>
    (await import('./store-options.ts')).define(command, done),
  ),
  entry('completion', 'Print a script that completes commands and options in a shell.', async (command, done, whole) =>
    (await import('./completion/completion-options.ts')).define(command, done, whole),
  ),
];

function entry(name: string, description: string, define: CommandEntry['define']): CommandEntry {
  return { name, description, usageExitCode: usage, define };
}
