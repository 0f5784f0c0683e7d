/**
 * `npm run bench`: scenarios against Pipit and its yardsticks, or against any broker; see docs/benchmarks.md.
 *
 * Ends with 1 when a message was lost or came out of order, when nothing could be measured, or when the gate finds a row slower.
 */

import { parseArgs } from 'node:util';
import { type Contender, commitOf, elsewhere, mosquitto, pipit, relay } from './contenders.ts';
import { measureCore } from './core/run.ts';
import { checkOut, describeRow, type GateRow, gateRounds, judge, judgeCore } from './gate.ts';
import { measureIdle } from './idle.ts';
import { measureLatency } from './latency.ts';
import { measure, type Run, type Timing } from './measure.ts';
import { measureNeighbours } from './neighbours.ts';
import { describeRun, isWhole, machine, table, writeJson } from './report.ts';
import { type Scenario, scenarios } from './scenarios.ts';
import { measureSoak } from './soak/soak.ts';

const usage = `npm run bench -- [COMMAND] [OPTIONS]

commands
  (none)             every scenario against Pipit, the bare relay and Mosquitto, if it is installed
  idle               memory and CPU of connections that do nothing
  latency            at half of the most that 1000 connections get through
  neighbours         a load beside others that subscribe and unsubscribe, or do not read
  soak               visitors come and go for --minutes (default 60), --rate a second (default 15): what lives in Pipit stays flat
  core [NAME…]       the core alone, without sockets: messages, subscriptions, topics, spread

options
  --only TEXT        scenarios whose name contains TEXT; several separated by commas
  --against NAMES    of pipit, relay and mosquitto, separated by commas
  --url URL          instead, a broker that runs already: mqtt://, mqtts:// or ws://
  --pid PID          its process, when it runs on this machine
  --ca FILE          the authority of its certificate, PEM
  --rounds N         how often, each broker in turn; the median counts (default 1, gate 5)
  --seconds S        measured a run (default 2), after --warm-up S (default 1)
  --connections N    for idle (default 15000)
  --memory           for soak: without a store
  --json FILE        everything measured
  --gate COMMIT      this checkout against COMMIT: fails on a row that costs over 10 % more CPU a message;
                     with --only core, the rows without sockets alone`;

const onlyCore = 'core';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string' },
    against: { type: 'string' },
    url: { type: 'string' },
    pid: { type: 'string' },
    ca: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string', default: '2' },
    'warm-up': { type: 'string', default: '1' },
    connections: { type: 'string', default: '15000' },
    minutes: { type: 'string', default: '60' },
    rate: { type: 'string', default: '15' },
    memory: { type: 'boolean', default: false },
    json: { type: 'string' },
    gate: { type: 'string' },
    help: { type: 'boolean' },
  },
});

const timing: Timing = { warmUpMs: Number(values['warm-up']) * 1000, measureMs: Number(values.seconds) * 1000 };

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

async function main(): Promise<number> {
  if (values.help) return say(usage);
  const [command = values.gate === undefined ? 'scenarios' : 'gate', ...names] = positionals;
  say(JSON.stringify(machine()));
  switch (command) {
    case 'scenarios':
      return compare();
    case 'gate':
      return gate(values.gate as string);
    case 'idle':
      return finish(await measureIdle(chosenContenders(), Number(values.connections), say));
    case 'latency':
      return finish(await measureLatency(chosenContenders(), Number(values.rounds ?? 1), timing, say));
    case 'neighbours':
      return neighbours();
    case 'soak':
      return soak();
    case 'core':
      return finish(measureCore(names, say));
    default:
      say(usage);
      return 2;
  }
}

async function compare(): Promise<number> {
  const chosen = chosenScenarios();
  const contenders = chosenContenders();
  const runs: Run[] = [];
  let failures = 0;
  for (const scenario of chosen) {
    runs.push(
      ...(await measure(scenario, contenders, Number(values.rounds ?? 1), timing, (told) => {
        if (typeof told === 'string') failures++;
        say(typeof told === 'string' ? told : describeRun(told));
      })),
    );
  }
  say(`\n${table(chosen, contenders, runs)}`);
  finish({ contenders: contenders.map(({ name, description }) => ({ name, description })), runs });
  return runs.length > 0 && failures === 0 && runs.every(({ result }) => isWhole(result)) ? 0 : 1;
}

async function neighbours(): Promise<number> {
  const { missed, ...content } = await measureNeighbours(
    isChosen,
    chosenContenders(),
    Number(values.rounds ?? 1),
    timing,
    say,
  );
  finish(content);
  return missed === 0 ? 0 : 1;
}

async function soak(): Promise<number> {
  const durable = values.memory ? 'no' : 'present';
  const options = { minutes: Number(values.minutes), visitsPerSecond: Number(values.rate), durable } as const;
  const { missed, ...content } = await measureSoak(pipit('pipit'), options, say);
  finish(content);
  return missed === 0 ? 0 : 1;
}

async function gate(commit: string): Promise<number> {
  const checkout = checkOut(commit);
  const rounds = Number(values.rounds ?? gateRounds);
  const rows: GateRow[] = [];
  const judged = (row: GateRow): void => {
    rows.push(row);
    say(describeRow(row));
  };
  try {
    if (values.only === undefined || values.only === onlyCore)
      for (const row of judgeCore(checkout.folder, rounds)) judged(row);
    const contenders = [pipit('base', checkout.folder), pipit('here')];
    for (const scenario of values.only === onlyCore ? [] : chosenScenarios()) {
      const runs = await measure(scenario, contenders, rounds, timing, (told) => {
        if (typeof told === 'string') say(told);
      });
      const costs = (name: string) =>
        runs.filter((run) => run.contender === name).map(({ result }) => result.cpuUsPerMessage ?? Number.NaN);
      const isBroken = runs.some((run) => run.contender === 'here' && !isWhole(run.result));
      judged({ name: scenario.name, unit: 'µs', isBroken, ...judge(costs('base'), costs('here')) });
    }
  } finally {
    checkout.remove();
  }
  finish({ base: commit, rows });
  const failed = rows.filter(({ outcome, isBroken }) => outcome === 'slower' || isBroken).length;
  const sure = rows.filter(({ outcome }) => outcome === 'slower' || outcome === 'ok').length;
  say(`${sure} of ${rows.length} rows were quiet enough to be judged; ${failed} failed.`);
  return failed === 0 && sure > 0 ? 0 : 1;
}

function finish(content: object): number {
  if (values.json === undefined) return 0;
  const checkout = commitOf(import.meta.dirname);
  writeJson(values.json, { machine: machine(), commit: checkout, arguments: process.argv.slice(2), ...content });
  return 0;
}

function say(text: string): number {
  console.log(text);
  return 0;
}

process.exitCode = await main();
