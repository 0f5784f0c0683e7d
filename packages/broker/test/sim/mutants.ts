/**
 * `npm run sim:mutants`: puts one fault after the other into a copy of the sources and shows that the simulator finds it, and
 * with how many seeds. Exit code 1 when a fault survives, or when the copy without a fault fails.
 */

import { mutants as fieldMutants, MutantCopy } from '../mutants.ts';
import { onLog } from '../store/log-disk.ts';
import { storeFaults } from '../store/mutants.ts';
import { loadEngine } from './engine.ts';
import { type Fault, faults } from './planted-faults.ts';
import { runSeed } from './run.ts';

const seedsMax = 500;
const cleanSeeds = 50;

/** Not to be seen here: model clients write well-formed packets only, and no run sends one of them 65,535 messages. */
const unseen: ReadonlySet<string> = new Set(['malformed UTF-8 let through', 'packet id in use given again']);

/** The first seed that finds it; 0: none does. What it says. */
async function hunt(fault: Fault | null, seeds: number, isOnLog: boolean): Promise<{ seed: number; rule: string }> {
  const copy = new MutantCopy(fault === null ? null : { ...fault, cases: [] });
  try {
    const sources = await loadEngine((file) => import(copy.url(file)));
    const engine = isOnLog ? onLog(sources) : sources;
    for (let seed = 1; seed <= seeds; seed++) {
      const { failure } = runSeed(seed, engine);
      if (failure !== null) return { seed, rule: failure.rule.split('\n')[0] as string };
    }
    return { seed: 0, rule: '' };
  } finally {
    copy.remove();
  }
}

for (const isOnLog of [false, true]) {
  const { seed, rule } = await hunt(null, cleanSeeds, isOnLog);
  if (seed === 0) continue;
  console.error(`The sources as they are fail with seed ${seed}${isOnLog ? ' on the log' : ''}: ${rule}`);
  process.exit(1);
}
const ofCore = [...fieldMutants.filter(({ name }) => !unseen.has(name)), ...faults];
const all = [...ofCore, ...storeFaults];
let survivors = 0;
for (const fault of all) {
  const { seed, rule } = await hunt(fault, seedsMax, !ofCore.includes(fault));
  if (seed === 0) survivors++;
  const found = seed === 0 ? `NOT FOUND in ${seedsMax} seeds` : `seed ${seed}`;
  console.log(`${found.padEnd(10)}  ${fault.name}${seed === 0 ? '' : `: ${rule.slice(0, 110)}`}`);
}
console.log(`${all.length} faults, ${all.length - survivors} found`);
process.exitCode = survivors === 0 ? 0 : 1;
