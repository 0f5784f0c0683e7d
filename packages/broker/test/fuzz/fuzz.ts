/**
 * `npm run fuzz -- [--seconds 60] [--seed N] [--only framer|codec|texts|broker] [--rounds N]`: rounds of random inputs, each from a
 * seed of its own, which it prints when one fails: then the input, shrunk, ready to be pasted into the corpus. Exit code 1.
 *
 * The same seed and the same corpus give the same round on any machine: `--seed N --only TARGET --rounds 1` repeats one.
 */

import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { codecTarget } from '../../../protocol/test/fuzz/codec-target.ts';
import { entryOf, readCorpus } from '../../../protocol/test/fuzz/corpus.ts';
import { framerTarget } from '../../../protocol/test/fuzz/framer-target.ts';
import { Features, type Target } from '../../../protocol/test/fuzz/target.ts';
import { brokerTarget } from './broker-target.ts';
import { textsTarget } from './texts-target.ts';

const inputsPerRound = 50;
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string', default: '1' },
    rounds: { type: 'string' },
    only: { type: 'string' },
  },
});
const seconds = Number(values.seconds);
const firstSeed = Number(values.seed);
const rounds = values.rounds === undefined ? Number.POSITIVE_INFINITY : Number(values.rounds);
if (!(seconds > 0) || !Number.isInteger(firstSeed) || !(rounds > 0))
  throw new Error('usage: fuzz [--seconds N] [--seed N]');

const protocolCorpus = '../../../protocol/test/fuzz/corpus';
const jobs = [
  jobOf(framerTarget, `${protocolCorpus}/framer.json`),
  jobOf(codecTarget, `${protocolCorpus}/codec.json`),
  jobOf(textsTarget, 'corpus/texts.json'),
  jobOf(brokerTarget, 'corpus/broker.json'),
].filter(({ name }) => values.only === undefined || name === values.only);
const weights = jobs.reduce((sum, { weight }) => sum + weight, 0);
if (weights === 0) throw new Error(`there is no target '${values.only}'`);
const failures = jobs.filter((job) => !job.run((seconds * 1000 * job.weight) / weights));
if (failures.length > 0) process.exitCode = 1;

interface Job {
  readonly name: string;
  readonly weight: number;
  /** Runs for so long; false when a property did not hold. */
  run(ms: number): boolean;
}

function jobOf<Input, Kept>(target: Target<Input, Kept>, file: string): Job {
  const { name, weight } = target;
  return { name, weight, run: (ms) => fuzz(target, file, ms) };
}

function fuzz<Input, Kept>(target: Target<Input, Kept>, file: string, ms: number): boolean {
  const kept = readCorpus<Kept>(new URL(file, import.meta.url)).map(({ input }) => target.restore(input));
  const features = new Features();
  const property = fc.property(target.arbitrary(kept), (input) => target.run(input, features));
  const started = performance.now();
  let executions = 0;
  let seed = firstSeed;
  for (; performance.now() - started < ms && seed < firstSeed + rounds; seed++) {
    const { failed, counterexample, numShrinks, errorInstance } = fc.check(property, { seed, numRuns: inputsPerRound });
    executions += inputsPerRound;
    if (!failed || counterexample === null) continue;
    console.error(`${target.name}: seed ${seed} fails, shrunk ${numShrinks} times: ${messageOf(errorInstance)}`);
    console.error(
      entryOf(target, counterexample[0], `seed ${seed}`, messageOf(errorInstance).split('\n')[0] as string),
    );
    return false;
  }
  const perSecond = Math.round(executions / ((performance.now() - started) / 1000));
  console.log(
    `${target.name}: seeds ${firstSeed} to ${seed - 1}, ${executions} executions, ${perSecond} a second, ${features.counts.size} features`,
  );
  show(features);
  return true;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

/** One line a kind of feature, so that a run can be compared with the one before. */
function show({ counts }: Features): void {
  const kinds = new Map<string, string[]>();
  for (const [name, count] of [...counts].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const [, kind = '', rest = ''] = /^(in phase \d|\S+) ?(.*)$/.exec(name.replace(':', '')) ?? [];
    kinds.set(kind, [...(kinds.get(kind) ?? []), `${rest === '' ? '' : `${rest}: `}${count}`]);
  }
  for (const [kind, all] of kinds) console.log(`  ${kind}: ${all.join(', ')}`);
}
