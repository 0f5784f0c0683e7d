/** What `pipit bench` found, and how it is told. */

import type { BenchPlan } from './bench-plan.ts';
import type { Totals } from './board.ts';
import type { Quantiles } from './latencies.ts';

export interface BenchResult {
  readonly load: Omit<BenchPlan, 'connection' | 'clientIdPrefix' | 'topicPrefix'> & {
    readonly version: '3.1.1' | '5.0';
  };
  /** That were measured. */
  readonly seconds: number;
  readonly publishedPerSecond: number;
  readonly receivedPerSecond: number;
  /** All of them, warm-up and end included; so are the next four. */
  readonly published: number;
  readonly received: number;
  /** Deliveries that never came. */
  readonly lost: number;
  /** Deliveries more than there should be. */
  readonly surplus: number;
  /** Deliveries that came again, or after a later one of the same publisher. */
  readonly misplaced: number;
  readonly unacknowledged: number;
  /** From when a message was due (closed loop: sent) to its delivery, of those due in the measured time. */
  readonly deliveryMs: Quantiles | null;
  /** To its acknowledgement; null with QoS 0. */
  readonly acknowledgementMs: Quantiles | null;
  readonly generator: {
    /** Closed loop: the busiest thread; 1 is all the time. Null in an open loop, which waits for the next message by looking at the clock. */
    readonly busy: number | null;
    /** Open loop: how late messages left, which is part of their latencies. */
    readonly delayMs: Quantiles | null;
  };
}

/** Whether everything arrived once and in order. */
export function isWhole({ lost, surplus, misplaced, unacknowledged }: BenchResult): boolean {
  return lost + surplus + misplaced + unacknowledged === 0;
}

export function resultLines(result: BenchResult): string[] {
  const { load, seconds, publishedPerSecond, receivedPerSecond, deliveryMs, acknowledgementMs, generator } = result;
  const { lost, surplus, misplaced, unacknowledged } = result;
  const loop = load.rate === null ? `closed loop, window ${load.window}` : `open loop, ${count(load.rate)}/s`;
  const clients = `${counted(load.publishers, 'publisher')}, ${counted(load.subscribers, 'subscriber')}`;
  const to = load.subscribers === 0 ? '' : ` (${load.delivery})`;
  return [
    `MQTT ${load.version}, QoS ${load.qos}, ${load.payloadBytes} bytes, ${clients}${to}, ${loop}, ${seconds.toFixed(1)} s`,
    '',
    `published  ${count(publishedPerSecond)}/s`,
    `received   ${count(receivedPerSecond)}/s`,
    '',
    ...tableOf(deliveryMs, acknowledgementMs),
    `${count(lost)} lost, ${count(misplaced + surplus)} twice or out of order, ${count(unacknowledged)} not acknowledged, of ${count(result.published)} published`,
    ...generatorLines(generator),
  ];
}

function tableOf(deliveryMs: Quantiles | null, acknowledgementMs: Quantiles | null): string[] {
  const rows = [
    ['delivered', deliveryMs],
    ['acknowledged', acknowledgementMs],
  ] as const;
  const lines = rows.flatMap(([name, quantiles]) => {
    if (quantiles === null) return [];
    const { p50, p90, p99, p999, max } = quantiles;
    return [name.padEnd(14) + [p50, p90, p99, p999, max].map((ms) => duration(ms).padStart(10)).join('')];
  });
  const head = ''.padEnd(14) + ['p50', 'p90', 'p99', 'p99.9', 'max'].map((name) => name.padStart(10)).join('');
  return lines.length === 0 ? [] : [head, ...lines, ''];
}

const busyMax = 0.95;

function generatorLines({ busy, delayMs }: BenchResult['generator']): string[] {
  if (delayMs !== null) {
    const { p50, p99, max } = delayMs;
    return [
      `generator  late by ${duration(p50)} (p50), ${duration(p99)} (p99), ${duration(max)} (max), which is in the figures`,
    ];
  }
  if (busy === null) return [];
  const lines = [`generator  busy ${Math.round(busy * 100)} % of the time`];
  if (busy < busyMax) return lines;
  return [...lines, 'The generator itself may be the limit: give it more threads, or several machines.'];
}

/** The line that is shown while it runs. */
export function liveText(
  what: string,
  at: {
    readonly seconds: number;
    readonly startAt: number;
    readonly last: Totals & { readonly at: number };
    readonly now: Totals & { readonly at: number };
  },
): string {
  const { seconds, startAt, last, now } = at;
  const passed = (now.at - last.at) / 1000;
  const perSecond = (of: 'sent' | 'received'): string => count((now[of] - last[of]) / passed);
  const done = `${Math.floor((now.at - startAt) / 1000)} of ${seconds} s`;
  return `${what}, ${done}: published ${perSecond('sent')}/s, received ${perSecond('received')}/s`;
}

function count(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: value < 10 ? 1 : 0 });
}

function counted(value: number, what: string): string {
  return `${count(value)} ${what}${value === 1 ? '' : 's'}`;
}

function duration(ms: number): string {
  if (ms < 1) return `${(ms * 1000).toFixed(0)} µs`;
  return ms < 1000 ? `${ms.toFixed(ms < 10 ? 2 : 1)} ms` : `${(ms / 1000).toFixed(2)} s`;
}
