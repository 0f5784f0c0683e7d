/** The command line of `pipit doctor`. */

import type { Command } from 'commander';
import { type BrokerUrl, parseBrokerUrl } from '../broker-url.ts';
import type { Done } from '../commands.ts';
import { addConnectionOptions, type ConnectionArguments } from '../connection-options.ts';
import { number, wholeNumber } from '../whole-number.ts';

export interface DoctorArguments extends ConnectionArguments {
  readonly topic: string;
  /** Seconds. */
  readonly listen: number;
  readonly timeout: number;
  readonly rounds: number;
  readonly json?: true;
}

const notes = `
It publishes and subscribes below --topic only, clears what it retains there and ends the sessions it begins; for --listen seconds it
also subscribes to # and $SYS/#, to see what can be read. It tries to connect without credentials and with wrong ones. A
password is not sent to a broker whose certificate is not good, but with --insecure.

Exit codes: 0 nothing to act on, 1 the broker cannot be reached or lets nobody in, 2 wrong usage, 3 something to act on.

Examples:
  pipit doctor mqtt://broker.example
  pipit doctor mqtts://broker.example -u me --password-file secret --cafile ca.pem
  pipit doctor wss://broker.example/mqtt --json >report.json`;

export function define(command: Command, done: Done): void {
  command.argument('[url]', 'the broker, as -L takes it', parseBrokerUrl);
  addConnectionOptions(command)
    .option('--topic <prefix>', 'publish and subscribe below this topic', 'pipit-doctor')
    .option('--listen <seconds>', 'how long to look at what can be read; 0: not at all', number(0, 3600), 1)
    .option('--timeout <seconds>', 'how long the broker may take for one answer', number(0.1, 600), 5)
    .option('--rounds <count>', 'round trips to measure of each QoS', wholeNumber(1, 100_000), 20)
    .option('--json', 'print the report as JSON')
    .addHelpText('after', notes)
    .action(async (url: BrokerUrl | undefined, options: DoctorArguments) => {
      const { doctorCommand } = await import('./doctor.ts');
      done(await doctorCommand(url === undefined ? options : { ...options, url }));
    });
}
