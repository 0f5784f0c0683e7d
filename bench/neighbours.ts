/**
 * What others do to a load: they subscribe and unsubscribe elsewhere, or some of its subscribers have stopped reading. With and
 * without them, in turn; the medians of what each subscriber that reads gets are compared.
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
/** Until who does not read is known for it: buffers of both systems fill, and the broker waits for a second. */
const stallMs = 2500;

interface Neighbourhood {
  readonly name: string;
  readonly title: string;
  readonly load: Scenario;
  /** Subscribers of the load that stop reading as soon as they have subscribed. */
  readonly frozen: number;
  /** Of a subscriber's rate without them, at least. */
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

const neighbourhoods: readonly Neighbourhood[] = [
  {
    name: 'churn',
    title: 'a pair; beside it 1,000 subscribes and 1,000 unsubscribes a second',
    load: scenario('churn', '1 → 1, QoS 0'),
    frozen: 0,
    rateShareMin: 0.8,
    memoryMbMax: 64,
    come: churn,
  },
  {
    name: 'frozen-1-of-500',
    title: 'fan-out to 500; one of them does not read',
    load: scenario('frozen-1-of-500', '1 → 500, QoS 0', { ...fanOut, subscribers: 500 }),
    frozen: 1,
    rateShareMin: 0.9,
    memoryMbMax: 64,
    come: (address) => frozen(address, 1),
  },
  {
    name: 'frozen-10-of-50',
    title: 'fan-out to 50; ten of them do not read',
    load: scenario('frozen-10-of-50', '1 → 50, QoS 0', { ...fanOut, subscribers: 50 }),
    frozen: 10,
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
  /** Subscribers that read. */
  readonly readers: number;
  readonly result: LoadResult;
  readonly rssBytesPeak: number | null;
}

/** `missed`: loads that kept less of their rate than they should, raised memory further than they may, or lost messages. */
export async function measureNeighbours(
  chosen: (name: string) => boolean,
  contenders: readonly Contender[],
  rounds: number,
  timing: Timing,
  say: (text: string) => void,
): Promise<{ neighbours: NeighbourRun[]; missed: number }> {
  const runs: NeighbourRun[] = [];
  let missed = 0;
  for (const neighbourhood of neighbourhoods.filter(({ name }) => chosen(name))) {
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
  const rate = ({ result, readers }: NeighbourRun): number => result.receivedPerSecond / readers;
  const cost = ({ result }: NeighbourRun): number => result.cpuUsPerMessage ?? Number.NaN;
  const peak = ({ rssBytesPeak }: NeighbourRun): number => (rssBytesPeak ?? Number.NaN) / megabyte;
  const share = medianOf(true, rate) / medianOf(false, rate);
  const grown = medianOf(true, peak) - medianOf(false, peak);
  const isLossy = runs.some(({ result }) => !isWhole(result));
  const isMissed = isLossy || !(share >= rateShareMin) || grown > memoryMbMax;
  const text =
    `${whole(medianOf(false, rate))}/s a subscriber without, ${whole(medianOf(true, rate))}/s with: ${(share * 100).toFixed(0)} % ` +
    `(at least ${rateShareMin * 100}); ${medianOf(false, cost).toFixed(3)} and ${medianOf(true, cost).toFixed(3)} µs CPU a message; ` +
    `memory at most ${grown.toFixed(0)} MB more (of ${memoryMbMax})${isLossy ? ', MESSAGES LOST' : ''}${isMissed ? ': MISSED' : ''}`;
  return { text, isMissed };
}

async function runOnce(
  { name, load, frozen: missing, come }: Neighbourhood,
  contender: Contender,
  round: number,
  isBeside: boolean,
  timing: Timing,
): Promise<NeighbourRun> {
  const broker = await contender.start(load);
  try {
    const readers = load.subscribers - (isBeside ? missing : 0);
    const neighbours = isBeside ? await come(broker.address) : null;
    const memory = watchMemory(broker);
    const warmUpMs = timing.warmUpMs + (missing > 0 ? stallMs : 0);
    const result = await runAgainst(broker, { ...load, subscribers: readers }, { ...timing, warmUpMs });
    const rssBytesPeak = memory.stop();
    await neighbours?.leave();
    return { name, contender: contender.name, round, isBeside, readers, result, rssBytesPeak };
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
