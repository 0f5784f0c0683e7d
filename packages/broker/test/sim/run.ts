/** One seed from start to end: faults, then healing, then everything owed must be paid. And the shortest run that still fails. */

import { act, connect } from './actions.ts';
import type { Engine } from './engine.ts';
import type { Marks } from './marks.ts';
import type { Owed } from './model.ts';
import { expand, type SimOptions } from './options.ts';
import { Simulation } from './simulation.ts';

/** Turns in which a healed broker must have delivered everything to healthy peers: so many, and so many for each debt. */
const healingTurns = 500;
const healingTurnsPerDebt = 10;
const healingSlices = 120;
const sliceMs = 1000;

export interface Outcome {
  readonly seed: number;
  readonly options: SimOptions;
  /** Actions carried out. */
  readonly steps: number;
  readonly turns: number;
  readonly checksum: string;
  readonly marks: Marks;
  /** null: all is well. */
  readonly failure: { readonly rule: string; readonly stack: string; readonly tail: readonly string[] } | null;
}

export function runSeed(seed: number, engine: Engine, stepsMax?: number, print = false): Outcome {
  const options = expand(seed, stepsMax);
  const sim = new Simulation(options, engine, print);
  let done = 0;
  let failure: Outcome['failure'] = null;
  try {
    for (; done < options.steps; done++) {
      const name = sim.prng.weighted(options.weights);
      if (name !== undefined) act(sim, name);
      sim.runFor(sim.prng.below(options.gapMs + 1));
    }
    heal(sim);
    judgeEnd(sim);
  } catch (error) {
    const { message, stack = '' } = error as Error;
    failure = { rule: message, stack, tail: sim.trace.tail };
  }
  // The action that failed is one of them.
  const steps = failure === null ? done : Math.min(done + 1, options.steps);
  return { seed, options, steps, turns: sim.turns, checksum: sim.trace.checksum, marks: sim.marks, failure };
}

/** The fewest actions with which the seed still fails, found by halving; the outcome of that run. */
export function shorten(outcome: Outcome, engine: Engine): Outcome {
  let fails = outcome;
  let passes = 0;
  // A run cut short heals earlier, and may fail then, too.
  while (fails.steps - passes > 1) {
    const middle = (fails.steps + passes) >> 1;
    const next = runSeed(outcome.seed, engine, middle);
    if (next.failure === null) passes = middle;
    else fails = next;
  }
  return fails;
}

function heal(sim: Simulation): void {
  sim.log('── healing');
  const { faults } = sim;
  for (const name of Object.keys(faults) as (keyof typeof faults)[]) {
    if (name === 'isDiskDown') faults.isDiskDown = false;
    else faults[name] = 0;
  }
  const turnsMax = sim.turns + healingTurns + healingTurnsPerDebt * debtsOf(sim);
  for (let slice = 0; slice < healingSlices; slice++) {
    for (const link of sim.openLinks) if (link.isFrozen) link.drain(true);
    for (const client of sim.clients) if (client.phase !== 'online') connect(sim, client, true);
    sim.runFor(sliceMs);
    if (sim.clients.every((client) => client.isSettled) && sim.core.isQuiet() && !isOwed(sim)) return;
    sim.oracle.expect(sim.turns < turnsMax, 'delivery takes too many turns');
  }
  const sessions = [...sim.model.sessions.values()].filter(({ line }) => line.length > 0);
  const owed = sessions.map(
    ({ clientId, line }) =>
      `${clientId}: ${line.map(({ routing, phase }) => `#${routing.number} ${phase}`).join(', ')}`,
  );
  sim.oracle.fail(
    `after healing something is still owed: ${[...sim.clients.filter((client) => !client.isSettled).map(({ report }) => report), ...owed].join('; ')}`,
  );
}

function debtsOf({ clients, model }: Simulation): number {
  let debts = 0;
  for (const { line, replays } of model.sessions.values()) {
    debts += line.length + replays.reduce((sum, { left }) => sum + left.size, 0);
  }
  return clients.reduce((sum, { debts: own }) => sum + own, debts);
}

/** QoS 0 messages may have been among what was held when a connection ended; those that wait in the store, and retained ones, come yet. */
function isOwed({ core, model, disk }: Simulation): boolean {
  const isBusy = [...core.state.sessions.values()].some(
    ({ queue, replays }) => (queue?.count ?? 0) > 0 || (replays?.size ?? 0) > 0,
  );
  if (isBusy) return true;
  const counts = ({ qos }: Owed): boolean => qos > 0 || disk === null;
  return model.estates.length > 0 || [...model.sessions.values()].some((session) => session.line.some(counts));
}

/** At rest the core and the model know the same. */
function judgeEnd(sim: Simulation): void {
  const { core, disk, model, oracle, schedule } = sim;
  const { state } = core;
  const ours = [...model.sessions.keys()].sort().join();
  const theirs = [...state.sessions.keys()].sort().join();
  oracle.expect(ours === theirs, `the sessions are ${theirs}, not ${ours}`);
  for (const session of model.sessions.values()) {
    const real = state.sessions.get(session.clientId);
    const left = (real?.window?.inUse ?? 0) + (real?.queue?.count ?? 0);
    oracle.expect(left === 0, `${left} messages for ${session.clientId} are never done`);
    const subscriptions = [...(real === undefined ? [] : state.router.subscriptionsOf(real))];
    const show = (each: { filter: string; shareName: string | undefined; qos: number; identifier: number }): string =>
      `${each.shareName ?? ''} ${each.filter} ${each.qos} ${each.identifier}`;
    const have = subscriptions.map(show).sort().join('; ');
    const want = [...session.subscriptions.values()].map(show).sort().join('; ');
    oracle.expect(have === want, `${session.clientId} is subscribed to ${have}, not ${want}`);
    for (const { left, mayLackOwn, mayLackSome, qos } of session.replays) {
      if (mayLackSome) continue;
      for (const [topic, routing] of left) {
        if (mayLackOwn && routing.publisher === session.clientId) continue;
        if (disk !== null && Math.min(qos, routing.qos) === 0) continue;
        const isDue =
          model.retained.get(topic) === routing &&
          routing.expiresAt > routing.at &&
          model.mayReceive(session, topic) &&
          routing.expiresAt > schedule.now;
        oracle.expect(!isDue, `${session.clientId} never got the retained message of ${topic}`);
      }
    }
  }
  const have = [...state.retained]
    .filter(({ entry }) => state.retained.expiresAt(entry) > state.now)
    .map(({ topic }) => topic)
    .sort()
    .join();
  const want = [...model.retained]
    .filter(([, { expiresAt }]) => expiresAt > schedule.now)
    .map(([topic]) => topic)
    .sort()
    .join();
  oracle.expect(have === want, `retained are ${have}, not ${want}`);
}
