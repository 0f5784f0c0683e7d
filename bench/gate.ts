/** Whether this checkout costs more CPU per message than another commit, row by row, on a machine that is never quiet. */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pipit } from './contenders.ts';
import { runBenchmark } from './core/run.ts';
import { measure, median, type Timing } from './measure.ts';
import { isWhole } from './report.ts';
import type { Scenario } from './scenarios.ts';

export const gateRounds = 5;
const slowerMax = 0.1;
const spreadMax = 0.05;

export interface Verdict {
  /** Medians of CPU microseconds per message. */
  readonly base: number;
  readonly here: number;
  /** 0.1: this checkout needs a tenth more. */
  readonly change: number;
  /** How far the base's own runs lie apart, of five or more the highest and the lowest left out, over their median. */
  readonly spread: number;
  readonly outcome: 'ok' | 'slower' | 'too noisy' | 'not measured';
}

/** What the runs of one row say. Fewer than three of either are no measurement. */
export function judge(base: readonly number[], here: readonly number[]): Verdict {
  const sorted = [...base].sort((a, b) => a - b);
  const middle = sorted.length >= gateRounds ? sorted.slice(1, -1) : sorted;
  const baseMedian = median(base);
  const hereMedian = median(here);
  const change = hereMedian / baseMedian - 1;
  const spread = (Math.max(...middle) - Math.min(...middle)) / baseMedian;
  const isMeasured = base.length >= 3 && here.length >= 3 && Number.isFinite(change);
  const outcome = !isMeasured
    ? 'not measured'
    : spread >= spreadMax
      ? 'too noisy'
      : change > slowerMax
        ? 'slower'
        : 'ok';
  return { base: baseMedian, here: hereMedian, change, spread, outcome };
}

export interface GateRow extends Verdict {
  readonly name: string;
  readonly unit: string;
  /** Messages were lost or came out of order here. */
  readonly isBroken: boolean;
}

function describeRow({ name, unit, base, here, change, spread, outcome, isBroken }: GateRow): string {
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  const figures = `${base.toFixed(3)} → ${here.toFixed(3)} ${unit}  ${percent(change)}  (base ±${percent(spread)})`;
  return `${name.padEnd(50)}${figures}  ${outcome}${isBroken ? ', MESSAGES LOST OR OUT OF ORDER' : ''}`;
}

/** `missed`: rows that are slower or lost messages; one more when no row could be judged. */
export async function runGate(
  commit: string,
  withCore: boolean,
  scenarios: readonly Scenario[],
  rounds: number,
  timing: Timing,
  say: (text: string) => void,
): Promise<{ base: string; rows: GateRow[]; missed: number }> {
  const checkout = checkOut(commit);
  const rows: GateRow[] = [];
  const judged = (row: GateRow): void => {
    rows.push(row);
    say(describeRow(row));
  };
  try {
    if (withCore) for (const row of judgeCore(checkout.folder, rounds)) judged(row);
    const contenders = [pipit('base', checkout.folder), pipit('here')];
    for (const scenario of scenarios) {
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
  const failed = rows.filter(({ outcome, isBroken }) => outcome === 'slower' || isBroken).length;
  const sure = rows.filter(({ outcome }) => outcome === 'slower' || outcome === 'ok').length;
  say(`${sure} of ${rows.length} rows were quiet enough to be judged; ${failed} failed.`);
  return { base: commit, rows, missed: failed + (sure === 0 ? 1 : 0) };
}

/** The core's own cost of a message in both checkouts, in turn: much steadier than anything with sockets. */
function judgeCore(baseFolder: string, rounds: number): GateRow[] {
  const costs = new Map<string, { base: number[]; here: number[] }>();
  for (let round = 0; round < rounds; round++) {
    for (const side of ['base', 'here'] as const) {
      const folder = side === 'base' ? join(baseFolder, 'bench') : import.meta.dirname;
      for (const { what, value } of runBenchmark('messages', join(folder, 'core'))) {
        const row = costs.get(what) ?? { base: [], here: [] };
        row[side].push(value);
        costs.set(what, row);
      }
    }
  }
  return [...costs].map(([what, { base, here }]) => {
    return { name: `core ${what}`, unit: 'ns', isBroken: false, ...judge(base, here) };
  });
}

interface Checkout {
  readonly folder: string;
  remove(): void;
}

/** A commit beside this one, installed and built as on a fresh machine, with the benchmarks of this one. Throws when git or npm fails. */
function checkOut(commit: string): Checkout {
  const root = resolve(import.meta.dirname, '..');
  const parent = mkdtempSync(join(tmpdir(), 'pipit-gate-'));
  const folder = join(parent, 'pipit');
  const remove = (): void => {
    spawnSync('git', ['worktree', 'remove', '--force', folder], { cwd: root });
    rmSync(parent, { recursive: true, force: true });
  };
  try {
    run('git', ['worktree', 'add', '--detach', folder, commit], root);
    run('npm', ['ci', '--no-audit', '--no-fund'], folder);
    rmSync(join(folder, 'bench'), { recursive: true, force: true });
    cpSync(import.meta.dirname, join(folder, 'bench'), { recursive: true });
  } catch (error) {
    remove();
    throw error;
  }
  return { folder, remove };
}

function run(program: string, args: readonly string[], cwd: string): void {
  const { status, error, stderr } = spawnSync(program, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? String(stderr).trim()}`);
}
