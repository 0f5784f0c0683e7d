/** Runs of scenarios against brokers in turn, each run with a broker and a generator process of its own. */

import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Contender, RunningBroker } from './contenders.ts';
import { type LoadOptions, type LoadResult, turnedLine } from './load/load.ts';
import { NativeLoad } from './load/native.ts';
import type { Scenario } from './scenarios.ts';

export interface Run {
  readonly scenario: string;
  readonly contender: string;
  /** From 0. */
  readonly round: number;
  readonly result: LoadResult;
}

export interface Timing {
  readonly warmUpMs: number;
  readonly measureMs: number;
}

/** Every contender in every round, A B A B, as far as they take part; `told` hears of each run, and of failures as text. */
export async function measure(
  scenario: Scenario,
  contenders: readonly Contender[],
  rounds: number,
  timing: Timing,
  told: (run: Run | string) => void,
): Promise<Run[]> {
  const runs: Run[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) {
      const refusal = contender.refusal(scenario);
      if (refusal !== null) continue;
      try {
        const result = await runOnce(scenario, contender, timing);
        const run = { scenario: scenario.name, contender: contender.name, round, result };
        runs.push(run);
        told(run);
      } catch (error) {
        told(`${scenario.name}  ${contender.name}: ${(error as Error).message}`);
      }
    }
  }
  return runs;
}

export async function runOnce(scenario: Scenario, contender: Contender, timing: Timing): Promise<LoadResult> {
  const broker = await contender.start(scenario);
  try {
    return await generate({ scenario, address: broker.address, pid: broker.pid, ...timing });
  } finally {
    await broker.stop();
  }
}

/** The same while a broker goes on running; `turned` is called when the measured time begins and when it ends. */
export function runAgainst(
  broker: RunningBroker,
  scenario: Scenario,
  timing: Timing,
  turned?: () => void,
): Promise<LoadResult> {
  return generate({ scenario, address: broker.address, pid: broker.pid, ...timing }, turned);
}

/** Longer than connecting thousands and waiting for what is under way takes: a broker that answers no more must not hold up the rest. */
const aroundMsMax = 60_000;

const native = new NativeLoad();

/** One load in a process of its own: in C where that is possible. */
export function generate(options: LoadOptions, turned = (): void => {}): Promise<LoadResult> {
  const script = join(import.meta.dirname, 'load/main.ts');
  const { program, args } = native.command(options) ?? {
    program: process.execPath,
    args: ['--conditions=pipit-source', script, JSON.stringify(options)],
  };
  const timeout = options.warmUpMs + options.measureMs + aroundMsMax;
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout, killSignal: 'SIGKILL' });
  let output = '';
  let errors = '';
  createInterface(child.stdout).on('line', (line) => {
    if (line === turnedLine) turned();
    else output = line;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  return new Promise((done, failed) => {
    child.on('error', failed);
    child.on('close', (code, signal) => {
      if (signal !== null) failed(new Error(`the load had not ended after ${timeout / 1000} s (${signal})`));
      else if (code === 0) done(JSON.parse(output) as LoadResult);
      else failed(new Error(/^\w*Error: (.*)$/m.exec(errors)?.[1] ?? `the generator ended with ${code}\n${errors}`));
    });
  });
}

/** The middle value, or the mean of the two in the middle; NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  if (sorted.length % 2 === 1) return sorted[Math.floor(middle)] as number;
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}
