/** The command line of `pipit retained`. */

import type { Command } from 'commander';
import type { Done } from '../commands.ts';
import { addConnectionOptions, type ConnectionArguments } from '../connection-options.ts';
import { number } from '../whole-number.ts';

export interface RetainedArguments extends ConnectionArguments {
  /** Seconds of silence. */
  readonly wait: number;
}

export interface ListArguments extends RetainedArguments {
  readonly verbose?: true;
  readonly json?: true;
}

export interface ClearArguments extends RetainedArguments {
  readonly dryRun?: true;
}

const silence = `
A broker does not say which retained message is the last: all are taken to be there when nothing has come for --wait seconds.
What this user may not read is not found.`;

const listNotes = `${silence}

Exit codes: 0 listed, 1 failed, 2 wrong usage.

Examples:
  pipit retained list '#'
  pipit retained list 'home/#' -v
  pipit retained list 'home/#' --json -L mqtts://broker.example`;

const clearNotes = `${silence}

Exit codes: 0 none is left, 1 failed, or some are left, 2 wrong usage.

Examples:
  pipit retained clear 'home/old/#' --dry-run
  pipit retained clear 'home/old/#'`;

export function define(retained: Command, done: Done): void {
  const command = (name: string, description: string): Command =>
    addConnectionOptions(retained.command(name).description(description).argument('<filter>', 'which topics')).option(
      '-W, --wait <seconds>',
      'how long nothing may come before it is taken to be all',
      number(0.1, 86_400),
      1,
    );
  command('list', 'Show which messages a broker retains.')
    .option('-v, --verbose', 'print topic and message, as sub -v does')
    .option('--json', 'print each as a line of JSON, as sub --json does')
    .addHelpText('after', listNotes)
    .action(async (filter: string, options: ListArguments) => {
      const { listCommand } = await import('./retained.ts');
      done(await listCommand(filter, options));
    });
  command('clear', 'Make a broker forget the messages it retains.')
    .option('--dry-run', 'only print the topics')
    .addHelpText('after', clearNotes)
    .action(async (filter: string, options: ClearArguments) => {
      const { clearCommand } = await import('./retained.ts');
      done(await clearCommand(filter, options));
    });
}
