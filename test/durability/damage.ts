/** `npm run damage -- --places 5000 --seed 7`: as the test does, at as many places as wanted. */

import { parseArgs } from 'node:util';
import { damageStores } from './damage-run.ts';

const { values } = parseArgs({
  options: {
    places: { type: 'string', default: '1000' },
    seed: { type: 'string', default: `${Date.now() % 100_000}` },
  },
});
const seed = Number(values.seed);
console.log(`seed ${seed}`);
const outcome = await damageStores(Number(values.places), seed, (line) => console.log(line));
console.log(outcome);
