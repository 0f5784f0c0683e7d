/** The command lines of `pub`, `sub` and `rpc`, which are those of Mosquitto's programs. What they do is loaded when one runs. */

import type { Command } from 'commander';
import { addClientOptions } from './client-options.ts';
import { CommandError, UsageError } from './command-error.ts';
import type { Done } from './commands.ts';
import type { PubArguments } from './pub.ts';
import type { RpcArguments } from './rpc.ts';
import type { SubArguments } from './sub.ts';
import { number, wholeNumber } from './whole-number.ts';

const exitCodeHelp = `
Exit codes, as Mosquitto has them: 0 done, 1 failed or wrong usage, 7 the connection was lost, 27 timed out; what the broker
refuses ends with its return or reason code.`;

const pubHelp = `
Examples:
  pipit pub -t home/door -m open -q 1 -r
  pipit pub -h broker.example -u me --password-file secret -t log -l <app.log
  pipit sub -t 'a/#' --json | pipit pub -L mqtt://other.example --json`;

const subHelp = `
Examples:
  pipit sub -t 'home/#' -v
  pipit sub -t 'home/#' -F '@H:@M:@S %t %p'
  pipit sub -t 'home/#' --retained-only --remove-retained
  pipit sub -t '$SYS/#' -C 10 -W 5 --json`;

const rpcHelp = `
Example:
  pipit rpc -t services/time -m now -W 5`;

const secondsMax = 2_147_483;

export function definePub(command: Command, done: Done): void {
  addPub(command).action((options) =>
    ended(options, done, async () => (await import('./pub.ts')).publishCommand(options)),
  );
}

export function defineSub(command: Command, done: Done): void {
  addSub(command).action((options) =>
    ended(options, done, async () => (await import('./sub.ts')).subscribeCommand(options)),
  );
}

export function defineRpc(command: Command, done: Done): void {
  addRpc(command).action((options) =>
    ended(options, done, async () => (await import('./rpc.ts')).requestCommand(options)),
  );
}

async function ended(
  { quiet }: PubArguments | SubArguments | RpcArguments,
  done: Done,
  run: () => Promise<number>,
): Promise<void> {
  try {
    done(await run());
  } catch (error) {
    if (!(error instanceof CommandError) || error instanceof UsageError || quiet !== true) throw error;
    done(error.exitCode);
  }
}

function addMessageOptions(command: Command): Command {
  return command
    .option('-t, --topic <topic>', 'the topic')
    .option('-m, --message <text>', 'the message')
    .option('-n, --null-message', 'an empty message')
    .option('-f, --file <file>', 'the message is the content of a file')
    .option('-s, --stdin', 'the message is the whole input');
}

function addPrintOptions(command: Command): Command {
  return command
    .option('-v, --verbose', 'print the topic before each message')
    .option('-F, --format <format>', "print each message in this format of mosquitto_sub's, such as '%I %t %p' or %j")
    .option('--pretty', 'print the JSON of %j and %J on several lines')
    .option('-N, --no-newline', 'print no line end behind a message');
}

function addPub(command: Command): Command {
  return addMessageOptions(addClientOptions(command))
    .option('-l, --lines', 'every line of the input is a message')
    .option('--json', 'every line of the input is a message in JSON, as sub --json prints them')
    .option('-r, --retain', 'the broker keeps it for later subscribers')
    .option('--repeat <times>', 'send the message so many times', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('--repeat-delay <seconds>', 'and wait between', number(0, secondsMax))
    .option('-M, --max-inflight <messages>', 'messages of QoS 1 and 2 that may be open at once', wholeNumber(1, 65_535))
    .addHelpText('after', exitCodeHelp + pubHelp);
}

function addSub(command: Command): Command {
  return addPrintOptions(addClientOptions(command))
    .option('--json', 'print each message as a line of JSON')
    .option('-t, --topic <filter>', 'a topic filter; may be given more than once', collect)
    .option('-T, --filter-out <filter>', 'leave out topics that match; may be given more than once', collect)
    .option('-U, --unsubscribe <filter>', 'unsubscribe; may be given more than once', collect)
    .option('-C, --count <messages>', 'end after so many messages', wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option('-W, --wait <seconds>', 'end after so many seconds, with exit code 27', wholeNumber(1, secondsMax))
    .option('-E, --exit-after-subscribe', 'end when the broker has answered')
    .option('-R, --no-retained', 'leave out retained messages')
    .option('--retained-only', 'retained messages only: end at the first that is not')
    .option('--remove-retained', 'clear each retained message that comes')
    .option('--retain-as-published', 'MQTT 5: ask for messages with the RETAIN they were published with')
    .option('--random-filter <percent>', 'print so many of a hundred messages', number(0.1, 100))
    .addHelpText('after', exitCodeHelp + subHelp);
}

function addRpc(command: Command): Command {
  return addPrintOptions(addMessageOptions(addClientOptions(command)))
    .option('--json', 'print the response as a line of JSON')
    .option('-e, --response-topic <topic>', 'where the response is to come (default: a topic of its own)')
    .option('-r, --retain', 'the broker keeps the request for later subscribers')
    .option('-R, --no-retained', 'leave out retained messages')
    .option('-W, --wait <seconds>', 'end after so many seconds, with exit code 27', wholeNumber(1, secondsMax))
    .addHelpText('after', exitCodeHelp + rpcHelp);
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
