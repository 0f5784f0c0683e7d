/**
 * How long messages take. At half load: how much 1000 connections get through is measured first, then half of it is offered at even
 * distances, with a look at how late the broker's event loop is, beside that of an idle process. And a lone message, at no load.
 */

import type { Contender, Probe, RunningBroker } from './contenders.ts';
import { probeOf, startNode } from './contenders.ts';
import { median, type Run, runAgainst, runOnce, type Timing } from './measure.ts';
import type { LoopDelay } from './probe/probe.ts';
import { describeRun, isWhole } from './report.ts';
import { type Scenario, scenario } from './scenarios.ts';

const full = scenario('latency-full-load', '500 → 500, QoS 1, window 1', {
  publishers: 500,
  subscribers: 500,
  qos: 1,
  window: 1,
});
const lone = scenario('latency-lone', 'one message at a time', { qos: 1, window: 1 });

const p99MsMax = 2;
const p999MsMax = 10;
const loopDelayMsMax = 10;
/** Of the relay's. */
const loneShareMax = 1.3;

interface HalfLoad {
  readonly contender: string;
  /** While the load was measured; null: it cannot be looked into. */
  readonly loopDelayMs: LoopDelay | null;
  /** Of a process that does nothing, at the same time. */
  readonly idleLoopDelayMs: LoopDelay;
}

/** `missed`: what Pipit should have kept. */
export async function measureLatency(
  contenders: readonly Contender[],
  rounds: number,
  timing: Timing,
  say: (text: string) => void,
): Promise<{ runs: Run[]; halfLoad: HalfLoad[]; missed: number }> {
  const runs: Run[] = [];
  const halfLoad: HalfLoad[] = [];
  let missed = 0;
  const idle = startNode(['--eval', 'setInterval(() => {}, 1 << 30)'], true);
  try {
    for (const contender of contenders) {
      const most = await runOnce(full, contender, timing);
      const half = { ...full, name: 'latency-half-load', rate: Math.round(most.sentPerSecond / 2), batch: 1 };
      const { run, ...delays } = await watchedRun(half, contender, timing, probeOf(idle));
      for (const each of [{ ...run, scenario: full.name, result: most }, run]) {
        runs.push(each);
        say(describeRun(each));
      }
      halfLoad.push({ contender: contender.name, ...delays });
      say(
        `${' '.repeat(26)}event loop late ${describe(delays.loopDelayMs)}, an idle process ${describe(delays.idleLoopDelayMs)}`,
      );
      if (contender.name === 'pipit' && isLate(run, delays.loopDelayMs)) missed++;
    }
  } finally {
    idle.kill();
  }
  const { runs: alone, isMissed } = await measureLone(contenders, rounds, timing, say);
  return { runs: [...runs, ...alone], halfLoad, missed: missed + (isMissed ? 1 : 0) };
}

function isLate({ result }: Run, loopDelay: LoopDelay | null): boolean {
  const { p99, p999 } = result.latencyUs ?? { p99: Number.NaN, p999: Number.NaN };
  const isKept = isWhole(result) && p99 <= p99MsMax * 1000 && p999 <= p999MsMax * 1000;
  return !isKept || (loopDelay !== null && loopDelay.p999 > loopDelayMsMax);
}

/** In turn, so that the machine is the same for all. */
async function measureLone(
  contenders: readonly Contender[],
  rounds: number,
  timing: Timing,
  say: (text: string) => void,
): Promise<{ runs: Run[]; isMissed: boolean }> {
  const runs: Run[] = [];
  for (let round = 0; round < rounds; round++) {
    for (const contender of contenders) {
      const run = {
        scenario: lone.name,
        contender: contender.name,
        round,
        result: await runOnce(lone, contender, timing),
      };
      runs.push(run);
      say(describeRun(run));
    }
  }
  const typical = (name: string): number =>
    median(runs.filter(({ contender }) => contender === name).map(({ result }) => result.latencyUs?.p50 ?? Number.NaN));
  const share = typical('pipit') / typical('relay');
  if (Number.isNaN(share)) return { runs, isMissed: false };
  const isMissed = share > loneShareMax;
  say(`a lone message: ${share.toFixed(2)} of the relay's (at most ${loneShareMax})${isMissed ? ': MISSED' : ''}`);
  return { runs, isMissed };
}

/** One run, and how late the loops were while it was measured. */
async function watchedRun(
  what: Scenario,
  contender: Contender,
  timing: Timing,
  idle: Probe,
): Promise<{ run: Run; loopDelayMs: LoopDelay | null; idleLoopDelayMs: LoopDelay }> {
  const broker = await contender.start(what, true);
  try {
    const delays = async (): Promise<readonly [LoopDelay | null, LoopDelay]> => [
      (await broker.probe?.loopDelay()) ?? null,
      await idle.loopDelay(),
    ];
    // The first reading begins it, the one at the end of the measured time counts.
    const readings: Promise<readonly [LoopDelay | null, LoopDelay]>[] = [];
    const result = await runAgainst(broker as RunningBroker, what, timing, () => readings.push(delays()));
    const [, measured] = await Promise.all(readings);
    if (measured === undefined) throw new Error('The load did not say when it was measured.');
    const run = { scenario: what.name, contender: contender.name, round: 0, result };
    return { run, loopDelayMs: measured[0], idleLoopDelayMs: measured[1] };
  } finally {
    await broker.stop();
  }
}

function describe(delay: LoopDelay | null): string {
  if (delay === null) return 'unknown';
  const [p50, p99, p999, max] = [delay.p50, delay.p99, delay.p999, delay.max].map((each) => each.toFixed(1));
  return `p50 ${p50}  p99 ${p99}  p99.9 ${p999}  max ${max} ms`;
}
