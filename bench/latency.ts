/**
 * How long messages take. At half load: how much 1000 connections get through is looked for first, then half of it is offered at even
 * distances, with a look at how late the broker's event loop is, beside that of an idle process. And a lone message, at no load.
 *
 * What they get through is found twice. Closed loop: each publisher sends its next message when the one before is acknowledged, which
 * is as fast as it goes. Open loop: messages come when they are due, as from devices; the most is the highest rate that still leaves as
 * it comes. Half of the latter is offered, to every contender the same.
 */

import type { Contender, Probe, RunningBroker } from './contenders.ts';
import { probeOf, startNode } from './contenders.ts';
import type { LoadResult } from './load/load.ts';
import { median, type Run, runAgainst, runOnce, type Timing } from './measure.ts';
import type { LoopDelay } from './probe/probe.ts';
import { describeRun, isWhole, whole } from './report.ts';
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

/** The search for the open loop's most: between these parts of the closed loop's, halved so often, each rate tried twice at the most. */
const searchFrom = 0.5;
const searchTo = 1.6;
const searchSteps = 4;
const tries = 2;
const searchTiming: Timing = { warmUpMs: 500, measureMs: 1000 };
/** Of what is offered: with less sent or received in the same time, what waits grows. */
const sustainedShare = 0.98;

interface Most {
  readonly contender: string;
  /** Messages a second. */
  readonly closedLoop: number;
  readonly openLoop: number;
}

interface HalfLoad {
  readonly run: Run;
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
): Promise<{ runs: Run[]; most: Most[]; halfLoad: HalfLoad[]; missed: number }> {
  const runs: Run[] = [];
  const most: Most[] = [];
  for (const contender of contenders) {
    const result = await runOnce(full, contender, timing);
    runs.push({ scenario: full.name, contender: contender.name, round: 0, result });
    say(describeRun(runs.at(-1) as Run));
    const openLoop = await openLoopMost(contender, result.sentPerSecond);
    most.push({ contender: contender.name, closedLoop: result.sentPerSecond, openLoop });
    say(`${' '.repeat(26)}offered at even distances, at most ${whole(openLoop)}/s leave as they come`);
  }
  const halfLoad = await measureHalfLoad(contenders, most, rounds, timing, say);
  const isLate = isMissedBy(halfLoad, say);
  const { runs: alone, isMissed } = await measureLone(contenders, rounds, timing, say);
  return { runs: [...runs, ...alone], most, halfLoad, missed: (isLate ? 1 : 0) + (isMissed ? 1 : 0) };
}

/** The highest rate found that one broker keeps up with. */
async function openLoopMost(contender: Contender, closedLoop: number): Promise<number> {
  const broker = await contender.start(full);
  try {
    let kept = closedLoop * searchFrom;
    let tooMuch = closedLoop * searchTo;
    for (let step = 0; step < searchSteps; step++) {
      const rate = Math.round((kept + tooMuch) / 2);
      if (await keepsUp(broker, rate)) kept = rate;
      else tooMuch = rate;
    }
    return kept;
  } finally {
    await broker.stop();
  }
}

/** What else the machine does may spoil one try. */
async function keepsUp(broker: RunningBroker, rate: number): Promise<boolean> {
  for (let i = 0; i < tries; i++) {
    const result = await runAgainst(broker, atRate(rate), searchTiming);
    const least = rate * sustainedShare;
    if (isWhole(result) && result.sentPerSecond >= least && result.receivedPerSecond >= least) return true;
  }
  return false;
}

function atRate(rate: number): Scenario {
  return { ...full, name: 'latency-half-load', rate, batch: 1 };
}

/** Half of what the first one gets through, for all that get through so much, in turn. */
async function measureHalfLoad(
  contenders: readonly Contender[],
  most: readonly Most[],
  rounds: number,
  timing: Timing,
  say: (text: string) => void,
): Promise<HalfLoad[]> {
  const found: HalfLoad[] = [];
  const rate = Math.round((most[0] as Most).openLoop / 2);
  const able = contenders.filter((_, i) => (most[i] as Most).openLoop >= rate);
  const idle = startNode(['--eval', 'setInterval(() => {}, 1 << 30)'], true);
  try {
    for (let round = 0; round < rounds; round++) {
      for (const contender of able) {
        const each = await watchedRun(atRate(rate), contender, round, timing, probeOf(idle));
        found.push(each);
        const delays = `${describe(each.loopDelayMs)}, an idle process ${describe(each.idleLoopDelayMs)}`;
        say(`${describeRun(each.run)}\n${' '.repeat(26)}event loop late ${delays}`);
      }
    }
  } finally {
    idle.kill();
  }
  for (const { name } of contenders)
    if (!able.some((each) => each.name === name)) say(`${name}: ${whole(rate)}/s is more than it gets through`);
  return found;
}

/** Medians of Pipit's runs against what is asked. */
function isMissedBy(halfLoad: readonly HalfLoad[], say: (text: string) => void): boolean {
  const ours = halfLoad.filter(({ run }) => run.contender === 'pipit');
  if (ours.length === 0) return false;
  const latency = (of: (latencyUs: NonNullable<LoadResult['latencyUs']>) => number): number =>
    median(ours.map(({ run: { result } }) => (result.latencyUs === null ? Number.NaN : of(result.latencyUs) / 1000)));
  const p99 = latency((each) => each.p99);
  const p999 = latency((each) => each.p999);
  const loop = median(ours.map(({ loopDelayMs }) => loopDelayMs?.p999 ?? Number.NaN));
  const isKept = p99 < p99MsMax && p999 < p999MsMax && loop < loopDelayMsMax;
  const isMissed = !isKept || !ours.every(({ run }) => isWhole(run.result));
  say(
    `half load, medians: p99 ${p99.toFixed(2)} ms (under ${p99MsMax}), p99.9 ${p999.toFixed(2)} ms (under ${p999MsMax}), ` +
      `event loop late p99.9 ${loop.toFixed(1)} ms (under ${loopDelayMsMax})${isMissed ? ': MISSED' : ''}`,
  );
  return isMissed;
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
  round: number,
  timing: Timing,
  idle: Probe,
): Promise<HalfLoad> {
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
    const run = { scenario: what.name, contender: contender.name, round, result };
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
