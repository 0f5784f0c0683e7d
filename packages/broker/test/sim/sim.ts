/**
 * `npm run sim -- SEED` runs one seed; `npm run sim -- --seeds 500 [--from N]` runs many and says which rare branches were
 * reached. `--trace` prints everything that happens. Exit code 1 when an invariant breaks, or a mark was never reached.
 */

import { parseArgs } from 'node:util';
import { onLog } from '../store/log-disk.ts';
import { type Engine, loadEngine } from './engine.ts';
import { logMarkNames, Marks, markNames } from './marks.ts';
import { type Outcome, runSeed, shorten } from './run.ts';

/** With fewer seeds than this a missing mark proves nothing. */
const seedsForMarks = 300;

const { values, positionals } = parseArgs({
  options: {
    seeds: { type: 'string' },
    from: { type: 'string' },
    steps: { type: 'string' },
    trace: { type: 'boolean' },
    keep: { type: 'boolean' },
    log: { type: 'boolean' },
  },
  allowPositionals: true,
});
const sources = await loadEngine();
const engine: Engine = values.log === true ? onLog(sources) : sources;
const from = Number(positionals[0] ?? values.from ?? 1);
const count = positionals.length > 0 ? 1 : Number(values.seeds ?? 500);
const steps = values.steps === undefined ? undefined : Number(values.steps);
if (!Number.isInteger(from) || !Number.isInteger(count) || count < 1)
  throw new Error('usage: sim SEED | --seeds N [--from N]');

const marks = new Marks();
const names = values.log === true ? [...markNames, ...logMarkNames] : markNames;
let failures = 0;
let turns = 0;
for (let seed = from; seed < from + count; seed++) {
  const outcome = runSeed(seed, engine, steps, values.trace === true);
  marks.include(outcome.marks);
  turns += outcome.turns;
  if (outcome.failure !== null) {
    failures++;
    show(outcome);
    if (values.keep !== true) break;
  } else if (count === 1)
    console.log(`seed ${seed}: ${outcome.steps} actions, ${outcome.turns} turns, trace ${outcome.checksum}`);
}
if (count > 1) {
  for (const name of names) console.log(`${String(marks.counts.get(name) ?? 0).padStart(8)}  ${name}`);
  console.log(`${count} seeds from ${from}, ${turns} turns, ${failures} failures`);
  const missing = marks.missing(names);
  if (count >= seedsForMarks && missing.length > 0) {
    console.error(`Never reached: ${missing.join('; ')}`);
    process.exitCode = 1;
  }
}
if (failures > 0) process.exitCode = 1;

function show(outcome: Outcome): void {
  const shortest = values.trace === true || values.keep === true ? outcome : shorten(outcome, engine);
  const { failure, options, steps: done } = shortest;
  if (values.keep === true) return console.error(`seed ${outcome.seed}: ${failure?.rule.split('\n')[0]}`);
  console.error(failure?.tail.join('\n'));
  console.error(`\n${failure?.stack}\n`);
  console.error(JSON.stringify(options));
  console.error(`\nSeed ${outcome.seed} fails: ${failure?.rule}`);
  console.error(`The shortest prefix that fails has ${done} actions: npm run sim -- ${outcome.seed} --steps ${done}`);
}
