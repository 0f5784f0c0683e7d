/** The command line of `pipit store`. What the commands do is loaded with the broker, when one runs. */

import { type Command, Option } from 'commander';
import type { Done } from './commands.ts';
import { wholeNumber } from './whole-number.ts';

export const sortKeys = ['bytes', 'queued', 'in-flight', 'subscriptions', 'offline', 'name'] as const;

export interface InspectArguments {
  readonly json?: true;
  readonly top: number;
  readonly sort: (typeof sortKeys)[number];
  readonly session?: string;
  readonly retained?: string;
}

export interface ExportArguments {
  readonly output?: string;
  readonly sessions?: true;
  readonly retained?: string;
}

export interface VerifyArguments {
  readonly json?: true;
}

type StoreCommands = typeof import('./store.ts');

export function define(store: Command, done: Done): void {
  const run = async (body: (commands: StoreCommands) => Promise<number>): Promise<void> => {
    done(await body(await import('./store.ts')));
  };
  const command = (name: string, description: string): Command =>
    store.command(name).description(description).argument('<directory>', 'the data directory of a broker');
  command('inspect', 'Show what a store holds, and who holds it. The broker may be running.')
    .option('--top <rows>', 'rows of a table at most', wholeNumber(1, 1_000_000_000), 20)
    .addOption(new Option('--sort <column>', 'which sessions come first').choices(sortKeys).default('bytes'))
    .option('--session <id>', 'one session: its subscriptions and the messages for it')
    .option('--retained <filter>', 'retained messages whose topics match')
    .option('--json', 'print everything as JSON')
    .addHelpText(
      'after',
      example('inspect ./pipit-data --sort queued --top 5', "inspect ./pipit-data --retained 'home/#'"),
    )
    .action((directory: string, options: InspectArguments) =>
      run(({ inspectCommand }) => inspectCommand(directory, options)),
    );
  command('verify', 'Read everything and tell what is damaged. The broker may be running.')
    .option('--json', 'print the report as JSON')
    .addHelpText(
      'after',
      `\nExit codes: 0 clean, 1 damaged, or the store cannot be read, 2 wrong usage.\n${example('verify ./pipit-data')}`,
    )
    .action((directory: string, options: VerifyArguments) =>
      run(({ verifyCommand }) => verifyCommand(directory, options)),
    );
  command('repair', 'Keep what can be read, set the rest aside in quarantine/. The broker must not be running.')
    .addHelpText(
      'after',
      `\nExit codes: 0 the store is clean now, 1 it is not, 2 wrong usage.\n${example('repair ./pipit-data')}`,
    )
    .action((directory: string) => run(({ repairCommand }) => repairCommand(directory)));
  command('export', 'Write what a store holds as lines of JSON. The broker may be running.')
    .option('-o, --output <file>', 'write to a file, which only its owner may read; without it to stdout')
    .option('--sessions', 'only sessions, their subscriptions and the messages for them')
    .option('--retained <filter>', 'only retained messages whose topics match; with --sessions, these too')
    .addHelpText(
      'after',
      example('export ./pipit-data -o data.jsonl', "export ./pipit-data --retained 'home/#' | gzip >home.jsonl.gz"),
    )
    .action((directory: string, options: ExportArguments) =>
      run(({ exportCommand }) => exportCommand(directory, options)),
    );
  command('import', 'Read such lines from stdin into a new store, or one whose broker is not running.')
    .addHelpText('after', `\n${importNotes}\n${example('import ./new-data <data.jsonl')}`)
    .action((directory: string) => run(({ importCommand }) => importCommand(directory)));
}

const importNotes = `A session replaces one of the same name, a retained message one of the same topic; what else is there stays.
When a line makes no sense, what came before it is in; importing again, once it is mended, puts it right.`;

function example(...lines: readonly string[]): string {
  return `\nExample${lines.length === 1 ? '' : 's'}:\n${lines.map((line) => `  pipit store ${line}`).join('\n')}`;
}
