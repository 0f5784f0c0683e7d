/** The command line of `pipit bench`. */

import { type Command, Option } from 'commander';
import { type BrokerUrl, parseBrokerUrl } from '../broker-url.ts';
import type { Done } from '../commands.ts';
import { addConnectionOptions, type ConnectionArguments } from '../connection-options.ts';
import { number, wholeNumber } from '../whole-number.ts';
import type { Delivery } from './bench-plan.ts';

export interface BenchArguments extends ConnectionArguments {
  readonly publishers: number;
  readonly subscribers: number;
  readonly deliver?: Delivery;
  readonly qos: 0 | 1 | 2;
  readonly size: number;
  readonly window: number;
  readonly rate?: number;
  /** Seconds. */
  readonly duration: number;
  readonly warmUp: number;
  readonly threads?: number;
  readonly topic: string;
  readonly json?: true;
}

const deliveries: readonly Delivery[] = ['pair', 'all', 'shared'];
const clientsMax = 100_000;
const secondsMax = 1_000_000;

const notes = `
Closed loop (the default): each publisher has --window messages under way, and sends the next when one was acknowledged and delivered.
That finds how much the broker gets through. Open loop (--rate): messages are due at equal distances, whatever the broker does, and
latency counts from when a message was due: that finds how long messages take at a load, stalls included. Clients run in threads
of this machine, which should not be the broker's: 'generator' says how busy or late they were.

Exit codes: 0 everything arrived once and in order, 1 it did not, or a client lost its connection, 2 wrong usage.

Examples:
  pipit bench mqtt://broker.example
  pipit bench mqtt://broker.example --publishers 100 --subscribers 100 -q 1 --window 1
  pipit bench mqtt://broker.example --publishers 1 --subscribers 500 --deliver all --rate 1000 --duration 60
  pipit bench mqtts://broker.example -u me --password-file secret --subscribers 5 --deliver shared -q 1 --json`;

export function define(command: Command, done: Done): void {
  command.argument('[url]', 'the broker, as -L takes it', parseBrokerUrl);
  addConnectionOptions(command)
    .option('--publishers <clients>', 'how many clients publish, each to its own topic', wholeNumber(1, clientsMax), 1)
    .option('--subscribers <clients>', 'how many clients subscribe', wholeNumber(0, clientsMax), 1)
    .addOption(
      new Option(
        '--deliver <to>',
        'who gets a message: the subscriber of its publisher (pair; the default for equal numbers), all of them, or one of a shared subscription',
      ).choices(deliveries),
    )
    .option('-q, --qos <qos>', 'of publishers and subscribers: 0, 1 or 2', wholeNumber(0, 2), 0)
    .option('--size <bytes>', 'the payload of each message', wholeNumber(16, 16_000_000), 64)
    .option(
      '--window <messages>',
      'closed loop: messages of a publisher that are under way',
      wholeNumber(1, 65_535),
      100,
    )
    .option('--rate <messages>', 'open loop: messages a second of all publishers together', number(0.001, 1e9))
    .option('--duration <seconds>', 'how long to measure', number(0.1, secondsMax), 10)
    .option('--warm-up <seconds>', 'and how long to load the broker before', number(0, secondsMax), 1)
    .option(
      '--threads <threads>',
      'share the clients among so many threads (default: one fewer than cores)',
      wholeNumber(1, 64),
    )
    .option('--topic <prefix>', 'publish below this topic', 'pipit-bench')
    .option('--json', 'print the result as JSON')
    .addHelpText('after', notes)
    .action(async (url: BrokerUrl | undefined, options: BenchArguments) => {
      const { benchCommand } = await import('./bench.ts');
      done(await benchCommand(url === undefined ? options : { ...options, url }));
    });
}
