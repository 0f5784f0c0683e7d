/** The `pipit` command: which command was asked for, and how it ends. What it does is loaded when it runs. */

import { EncodeError } from '@pipit/protocol';
import { type Command, CommanderError, type Option } from 'commander';
import { CommandError, exitCodes, UsageError } from './command-error.ts';
import { commands } from './commands.ts';
import { plainArguments } from './mosquitto-arguments.ts';
import { program } from './program.ts';

process.exit(await run());

async function run(): Promise<number> {
  const ended = Promise.withResolvers<number>();
  const [, , name, ...args] = process.argv;
  const entry = commands.find((each) => each.name === name);
  try {
    const pipit = await program(entry === undefined ? [] : [entry], ended.resolve);
    const command = pipit.commands.find((each) => each.name() === name);
    const plain = command === undefined ? args : plainArguments(args, optionsOf(command, args));
    await pipit.parseAsync(name === undefined ? [] : [name, ...plain], { from: 'user' });
    return await ended.promise;
  } catch (error) {
    return failed(error, entry?.usageExitCode ?? exitCodes.usage);
  }
}

/** Those of the command itself, or of the one below it that is asked for. */
function optionsOf(command: Command, args: readonly string[]): readonly Option[] {
  return (command.commands.find((each) => each.name() === args[0]) ?? command).options;
}

/** Tells it, unless it was told already. `usage`: the exit code of wrong usage. */
function failed(error: unknown, usage: number): number {
  // Commander has told it already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usage;
  if (error instanceof EncodeError) {
    console.error(`Error: ${error.message}.`);
    return usage;
  }
  if (!(error instanceof CommandError)) throw error;
  console.error(error.message);
  return error instanceof UsageError ? usage : error.exitCode;
}
