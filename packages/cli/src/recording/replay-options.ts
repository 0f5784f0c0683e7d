/** The command line of `pipit replay`. */

import { type Command, InvalidArgumentError } from 'commander';
import type { Done } from '../commands.ts';
import { addConnectionOptions, type ConnectionArguments } from '../connection-options.ts';
import { wholeNumber } from '../whole-number.ts';

export interface ReplayArguments extends ConnectionArguments {
  /** Infinity: without pauses. */
  readonly speed: number;
  readonly prefix: string;
  /** False: nothing is published with RETAIN. */
  readonly retain: boolean;
  readonly repeat: number;
}

const notes = `
The pauses between messages are those of the recording, divided by --speed. Lines need 'at' or 'time': those of 'pipit record'
have both, those of 'pipit sub --json' the latter.

Exit codes: 0 the broker has taken every message, 1 it has not, or it was stopped, 2 wrong usage.

Examples:
  pipit replay home.jsonl
  pipit replay home.jsonl --speed 10 --prefix replay/ --no-retain
  gunzip <hour.jsonl.gz | pipit replay - --speed max -L mqtts://broker.example`;

export function define(command: Command, done: Done): void {
  command.argument('<file>', 'what pipit record wrote; - is stdin');
  addConnectionOptions(command)
    .option('--speed <factor>', 'so many times as fast; max: without pauses', parseSpeed, 1)
    .option('--prefix <text>', 'what to put before every topic', '')
    .option('--no-retain', 'let the broker retain nothing')
    .option('--repeat <times>', 'play it so many times', wholeNumber(1, Number.MAX_SAFE_INTEGER), 1)
    .addHelpText('after', notes)
    .action(async (file: string, options: ReplayArguments) => {
      const { replayCommand } = await import('./replay.ts');
      done(await replayCommand(file, options));
    });
}

function parseSpeed(text: string): number {
  if (text === 'max') return Number.POSITIVE_INFINITY;
  const speed = /^\d*\.?\d+$/.test(text) ? Number(text) : 0;
  if (speed > 0) return speed;
  throw new InvalidArgumentError('It has to be a number above 0, or max.');
}
