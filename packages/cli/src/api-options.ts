/** The command lines of `pipit why` and `pipit trace`, which ask the HTTP API of a running broker. */

import type { Command } from 'commander';
import type { Done } from './commands.ts';
import { wholeNumber } from './whole-number.ts';

export interface ApiArguments {
  readonly api: string;
  readonly tokenFile?: string;
  readonly json?: true;
}

export interface TraceArguments extends ApiArguments {
  readonly client?: string;
  readonly address?: string;
  readonly filter?: string;
  readonly events: number;
  readonly seconds: number;
}

const access = `
The token is read from --token-file, or from PIPIT_TOKEN; one that may read will do. The broker is one with --admin.`;

function addApiOptions(command: Command): Command {
  return command
    .option('--api <url>', 'the HTTP API of the broker', 'http://127.0.0.1:8084')
    .option('--token-file <file>', 'read the token from a file')
    .option('--json', 'print JSON');
}

export function defineWhy(command: Command, done: Done): void {
  addApiOptions(command)
    .argument('<client>', 'the client id')
    .argument('[topic]', 'of the message; without it, all that is known of the client')
    .addHelpText(
      'after',
      `${access}

Examples:
  pipit why sensor-7 greenhouse/temperature
  PIPIT_TOKEN=… pipit why sensor-7 --api https://broker.example:8084 --json`,
    )
    .action(async (client: string, topic: string | undefined, options: ApiArguments) => {
      const { why } = await import('./why.ts');
      done(await why(client, topic ?? null, options));
    });
}

export function defineTrace(command: Command, done: Done): void {
  addApiOptions(command)
    .option('--client <id>', 'follow this client')
    .option('--address <ip>', 'follow who comes from this IP address')
    .option('--filter <filter>', 'follow messages of these topics')
    .option('--events <count>', 'end after so many', wholeNumber(1, 10_000), 1000)
    .option('--seconds <count>', 'end after so long', wholeNumber(1, 3600), 60)
    .addHelpText(
      'after',
      `${access} What is given of --client, --address and --filter must all fit.

Examples:
  pipit trace --filter 'greenhouse/#'
  pipit trace --client sensor-7 --seconds 600 --json >trace.ndjson`,
    )
    .action(async (options: TraceArguments) => {
      const { trace } = await import('./trace.ts');
      done(await trace(options));
    });
}
