/**
 * `npm run bench`: scenarios against Pipit and its yardsticks, or against any broker; see docs/benchmarks.md.
 *
 * Ends with 1 when a message was lost or came out of order, when nothing could be measured, or when the gate finds a row slower.
 */

import { parseArgs } from 'node:util';
import { measureAttacks } from './attacks.ts';
import { type Contender, commitOf, elsewhere, mosquitto, pipit, relay } from './contenders.ts';
import { measureCore } from './core/run.ts';
import { gateRounds, runGate } from './gate.ts';
import { measureIdle } from './idle.ts';
import { measureLatency } from './latency.ts';
import { measure, type Run, type Timing } from './measure.ts';
import { measureNeighbours } from './neighbours.ts';
import { describeRun, isWhole, machine, table, writeJson } from './report.ts';
import { type Scenario, scenarios, type Transport } from './scenarios.ts';
import { measureSoak } from './soak/soak.ts';

const usage = `npm run bench -- [COMMAND] [OPTIONS]

commands
  (none)             every scenario against Pipit, the bare relay and Mosquitto, if it is installed
  all                that, core, idle, latency and neighbours, with 3 rounds of 1 s: about ten minutes
  idle               memory and CPU of connections that do nothing
  latency            at half of the most that 1000 connections get through
  neighbours         a load beside others that subscribe and unsubscribe, or do not read
  attacks            a pair's rate and delays before and during each attack; --only chooses
  soak               visitors come and go for --minutes (default 60), --rate a second (default 15): what lives in Pipit stays flat
  core [NAME…]       the core alone, without sockets: messages, subscriptions, topics, spread

options
  --only TEXT        scenarios whose name contains TEXT; several separated by commas
  --against NAMES    of pipit, relay and mosquitto, separated by commas
  --url URL          instead, a broker that runs already: mqtt://, mqtts:// or ws://
  --pid PID          its process, when it runs on this machine
  --ca FILE          the authority of its certificate, PEM
  --rounds N         how often, each broker in turn; the median counts (default 1; all, latency and neighbours 3; gate 5)
  --seconds S        measured a run (default 2; all: 1), after --warm-up S (default 1)
  --connections N    for idle (default 15000), by --transport tcp, tls or ws
  --memory           for soak: without a store
  --json FILE        everything measured
  --gate COMMIT      this checkout against COMMIT: fails on a row that costs over 10 % more CPU a message;
                     with --only core, the rows without sockets alone`;

const onlyCore = 'core';
/** Of what is judged by a median. */
const usualRounds = 3;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string' },
    against: { type: 'string' },
    url: { type: 'string' },
    pid: { type: 'string' },
    ca: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    'warm-up': { type: 'string', default: '1' },
    connections: { type: 'string', default: '15000' },
    transport: { type: 'string', default: 'tcp' },
    minutes: { type: 'string', default: '60' },
    rate: { type: 'string', default: '15' },
    memory: { type: 'boolean', default: false },
    json: { type: 'string' },
    gate: { type: 'string' },
    help: { type: 'boolean' },
  },
});

function isChosen(name: string): boolean {
  return values.only?.split(',').some((part) => name.includes(part)) ?? true;
}

function chosenScenarios(): readonly Scenario[] {
  const chosen = scenarios.filter(({ name }) => isChosen(name));
  if (chosen.length === 0) throw new Error(`--only ${values.only}: no scenario has such a name`);
  return chosen;
}

function chosenContenders(): readonly Contender[] {
  if (values.url !== undefined) {
    return [elsewhere(new URL(values.url), values.pid === undefined ? null : Number(values.pid), values.ca ?? null)];
  }
  const installed = mosquitto();
  const all = [pipit('pipit'), relay(), ...(installed === null ? [] : [installed])];
  const names = values.against?.split(',');
  for (const name of names ?? []) {
    if (!all.some((each) => each.name === name)) throw new Error(`--against ${name}: not there`);
  }
  return names === undefined ? all : all.filter(({ name }) => names.includes(name));
}

/** What a command found, for the JSON file; `missed`: figures that are not what they should be, and runs that failed. */
interface Found {
  readonly missed: number;
}

const [command = values.gate === undefined ? 'scenarios' : 'gate', ...names] = positionals;
const seconds = Number(values.seconds ?? (command === 'all' ? 1 : 2));
const timing: Timing = { warmUpMs: Number(values['warm-up']) * 1000, measureMs: seconds * 1000 };

type Part = () => Promise<Found> | Found;

const rounds = (usual: number): number => Number(values.rounds ?? usual);
const onlyPipit = (): readonly Contender[] => (values.url === undefined ? [pipit('pipit')] : chosenContenders());

const parts: Readonly<Record<string, Part>> = {
  scenarios: compare,
  core: () => measureCore(names, say),
  idle: () => measureIdle(chosenContenders(), chosenTransport(), Number(values.connections), say),
  latency: () => measureLatency(chosenContenders(), rounds(usualRounds), timing, say),
  neighbours: () => measureNeighbours(isChosen, onlyPipit(), rounds(usualRounds), timing, say),
};

const commands: Readonly<Record<string, Part>> = {
  ...parts,
  all,
  attacks: () => measureAttacks(isChosen, onlyPipit(), rounds(1), timing, say),
  soak: () => {
    const durable = values.memory ? 'no' : 'present';
    const options = { minutes: Number(values.minutes), visitsPerSecond: Number(values.rate), durable } as const;
    return measureSoak(pipit('pipit'), options, say);
  },
  gate: () => {
    const withCore = values.only === undefined || values.only === onlyCore;
    const withSockets = values.only === onlyCore ? [] : chosenScenarios();
    return runGate(values.gate as string, withCore, withSockets, rounds(gateRounds), timing, say);
  },
};

function chosenTransport(): Transport {
  const { transport } = values;
  if (transport === 'tcp' || transport === 'tls' || transport === 'ws') return transport;
  throw new Error(`--transport ${transport}: not tcp, tls or ws`);
}

async function main(): Promise<number> {
  const chosen = commands[command];
  if (values.help || chosen === undefined) {
    say(usage);
    return chosen === undefined ? 2 : 0;
  }
  say(JSON.stringify(machine()));
  const { missed, ...content } = await chosen();
  keep(content);
  return missed === 0 ? 0 : 1;
}

/** One part after the other; one that fails does not keep the others from being measured. */
async function all(): Promise<Found> {
  const startedAt = performance.now();
  const found: Record<string, unknown> = {};
  let missed = 0;
  for (const [name, part] of Object.entries(parts)) {
    say(`\n── ${name}, after ${((performance.now() - startedAt) / 60_000).toFixed(1)} minutes`);
    try {
      const { missed: more, ...content } = await part();
      missed += more;
      found[name] = content;
    } catch (error) {
      missed++;
      found[name] = { failure: (error as Error).message };
      say(`${name} failed: ${(error as Error).stack}`);
    }
    keep(found);
  }
  say(
    `\n${missed === 0 ? 'Nothing missed' : `${missed} missed`}, ${((performance.now() - startedAt) / 60_000).toFixed(1)} minutes.`,
  );
  return { ...found, missed };
}

async function compare(): Promise<Found> {
  const chosen = chosenScenarios();
  const contenders = chosenContenders();
  const runs: Run[] = [];
  let failures = 0;
  for (const scenario of chosen) {
    runs.push(
      ...(await measure(scenario, contenders, rounds(command === 'all' ? usualRounds : 1), timing, (told) => {
        if (typeof told === 'string') failures++;
        say(typeof told === 'string' ? told : describeRun(told));
      })),
    );
  }
  say(`\n${table(chosen, contenders, runs)}`);
  const lossy = runs.filter(({ result }) => !isWhole(result)).length;
  const described = contenders.map(({ name, description }) => ({ name, description }));
  return { contenders: described, runs, missed: failures + lossy + (runs.length === 0 ? 1 : 0) } as Found;
}

/** Into the JSON file, if one was asked for. */
function keep(content: object): void {
  if (values.json === undefined) return;
  const commit = commitOf(import.meta.dirname);
  writeJson(values.json, { machine: machine(), commit, arguments: process.argv.slice(2), ...content });
}

function say(text: string): void {
  console.log(text);
}

process.exitCode = await main();
