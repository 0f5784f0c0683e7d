/** The `pipit` command as commander knows it. */

import { Command } from 'commander';
import { type CommandEntry, commands, type Done } from './commands.ts';
import { version } from './version.ts';

/** All commands by name; those of `defined` with their arguments and options. `done`: gets the exit code of the one that runs. */
export async function program(defined: readonly CommandEntry[], done: Done): Promise<Command> {
  const pipit = new Command('pipit')
    .description('MQTT for TypeScript: a broker and its command-line tools.')
    .version(version(), '--version', 'print the version')
    .helpOption('--help', 'print this help')
    .helpCommand(false)
    .showHelpAfterError("'pipit --help' lists the commands.")
    .exitOverride();
  for (const entry of commands) {
    const command = pipit.command(entry.name).description(entry.description);
    if (defined.includes(entry)) await entry.define(command, done, () => program(commands, done));
    settle(command, `pipit ${entry.name}`);
  }
  return pipit;
}

/** What is the same for every command, and for the commands of a command. */
function settle(command: Command, name: string): void {
  command.helpOption('--help', 'print this help').helpCommand(false);
  command.showHelpAfterError(`'${name} --help' lists the options.`).allowExcessArguments(false);
  for (const each of command.commands) settle(each, `${name} ${each.name()}`);
}
