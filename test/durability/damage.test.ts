/** Damage on real files. More places, and others: `npm run damage -- --places 5000 --seed 7`. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { damageStores } from './damage-run.ts';

const places = 300;
const seed = Number(process.env['PIPIT_SEED'] ?? 1);

test(`${places} damaged stores: each starts, what is read is right, and what is missing is told`, {
  timeout: 300_000,
}, async (context) => {
  context.diagnostic(`seed ${seed}`);
  const outcome = await damageStores(places, seed, (line) => context.diagnostic(line));
  context.diagnostic(JSON.stringify({ ...outcome, ranges: Object.fromEntries(outcome.ranges) }));
  // The damage was real: much was lost, and every kind of report was seen.
  assert.ok(outcome.lossy > places / 2 && outcome.messages > places);
  assert.deepEqual([...outcome.ranges.keys()].sort(), ['damaged', 'missing', 'unfinished']);
});
