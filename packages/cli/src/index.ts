/** The `pipit` command: which command was asked for, and how it ends. What a command does is loaded when it runs. */

import { readFileSync } from 'node:fs';
import { EncodeError } from '@pipit/protocol';
import { Command, CommanderError } from 'commander';
import { addClientCommands, isClientCommand } from './client-commands.ts';
import { CommandError, exitCodes, UsageError } from './command-error.ts';
import { addConformanceOptions, type ConformanceArguments, conformanceCommand } from './conformance.ts';
import { plainArguments } from './mosquitto-arguments.ts';
import type { PasswdArguments } from './passwd.ts';
import { addServeOptions, type ServeArguments } from './serve-options.ts';
import { addStoreCommands } from './store-options.ts';

process.exit(await run());

async function run(): Promise<number> {
  const ended = Promise.withResolvers<number>();
  const [, , name, ...args] = process.argv;
  try {
    const pipit = program((exitCode) => ended.resolve(exitCode));
    const command = isClientCommand(name) ? pipit.commands.find((each) => each.name() === name) : undefined;
    const plain = command === undefined ? args : plainArguments(args, command.options);
    await pipit.parseAsync(name === undefined ? [] : [name, ...plain], { from: 'user' });
    return await ended.promise;
  } catch (error) {
    return failed(error, isClientCommand(name) ? exitCodes.failure : exitCodes.usage);
  }
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

/** `done` is called with the exit code of the command that ran. */
function program(done: (exitCode: number) => void): Command {
  const pipit = new Command('pipit')
    .description('MQTT for TypeScript: a broker and its command-line tools.')
    .version(version(), '--version', 'print the version')
    .helpOption('--help', 'print this help')
    .helpCommand(false)
    .showHelpAfterError("'pipit --help' lists the commands.")
    .exitOverride();
  addServeOptions(pipit.command('serve').description('Run the broker.')).action(async (options: ServeArguments) => {
    const { serve } = await import('./serve.ts');
    done(await serve(options, version()));
  });
  addConformanceOptions(pipit.command('conformance').description('Test a broker against the standard.')).action(
    async (url: string, options: ConformanceArguments) => done(await conformanceCommand(url, options)),
  );
  addClientCommands(pipit, done);
  pipit
    .command('passwd')
    .description(
      'Set the password of a name in a password file; it is read from the terminal, or the first line of the input.',
    )
    .argument('<file>', 'made when it is not there')
    .argument('<name>', 'the user name')
    .option('-D, --delete', 'remove the name')
    .option('--scram', 'store it for SCRAM-SHA-256 (enhanced authentication of MQTT 5) too')
    .option('--password-file <file>', 'read the password from a file')
    .action(async (file: string, name: string, options: PasswdArguments) => {
      const { passwdCommand } = await import('./passwd.ts');
      done(await passwdCommand(file, name, options));
    });
  const store = pipit.command('store').description('Look into the data of a broker, check it, mend it.');
  addStoreCommands(store.helpCommand(false), done);
  for (const command of pipit.commands) settle(command, `pipit ${command.name()}`);
  for (const command of store.commands) settle(command, `pipit store ${command.name()}`);
  return pipit;
}

/** What is the same for every command. */
function settle(command: Command, name: string): void {
  command.helpOption('--help', 'print this help').showHelpAfterError(`'${name} --help' lists the options.`);
  command.allowExcessArguments(false);
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
