/**
 * `npm run bench -- soak --minutes 60`: visitors come and go at a modest, even pace, and the broker is looked at twice a minute.
 * What lives in it must stay flat: heap, memory, timers, sockets, descriptors, and what it keeps on the disk.
 */

import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Contender, RunningBroker } from '../contenders.ts';
import { usageOf } from '../load/process-usage.ts';
import { whole } from '../report.ts';
import { scenario } from '../scenarios.ts';
import { type Allowance, type Flatness, flatness, readingsMin } from './flatness.ts';
import { type Tally, Visits } from './visits.ts';

const readMsUsual = 30_000;
const settleMs = 8_000;
const megabyte = 1024 * 1024;

interface Reading {
  readonly seconds: number;
  readonly heapMb: number;
  readonly externalMb: number;
  readonly rssMb: number;
  readonly timers: number;
  readonly sockets: number;
  readonly descriptors: number;
  readonly diskMb: number;
}

type Figure = Exclude<keyof Reading, 'seconds'>;

const allowances: Readonly<Record<Figure, Allowance>> = {
  heapMb: { share: 0.05, absolute: 1 },
  externalMb: { share: 0.05, absolute: 1 },
  rssMb: { share: 0.05, absolute: 5 },
  // Visitors that are there at the same time differ from reading to reading.
  timers: { share: 0, absolute: 20 },
  sockets: { share: 0, absolute: 20 },
  descriptors: { share: 0, absolute: 20 },
  // The log grows until so much of it is dead that it is cleaned.
  diskMb: { share: 0.25, absolute: 20 },
};
const figures = Object.keys(allowances) as Figure[];

export interface SoakOptions {
  readonly minutes: number;
  readonly visitsPerSecond: number;
  readonly durable: 'no' | 'present';
}

/** `missed`: figures that were not flat, and visits that failed. */
export async function measureSoak(
  contender: Contender,
  { minutes, visitsPerSecond, durable }: SoakOptions,
  say: (text: string) => void,
): Promise<{ soak: object; missed: number }> {
  const broker = await contender.start(scenario('soak', 'visitors that come and go', { durable }), true);
  try {
    const { host, port } = broker.address;
    const visits = new Visits(`mqtt://${host}:${port}`, visitsPerSecond);
    const readings: Reading[] = [];
    const startedAt = performance.now();
    const cpuBefore = usageOf(broker.pid)?.cpuSeconds ?? 0;
    visits.start();
    const readMs = Math.min(readMsUsual, (minutes * 60_000) / readingsMin);
    for (let i = 1; i * readMs <= minutes * 60_000; i++) {
      await pass(startedAt + i * readMs - performance.now());
      const reading = await read(broker, startedAt);
      readings.push(reading);
      if (i % 10 === 0) say(`${describe(reading)}; ${whole(visits.tally.done)} visits`);
    }
    await visits.stop();
    const cpuSeconds = (usageOf(broker.pid)?.cpuSeconds ?? 0) - cpuBefore;
    const seconds = (performance.now() - startedAt) / 1000;
    // The last sessions expire.
    await pass(settleMs);
    const left = await read(broker, startedAt);
    return judge(readings, left, visits.tally, cpuSeconds / seconds, say);
  } finally {
    await broker.stop();
  }
}

function judge(
  readings: readonly Reading[],
  left: Reading,
  tally: Tally,
  cpuShare: number,
  say: (text: string) => void,
): { soak: object; missed: number } {
  const flat = Object.fromEntries(
    figures.map((figure) => {
      const series = readings.map((reading) => reading[figure]);
      return [figure, flatness(series, allowances[figure])];
    }),
  ) as Record<Figure, Flatness>;
  for (const figure of figures) {
    const { before, after, isFlat } = flat[figure];
    say(
      `${figure.padEnd(12)} ${round(before)} → ${round(after)}, ${round(left[figure])} when all have left${isFlat ? '' : ': NOT FLAT'}`,
    );
  }
  say(
    `${whole(tally.done)} visits, ${whole(tally.messages)} messages, ${(cpuShare * 100).toFixed(1)} % of a core, ${tally.failed} failed`,
  );
  for (const failure of tally.failures) say(failure);
  const missed = figures.filter((figure) => !flat[figure].isFlat).length + tally.failed;
  return { soak: { tally, cpuShare, flat, left, readings }, missed };
}

async function read({ pid, probe, dataFolder }: RunningBroker, startedAt: number): Promise<Reading> {
  if (probe === null) throw new Error('Only Pipit can be looked into.');
  const { heapBytes, externalBytes, rssBytes, timers, sockets } = await probe.contents();
  return {
    seconds: (performance.now() - startedAt) / 1000,
    heapMb: heapBytes / megabyte,
    externalMb: externalBytes / megabyte,
    rssMb: rssBytes / megabyte,
    timers,
    sockets,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    diskMb: dataFolder === null ? 0 : folderBytes(dataFolder) / megabyte,
  };
}

/** Of the files; one that is deleted meanwhile has none. */
function folderBytes(folder: string): number {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).reduce(
    (sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
}

function describe(reading: Reading): string {
  const parts = figures.map((figure) => `${figure} ${round(reading[figure])}`);
  return `${Math.round(reading.seconds / 60)} min  ${parts.join('  ')}`;
}

function round(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(1);
}

async function pass(ms: number): Promise<void> {
  await new Promise((done) => setTimeout(done, ms));
}
