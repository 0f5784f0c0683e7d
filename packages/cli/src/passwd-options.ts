/** The command line of `pipit passwd`. */

import type { Command } from 'commander';
import type { Done } from './commands.ts';

export interface PasswdArguments {
  readonly delete?: true;
  readonly scram?: true;
  readonly passwordFile?: string;
}

const notes = `
The password is read from the terminal, or is the first line of the input.

Examples:
  pipit passwd users.txt sensor-7
  pipit passwd users.txt sensor-7 --scram <secret
  pipit passwd users.txt sensor-7 --delete`;

export function define(command: Command, done: Done): void {
  command
    .argument('<file>', 'made when it is not there')
    .argument('<name>', 'the user name')
    .option('-D, --delete', 'remove the name')
    .option('--scram', 'store it for SCRAM-SHA-256 (enhanced authentication of MQTT 5) too')
    .option('--password-file <file>', 'read the password from a file')
    .addHelpText('after', notes)
    .action(async (file: string, name: string, options: PasswdArguments) => {
      const { passwdCommand } = await import('./passwd.ts');
      done(await passwdCommand(file, name, options));
    });
}
