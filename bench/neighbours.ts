/**
 * What others do to a load that has nothing to do with them: they subscribe and unsubscribe, or they have stopped reading. The same load
 * alone and beside them, in turn; the medians are compared.
 */

import { Bystander } from './bystander.ts';
import type { Contender, RunningBroker } from './contenders.ts';
import type { LoadResult } from './load/load.ts';
import { usageOf } from './load/process-usage.ts';
import type { Address } from './load/transport.ts';
import { median, runAgainst, type Timing } from './measure.ts';
import { isWhole, whole } from './report.ts';
import { type Scenario, scenario } from './scenarios.ts';

const megabyte = 1024 * 1024;
const memoryLookMs = 50;
const churners = 20;
const changesPerSecond = 1000;
/** Subscriptions that each churner has at a time. */
const heldEach = 50;
const changeMs = 10;

interface Neighbourhood {
  readonly name: string;
  readonly title: string;
  readonly load: Scenario;
  /** Of the load's rate alone, at least. */
  readonly rateShareMin: number;
  /** How far they may raise the broker's resident memory, in megabytes: what `limits` allow for so many that do not read, and some room. */
  readonly memoryMbMax: number;
  /** Resolves when they are there. */
  come(address: Address): Promise<Neighbours>;
}

interface Neighbours {
  /** Throws when they were not served. */
  leave(): Promise<void>;
}

const fanOut = { shape: 'fan-out' } as const;

/** The load's own subscribers and these are 500, or fifty. */
const neighbourhoods: readonly Neighbourhood[] = [
  {
    name: 'churn',
    title: 'a pair, and 1,000 subscribes and 1,000 unsubscribes a second elsewhere',
    load: scenario('churn', '1 → 1, QoS 0'),
    rateShareMin: 0.8,
    memoryMbMax: 64,
    come: churn,
  },
  {
    name: 'frozen-1-of-500',
    title: 'fan-out to 499, and one more that does not read',
    load: scenario('frozen-1-of-500', '1 → 499, QoS 0', { ...fanOut, subscribers: 499 }),
    rateShareMin: 0.9,
    memoryMbMax: 64,
    come: (address) => frozen(address, 1),
  },
  {
    name: 'frozen-10-of-50',
    title: 'fan-out to 40, and ten more that do not read',
    load: scenario('frozen-10-of-50', '1 → 40, QoS 0', { ...fanOut, subscribers: 40 }),
    rateShareMin: 0.9,
    memoryMbMax: 512,
    come: (address) => frozen(address, 10),
  },
];

export interface NeighbourRun {
  readonly name: string;
  readonly contender: string;
  readonly round: number;
  readonly isBeside: boolean;
  readonly result: LoadResult;
  readonly rssBytesPeak: number | null;
}

/** `missed`: loads that kept less of their rate than they should, raised memory further than they may, or lost messages. */
export async function measureNeighbours(
  contenders: readonly Contender[],
  rounds: number,
  timing: Timing,
  say: (text: string) => void,
): Promise<{ neighbours: NeighbourRun[]; missed: number }> {
  const runs: NeighbourRun[] = [];
  let missed = 0;
  for (const neighbourhood of neighbourhoods) {
    for (const contender of contenders) {
      const mine: NeighbourRun[] = [];
      for (let round = 0; round < rounds; round++)
        for (const isBeside of [false, true])
          mine.push(await runOnce(neighbourhood, contender, round, isBeside, timing));
      runs.push(...mine);
      const { text, isMissed } = judge(neighbourhood, mine);
      if (isMissed && contender.name === 'pipit') missed++;
      say(`${neighbourhood.title}  ${contender.name}: ${text}`);
    }
  }
  return { neighbours: runs, missed };
}

function judge(
  { rateShareMin, memoryMbMax }: Neighbourhood,
  runs: readonly NeighbourRun[],
): { text: string; isMissed: boolean } {
  const medianOf = (isBeside: boolean, figure: (run: NeighbourRun) => number): number =>
    median(runs.filter((run) => run.isBeside === isBeside).map(figure));
  const rate = ({ result }: NeighbourRun): number => result.receivedPerSecond;
  const cost = ({ result }: NeighbourRun): number => result.cpuUsPerMessage ?? Number.NaN;
  const peak = ({ rssBytesPeak }: NeighbourRun): number => (rssBytesPeak ?? Number.NaN) / megabyte;
  const share = medianOf(true, rate) / medianOf(false, rate);
  const grown = medianOf(true, peak) - medianOf(false, peak);
  const isLossy = runs.some(({ result }) => !isWhole(result));
  const isMissed = isLossy || !(share >= rateShareMin) || grown > memoryMbMax;
  const text =
    `${whole(medianOf(false, rate))}/s alone, ${whole(medianOf(true, rate))}/s beside them: ${(share * 100).toFixed(0)} % ` +
    `(at least ${rateShareMin * 100}); ${medianOf(false, cost).toFixed(3)} and ${medianOf(true, cost).toFixed(3)} µs CPU a message; ` +
    `memory at most ${grown.toFixed(0)} MB more (of ${memoryMbMax})${isLossy ? ', MESSAGES LOST' : ''}${isMissed ? ': MISSED' : ''}`;
  return { text, isMissed };
}

async function runOnce(
  { name, load, come }: Neighbourhood,
  contender: Contender,
  round: number,
  isBeside: boolean,
  timing: Timing,
): Promise<NeighbourRun> {
  const broker = await contender.start(load);
  try {
    const neighbours = isBeside ? await come(broker.address) : null;
    const memory = watchMemory(broker);
    const result = await runAgainst(broker, load, timing);
    const rssBytesPeak = memory.stop();
    await neighbours?.leave();
    return { name, contender: contender.name, round, isBeside, result, rssBytesPeak };
  } finally {
    await broker.stop();
  }
}

/** The most resident memory until it is stopped; null: not known. */
function watchMemory({ pid }: RunningBroker): { stop(): number | null } {
  let peak: number | null = null;
  const look = (): void => {
    const usage = usageOf(pid);
    if (usage !== null) peak = Math.max(peak ?? 0, usage.rssBytes);
  };
  const timer = setInterval(look, memoryLookMs);
  return {
    stop: () => {
      clearInterval(timer);
      look();
      return peak;
    },
  };
}

async function frozen(address: Address, count: number): Promise<Neighbours> {
  const all = Array.from({ length: count }, (_, i) => new Bystander(address, `frozen-${i}`));
  for (const each of all) each.subscribe('load/all');
  await Promise.all(all.map((each) => each.answers()));
  for (const each of all) each.freeze();
  return {
    leave: async () => {
      for (const each of all) each.leave();
    },
  };
}

/** Each change is a new filter, of which half have a wildcard, and the end of one of `heldEach` changes before. */
async function churn(address: Address): Promise<Neighbours> {
  const all = Array.from({ length: churners }, (_, i) => new Bystander(address, `churner-${i}`));
  await Promise.all(all.map((each) => each.answers()));
  const filter = (change: number): string => `elsewhere/${change}/${change % 2 === 0 ? '+' : 'state'}`;
  const startedAt = performance.now();
  let changes = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - startedAt) / 1000) * changesPerSecond;
    for (; changes < due; changes++) {
      const each = all[changes % churners] as Bystander;
      each.subscribe(filter(changes));
      const old = changes - churners * heldEach;
      if (old >= 0) each.unsubscribe(filter(old));
    }
  }, changeMs);
  return {
    leave: async () => {
      clearInterval(timer);
      await Promise.all(all.map((each) => each.answers()));
      for (const each of all) each.leave();
    },
  };
}
