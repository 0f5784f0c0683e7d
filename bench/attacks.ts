/**
 * What attacks do to a pair that talks at an even rate: its rate and how late its messages are, before and during each. The attack
 * comes from a process of its own on the same machine, as fast as that can.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once as emitted } from 'node:events';
import { join } from 'node:path';
import { type AttackName, attackNames } from './attack/attack-names.ts';
import type { Contender, RunningBroker } from './contenders.ts';
import type { LoadResult } from './load/load.ts';
import { runAgainst, type Timing } from './measure.ts';
import { isWhole, whole } from './report.ts';
import { scenario } from './scenarios.ts';

const messagesPerSecond = 2_000;
const pair = scenario('attacked-pair', '1 → 1, QoS 1, at an even rate', { qos: 1, rate: messagesPerSecond, batch: 1 });
/** Of the rate without an attack, at least. */
const rateShareMin = 0.95;

export interface AttackRun {
  readonly attack: AttackName;
  readonly contender: string;
  readonly before: LoadResult;
  readonly during: LoadResult;
}

/** `missed`: attacks under which the pair lost messages, or fell behind its rate. */
export async function measureAttacks(
  chosen: (name: string) => boolean,
  contenders: readonly Contender[],
  rounds: number,
  timing: Timing,
  say: (text: string) => void,
): Promise<{ attacks: AttackRun[]; missed: number }> {
  const attacks: AttackRun[] = [];
  let missed = 0;
  for (const contender of contenders) {
    for (const attack of attackNames.filter(chosen)) {
      const runs: { before: LoadResult; during: LoadResult }[] = [];
      for (let round = 0; round < rounds; round++) {
        const run = await measureOnce(contender, attack, timing).catch((error: Error) => error.message);
        if (typeof run !== 'string') runs.push(run);
        else {
          missed++;
          say(`${attack.padEnd(24)}${contender.name}: MISSED: ${run}`);
        }
      }
      // By how late the latest hundredth was, while under attack.
      runs.sort((a, b) => (a.during.latencyUs?.p99 ?? 0) - (b.during.latencyUs?.p99 ?? 0));
      const median = runs[runs.length >> 1];
      if (median === undefined) continue;
      const { before, during } = median;
      attacks.push({ attack, contender: contender.name, before, during });
      const isKept = runs.every((run) => isWhole(run.during) && keepsRate(run));
      if (!isKept && contender.name === 'pipit') missed++;
      say(
        `${attack.padEnd(24)}${contender.name}: ${describe(before)} before, ${describe(during)} during${isKept ? '' : ': MISSED'}`,
      );
    }
  }
  return { attacks, missed };
}

function keepsRate({ before, during }: { before: LoadResult; during: LoadResult }): boolean {
  return during.receivedPerSecond >= rateShareMin * before.receivedPerSecond;
}

async function measureOnce(
  contender: Contender,
  attack: AttackName,
  timing: Timing,
): Promise<{ before: LoadResult; during: LoadResult }> {
  const broker = await contender.start(pair);
  try {
    const before = await runAgainst(broker, pair, timing);
    return { before, during: await attacked(broker, attack, timing) };
  } finally {
    await broker.stop();
  }
}

function describe({ receivedPerSecond, latencyUs, cpuShare }: LoadResult): string {
  const late = latencyUs === null ? 'none arrived' : `p50 ${whole(latencyUs.p50)} µs, p99 ${whole(latencyUs.p99)} µs`;
  return `${whole(receivedPerSecond)}/s, ${late}${cpuShare === null ? '' : `, ${cpuShare.toFixed(2)} cores`}`;
}

async function attacked(broker: RunningBroker, attack: AttackName, timing: Timing): Promise<LoadResult> {
  const attacker = await start(broker, attack);
  try {
    return await runAgainst(broker, pair, timing);
  } finally {
    attacker.kill('SIGKILL');
  }
}

async function start({ address }: RunningBroker, attack: AttackName): Promise<ChildProcess> {
  const script = join(import.meta.dirname, 'attack/attacker.ts');
  const args = ['--conditions=pipit-source', '--no-warnings', script, address.host, String(address.port), attack];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  await Promise.race([
    emitted(child.stdout as NodeJS.ReadableStream, 'data'),
    emitted(child, 'exit').then(() => Promise.reject(new Error(`the attacker (${attack}) ended`))),
  ]);
  return child;
}
