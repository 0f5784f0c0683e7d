/** The command line of `pipit explain`. */

import { type Command, Option } from 'commander';
import type { Done } from './commands.ts';
import { wholeNumber } from './whole-number.ts';

export interface ExplainArguments {
  readonly config: string;
  readonly client: string;
  readonly user?: string;
  readonly access?: string;
  readonly group?: readonly string[];
  readonly value?: readonly string[];
  readonly qos: number;
  readonly retain?: true;
}

const notes = `
Exit codes: 0 allowed, 1 denied, 2 wrong usage, or a configuration that cannot be used.

Examples:
  pipit explain -c pipit.yaml --client seven --user ada publish devices/seven/up
  pipit explain -c pipit.yaml --client seven --value claim.site=north subscribe 'sites/north/#'
  pipit explain -c pipit.yaml --client seven --user bob --qos 1 --retain publish config/seven`;

export function define(command: Command, done: Done): void {
  const several = (value: string, before: readonly string[] = []): string[] => [...before, value];
  command
    .requiredOption('-c, --config <file>', 'the configuration of the broker')
    .requiredOption('--client <id>', 'the client id')
    .option(
      '--user <name>',
      'the name that is proven: a user name, what a certificate or token says; without it nobody in particular',
    )
    .option('--access <name>', 'the users and rules of that name, for clients of a listener with such an `access`')
    .option('--group <name>', 'a group that a service or token says it is in; may be repeated', several)
    .option(
      '--value <name=value>',
      'another value for templates, such as claim.site=north or cert.cn=seven; may be repeated',
      several,
    )
    .option('--qos <qos>', 'of the message or the subscription', wholeNumber(0, 2), 0)
    .addOption(new Option('--retain', 'the message has RETAIN'))
    .argument('<action>', 'publish or subscribe')
    .argument('<topic>', 'a topic to publish to, or a filter to subscribe to')
    .addHelpText('after', notes)
    .action(async (action: string, topic: string, options: ExplainArguments) => {
      const { explainCommand } = await import('./explain.ts');
      done(await explainCommand(action, topic, options));
    });
}
