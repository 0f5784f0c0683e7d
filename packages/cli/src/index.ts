/** The `pipit` command: which command was asked for, and how it ends. What a command does is loaded when it runs. */

import { readFileSync } from 'node:fs';
import { EncodeError } from '@pipit/protocol';
import { Command, CommanderError } from 'commander';
import { addClientOptions, wholeNumber } from './client-options.ts';
import { CommandError, exitCodes } from './command-error.ts';
import { addConformanceOptions, type ConformanceArguments, conformanceCommand } from './conformance.ts';
import type { PasswdArguments } from './passwd.ts';
import type { PubArguments } from './pub.ts';
import { addServeOptions, type ServeArguments } from './serve-options.ts';
import { addStoreCommands } from './store-options.ts';
import type { SubArguments } from './sub.ts';

const exitCodeHelp = `
Exit codes: 0 done, 1 failed, 2 wrong usage, 27 timed out; what the broker refuses ends with its return or reason code.`;

process.exit(await run());

async function run(): Promise<number> {
  const ended = Promise.withResolvers<number>();
  try {
    await program((exitCode) => ended.resolve(exitCode)).parseAsync();
    return await ended.promise;
  } catch (error) {
    // Commander has told it already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage;
    if (error instanceof EncodeError) {
      console.error(`Error: ${error.message}.`);
      return exitCodes.usage;
    }
    if (!(error instanceof CommandError)) throw error;
    console.error(error.message);
    return error.exitCode;
  }
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
  const pub = pipit.command('pub').description('Publish a message, or every line of the input.');
  addClientOptions(pub)
    .option('-t, --topic <topic>', 'the topic')
    .option('-m, --message <text>', 'the message')
    .option('-n, --null-message', 'an empty message')
    .option('-f, --file <file>', 'the message is the content of a file')
    .option('-s, --stdin', 'the message is the whole input')
    .option('-l, --lines', 'every line of the input is a message')
    .option('-r, --retain', 'the broker keeps it for later subscribers')
    .action(async (options: PubArguments) => {
      const { publishCommand } = await import('./pub.ts');
      done(await publishCommand(options));
    });
  const sub = pipit.command('sub').description('Subscribe and print what arrives.');
  addClientOptions(sub)
    .option('-t, --topic <filter>', 'a topic filter; may be given more than once', collect)
    .option('-v, --verbose', 'print the topic before each message')
    .option('-C, --count <messages>', 'end after so many messages', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('-W, --wait <seconds>', 'end after so many seconds, with exit code 27', wholeNumber(1, 2_147_483))
    .action(async (options: SubArguments) => {
      const { subscribeCommand } = await import('./sub.ts');
      done(await subscribeCommand(options));
    });
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
  pub.addHelpText('after', exitCodeHelp);
  sub.addHelpText('after', exitCodeHelp);
  return pipit;
}

/** What is the same for every command. */
function settle(command: Command, name: string): void {
  command.helpOption('--help', 'print this help').showHelpAfterError(`'${name} --help' lists the options.`);
  command.allowExcessArguments(false);
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
