/** The command line of `pipit record`. */

import type { Command } from 'commander';
import type { Done } from '../commands.ts';
import { addConnectionOptions, type ConnectionArguments } from '../connection-options.ts';
import { number, wholeNumber } from '../whole-number.ts';

export interface RecordArguments extends ConnectionArguments {
  readonly output?: string;
  readonly qos: 0 | 1 | 2;
  readonly count?: number;
  /** Seconds. */
  readonly duration?: number;
  /** False: `-R`. */
  readonly retained: boolean;
}

const notes = `
Each line of the file is a message in JSON, as sub --json prints them, and in 'at' the milliseconds since the recording began;
'pipit replay' publishes them again, and so does 'pipit pub --json', without the pauses. It ends by an interrupt (Ctrl-C), -C or
--duration, and goes on by itself when the connection was lost.

Exit codes: 0 recorded, 1 failed, 2 wrong usage.

Examples:
  pipit record 'home/#' -o home.jsonl
  pipit record 'a/#' 'b/#' -L mqtts://broker.example --duration 3600 -o hour.jsonl
  pipit record '#' -R -C 1000 | gzip >thousand.jsonl.gz`;

export function define(command: Command, done: Done): void {
  command.argument('<filter...>', 'the topic filters');
  addConnectionOptions(command)
    .option('-o, --output <file>', 'write to a file, which only its owner may read; without it to stdout')
    .option('-q, --qos <qos>', 'take messages with this quality of service at most: 0, 1 or 2', wholeNumber(0, 2), 2)
    .option('-C, --count <messages>', 'end after so many messages', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--duration <seconds>', 'end after so long', number(0, 2_147_483))
    .option('-R, --no-retained', 'leave out what was retained before')
    .addHelpText('after', notes)
    .action(async (filters: readonly string[], options: RecordArguments) => {
      const { recordCommand } = await import('./record.ts');
      done(await recordCommand(filters, options));
    });
}
