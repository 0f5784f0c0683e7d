/** `pipit conformance`: runs the conformance suite against any broker and prints a line for each statement. */

import type { Facts, SuiteOptions } from '@pipit/conformance';
import type { Command } from 'commander';
import { type CommandError, usageError } from './command-error.ts';
import type { Done } from './commands.ts';
import { ProgressLine } from './progress-line.ts';
import { wholeNumber } from './whole-number.ts';

export interface ConformanceArguments {
  readonly mqtt?: readonly string[];
  readonly only?: readonly string[];
  readonly json?: true;
  readonly bytes?: true;
  readonly ws?: string;
  readonly username?: string;
  readonly password?: string;
  readonly insecure?: true;
  readonly deniedTopic?: string;
  readonly rejected?: string;
  readonly rejectedClientId?: string;
  readonly timeout: number;
}

const notes = `
Exit codes: 0 nothing failed, 1 something failed or nothing passed, 2 wrong usage.

Examples:
  pipit conformance mqtt://broker.example
  pipit conformance mqtt://broker.example --mqtt 5 --only MQTT-3.3.4-9 --bytes
  pipit conformance mqtts://broker.example -u me -P secret --json >report.json`;

const versions = { 3: 3, 4: 4, 5: 5 } as const;

export function define(command: Command, done: Done): void {
  command
    .argument('<url>', 'the broker: mqtt://, mqtts://, ws:// or wss://')
    .option('--mqtt <version...>', 'only these versions: 5, 4 (3.1.1), 3 (3.1)')
    .option('--only <id...>', 'only these cases or statements')
    .option('--json', 'print the whole report as JSON')
    .option('--bytes', 'print below each failure what went over the wire')
    .option('--ws <url>', 'the same broker by WebSocket, for the statements about it')
    .option('-u, --username <name>', 'user name of every connection')
    .option('-P, --password <password>', 'its password')
    .option('--insecure', "do not verify the broker's certificate")
    .option('--denied-topic <topic>', 'a topic that may be neither published nor subscribed to')
    .option('--rejected <user:password>', 'credentials that the broker refuses')
    .option('--rejected-client-id <id>', 'a client id that the broker refuses')
    .option('--timeout <ms>', 'how long the broker may take for one answer', wholeNumber(1, 600_000), 5000)
    .addHelpText('after', notes)
    .action(async (url: string, options: ConformanceArguments) => done(await conformanceCommand(url, options)));
}

/** Resolves to the exit code. Rejects with a CommandError. */
async function conformanceCommand(url: string, options: ConformanceArguments): Promise<number> {
  const { brokerCases, exitCodeOf, isMeant, reportLines, runSuite, summaryOf } = await import('@pipit/conformance');
  for (const id of options.only ?? []) {
    if (!brokerCases.some((each) => isMeant(each, [id]))) throw usageError(`there is no case or statement ${id}.`);
  }
  const progress = new ProgressLine();
  const progressed = (done: number, all: number): void => progress.show(() => `${done} of ${all} cases`);
  const report = await runSuite({ ...suiteOptions(url, options), progressed }).catch((error) => {
    throw error instanceof TypeError ? notUrl(url) : error;
  });
  progress.clear();
  if (report.results.length === 0) throw usageError('--only and --mqtt leave no case to run.');
  const lines = reportLines(report, options.bytes);
  const summary = summaryOf(report.results);
  await print(options.json === true ? JSON.stringify({ ...report, summary }, null, 2) : lines.join('\n'));
  return exitCodeOf(report.results);
}

function notUrl(text: string): CommandError {
  const isAddress = /^[\w.-]+(:\d+)?$/.test(text);
  const hint = isAddress ? `such as mqtt://${text}` : 'which begins with mqtt://, mqtts://, ws:// or wss://';
  return usageError(`${text} is not the URL of a broker, ${hint}.`);
}

/** Resolves once the text has left: the process exits soon after, and a pipe may take less at once than a report is long. */
function print(text: string): Promise<void> {
  return new Promise((done) => process.stdout.write(`${text}\n`, () => done()));
}

function suiteOptions(url: string, options: ConformanceArguments): SuiteOptions {
  const { mqtt, only, timeout } = options;
  return {
    url,
    timeoutMs: timeout,
    facts: factsOf(options),
    ...(mqtt !== undefined && { versions: mqtt.map(versionOf) }),
    ...(only !== undefined && { only }),
  };
}

function versionOf(text: string): 3 | 4 | 5 {
  const version = versions[text as unknown as keyof typeof versions];
  if (version === undefined) throw usageError(`--mqtt ${text}: it must be 5, 4 or 3.`);
  return version;
}

function factsOf(options: ConformanceArguments): Facts {
  const { ws, username, password, insecure, deniedTopic, rejected, rejectedClientId } = options;
  return {
    ...(ws !== undefined && { webSocketUrl: ws }),
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(insecure !== undefined && { insecure }),
    ...(deniedTopic !== undefined && { deniedTopic }),
    ...(rejected !== undefined && { rejected: credentials(rejected) }),
    ...(rejectedClientId !== undefined && { rejectedClientId }),
  };
}

function credentials(text: string): { username: string; password: string } {
  const colon = text.indexOf(':');
  if (colon === -1) throw usageError('--rejected needs a user name and a password with a colon between.');
  return { username: text.slice(0, colon), password: text.slice(colon + 1) };
}
