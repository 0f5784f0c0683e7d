/**
 * What a seed expands to: who takes part, which faults there are and how often. Swarm style: every seed switches some features
 * off and gives the others weights far apart, because rare branches need their causes alone and in excess.
 */

import type { ProtocolVersion } from '@pipit/protocol';
import type { Limits, QueueOverflow } from '../../src/core/index.ts';
import { Prng } from './prng.ts';

const actionNames = [
  'publish',
  'burst',
  'subscribe',
  'unsubscribe',
  'connect',
  'takeover',
  'leave',
  'reset',
  'finish',
  'freeze',
  'thaw',
  'intrude',
  'wait',
  'permit',
  'kick',
  'crash',
  'restart',
  'diskDown',
  'diskUp',
  'setClock',
] as const;
export type ActionName = (typeof actionNames)[number];

export interface SimOptions {
  readonly seed: number;
  /** Actions of the fault phase. */
  readonly steps: number;
  readonly versions: readonly ProtocolVersion[];
  readonly clients: number;
  readonly topics: number;
  readonly weights: Readonly<Record<ActionName, number>>;
  /** Virtual milliseconds between two actions, at most. */
  readonly gapMs: number;
  readonly turnDelayMs: number;
  readonly link: { readonly delayMs: number; readonly splitPercent: number };
  readonly ackDelayMs: number;
  readonly authorityDelayMs: number;
  /** null: the broker has no store. */
  readonly disk: { readonly delayMs: number; readonly failPercent: number; readonly pageFailPercent: number } | null;
  readonly limits: Partial<Limits>;
  readonly queueQos0: boolean;
  readonly queueOverflow: QueueOverflow;
  readonly strange: {
    readonly cleanPercent: number;
    readonly willPercent: number;
    readonly willDelayPercent: number;
    readonly sharedPercent: number;
    readonly retainPercent: number;
    readonly expiryPercent: number;
    readonly aliasPercent: number;
    readonly refusePercent: number;
    readonly bigPercent: number;
    readonly smallPacketsPercent: number;
    readonly optionsPercent: number;
    readonly keepAlivePercent: number;
  };
  readonly expiries: readonly number[];
  readonly receiveMaximum: number;
  readonly qos: readonly [number, number, number];
  readonly permissions: boolean;
  /** The packet ids of new sessions begin here. */
  readonly firstPacketId: number;
}

export function expand(seed: number, steps = 1000): SimOptions {
  const prng = new Prng(seed);
  const percent = (): number => (prng.chance(40) ? 0 : prng.pick([2, 10, 30, 60, 90]));
  const hasDisk = prng.chance(75);
  const weights = weightsOf(prng);
  if (!hasDisk) weights.diskDown = 0;
  weights.diskUp = weights.diskDown;
  const permissions = prng.chance(40);
  if (!permissions) weights.permit = 0;
  const options: SimOptions = {
    seed,
    steps,
    versions: prng.pick([[3, 4, 5], [5], [5, 4], [4], [3, 5], [5]] as ProtocolVersion[][]),
    clients: prng.between(2, 5),
    topics: prng.pick([1, 3, 8]),
    weights,
    gapMs: prng.pick([2, 20, 200, 1500]),
    turnDelayMs: prng.pick([0, 0, 3, 40]),
    link: { delayMs: prng.pick([0, 2, 30, 400]), splitPercent: percent() },
    ackDelayMs: prng.pick([0, 1, 20, 500, 3000]),
    authorityDelayMs: prng.pick([0, 0, 5, 300]),
    disk: hasDisk
      ? { delayMs: prng.pick([0, 1, 10, 200, 2000]), failPercent: percent() >> 1, pageFailPercent: percent() >> 1 }
      : null,
    limits: { ...limitsOf(prng), ...inMemory[seed % 3] },
    queueOverflow: 'drop-newest',
    queueQos0: prng.chance(20),
    strange: {
      cleanPercent: percent(),
      willPercent: percent(),
      willDelayPercent: percent(),
      sharedPercent: percent(),
      retainPercent: percent(),
      expiryPercent: percent(),
      aliasPercent: percent(),
      refusePercent: percent() >> 2,
      bigPercent: percent() >> 1,
      smallPacketsPercent: percent(),
      optionsPercent: percent(),
      keepAlivePercent: percent() >> 1,
    },
    expiries: prng.pick([[0xffff_ffff], [0, 1, 5, 0xffff_ffff], [0], [3, 600], [0, 20, 0xffff_ffff]]),
    receiveMaximum: prng.pick([1, 2, 5, 65_535]),
    qos: prng.pick([
      [1, 1, 1],
      [1, 5, 5],
      [0, 1, 0],
      [0, 0, 1],
      [3, 1, 1],
    ] as [number, number, number][]),
    permissions,
    firstPacketId: prng.chance(15) ? prng.between(65_500, 65_535) : 1,
  };
  // What came later stands behind, so that seeds keep their meaning.
  const { totals, queueOverflow } = overflowOf(prng);
  weights.setClock = prng.chance(20) ? prng.pick([1, 5]) : 0;
  const burst = prng.chance(60) ? { burstInputsMin: prng.pick([1, 2, 4]), burstTurnsMax: prng.pick([1, 3]) } : {};
  return { ...options, limits: { ...options.limits, ...totals, ...burst }, queueOverflow };
}

function weightsOf(prng: Prng): Record<ActionName, number> {
  const weights = {} as Record<ActionName, number>;
  for (const name of actionNames)
    if (name !== 'setClock') weights[name] = prng.chance(35) ? 0 : prng.pick([1, 2, 5, 10, 25]);
  if (weights.publish + weights.burst === 0) weights.publish = 10;
  weights.subscribe = Math.max(weights.subscribe, 2);
  weights.connect = Math.max(weights.connect, 10);
  weights.thaw = weights.freeze === 0 ? 0 : Math.max(1, weights.thaw);
  for (const rare of ['crash', 'restart', 'kick'] as const) weights[rare] = Math.min(weights[rare], 1);
  weights.permit = Math.min(weights.permit, 10);
  return weights;
}

function totalsOf(prng: Prng): Partial<Limits> {
  return { queueMessagesTotalMax: prng.pick([3, 10, 30]), queueBytesTotalMax: prng.pick([600, 3000, 10_000]) };
}

/** What is kept in memory when there is a store: little, some, or as much as ever. */
const inMemory: readonly Partial<Limits>[] = [
  { retainedBytesInMemoryMax: 0 },
  { retainedBytesInMemoryMax: 3_000, queuePrefixBytesTotalMax: 600 },
  {},
];

function overflowOf(prng: Prng): { totals: Partial<Limits>; queueOverflow: QueueOverflow } {
  const totals = prng.chance(20) ? totalsOf(prng) : {};
  const queueOverflow = prng.chance(50) ? prng.pick(['drop-oldest', 'refuse'] as const) : 'drop-newest';
  return { totals: queueOverflow === 'refuse' ? roomForAll(totals) : totals, queueOverflow };
}

/** One message for everybody must fit, or two that publish it refuse each other for ever. */
function roomForAll(totals: Partial<Limits>): Partial<Limits> {
  const { queueMessagesTotalMax: messages, queueBytesTotalMax: bytes } = totals;
  if (messages === undefined || bytes === undefined) return totals;
  return { queueMessagesTotalMax: Math.max(messages, 10), queueBytesTotalMax: Math.max(bytes, 3000) };
}

function limitsOf(prng: Prng): Partial<Limits> {
  // Reads fail at random: nothing is given up for that.
  const limits: { -readonly [Name in keyof Limits]?: number } = { unreadableMsMax: 24 * 3600 * 1000 };
  const maybe = (name: keyof Limits, values: readonly number[]): void => {
    if (prng.chance(50)) limits[name] = prng.pick(values);
  };
  maybe('turnDeliveriesMax', [1, 2, 10, 50]);
  maybe('turnBytesMax', [1, 100, 2000]);
  maybe('queueMessagesMax', [1, 3, 10, 40]);
  maybe('queueBytesMax', [300, 1000, 5000]);
  maybe('queuePrefixMessages', [1, 2, 5, 20]);
  maybe('queuePrefixBytes', [1, 400, 2000]);
  maybe('sendMaximum', [1, 2, 8]);
  maybe('receiveMaximum', [1, 2, 8]);
  maybe('heldBytesMax', [1, 30, 500]);
  maybe('heldMsMax', [1500, 20_000]);
  maybe('unsentBytesMax', [1, 200, 3000]);
  maybe('unsentBytesStalledMax', [1, 100, 1000]);
  maybe('stalledAfterMs', [0, 50, 1000]);
  if (prng.chance(20)) limits.unsentBytesTotalMax = prng.pick([100, 1000, 10_000]);
  maybe('topicAliasMaximum', [0, 1, 3]);
  maybe('sentTopicAliasMaximum', [0, 1, 2]);
  maybe('sessionExpiryMax', [10, 100_000]);
  maybe('internedTopicsMax', [2, 4]);
  maybe('plannedRecipientsMax', [1, 3]);
  maybe('subscriptionsPerSessionMax', [2, 4, 100]);
  return limits;
}
