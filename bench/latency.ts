/** Latency at half load: how much 1000 connections get through is measured first, then half of it is offered at even distances. */

import type { Contender } from './contenders.ts';
import { type Run, runOnce, type Timing } from './measure.ts';
import { describeRun } from './report.ts';
import { scenario } from './scenarios.ts';

const full = scenario('latency-full-load', '500 → 500, QoS 1, window 1', {
  publishers: 500,
  subscribers: 500,
  qos: 1,
  window: 1,
});

export async function measureLatency(
  contenders: readonly Contender[],
  timing: Timing,
  say: (text: string) => void,
): Promise<{ runs: Run[] }> {
  const runs: Run[] = [];
  for (const contender of contenders) {
    if (contender.refusal(full) !== null) continue;
    const most = await runOnce(full, contender, timing);
    const half = { ...full, name: 'latency-half-load', rate: Math.round(most.sentPerSecond / 2), batch: 1 };
    const result = await runOnce(half, contender, timing);
    for (const [{ name }, each] of [[full, most] as const, [half, result] as const]) {
      const run = { scenario: name, contender: contender.name, round: 0, result: each };
      runs.push(run);
      say(describeRun(run));
    }
  }
  return { runs };
}
