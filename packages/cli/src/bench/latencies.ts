/** How long things took, in nanoseconds, to three figures (an HDR histogram). */

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

const hourNs = 3.6e12;

export function latencies(): RecordableHistogram {
  return createHistogram({ lowest: 1, highest: hourNs, figures: 3 });
}

export function addLatency(histogram: RecordableHistogram, ms: number): void {
  histogram.record(Math.min(hourNs, Math.max(1, Math.round(ms * 1e6))));
}

/** Milliseconds. */
export interface Quantiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

/** Null when nothing was counted. */
export function quantilesOf(histogram: RecordableHistogram): Quantiles | null {
  if (histogram.count === 0) return null;
  const at = (percent: number): number => histogram.percentile(percent) / 1e6;
  return {
    count: histogram.count,
    p50: at(50),
    p90: at(90),
    p99: at(99),
    p999: at(99.9),
    max: histogram.max / 1e6,
  };
}
