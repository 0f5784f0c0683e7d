/** Many worlds of clients and a broker: nothing lost, QoS 2 never twice. A seed that fails is run again by itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Swarm } from './swarm.ts';

const seeds = 40;
const steps = 1_500;

test(`nothing is lost and QoS 2 never comes twice, in ${seeds} worlds with links that are cut`, () => {
  let cuts = 0;
  let messages = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    const swarm = new Swarm(seed);
    try {
      swarm.run(steps);
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
    cuts += swarm.cuts;
    messages += swarm.asked.length;
  }
  assert.ok(cuts > seeds * 20 && messages > seeds * 100, `${cuts} cuts and ${messages} messages are too few`);
});
