/**
 * kill -9: clients publish and receive through real sockets, `pipit serve` is killed at random moments and started again, and the
 * clients' own logs must agree. `PIPIT_KILLS` says how often, `PIPIT_SEED` chooses the moments as far as a seed can.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Prng } from '../../packages/broker/test/sim/prng.ts';
import { Population } from './population.ts';
import { Served } from './served.ts';

const kills = Number(process.env['PIPIT_KILLS'] ?? 20);
const seed = Number(process.env['PIPIT_SEED'] ?? Math.floor(Math.random() * 1_000_000));
const timeout = { timeout: 120_000 + kills * 10_000 };
const folder = mkdtempSync(join(tmpdir(), 'pipit-kill-'));
const quiet = ['--log-level', 'warn'];
// On a small disk segments are small: there cleaning is among what is killed.
const small = join(folder, 'small');
spawnSync('mkdir', [small]);
const isMounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', small]).status === 0;
after(() => {
  if (isMounted) spawnSync('umount', ['-l', small]);
  rmSync(folder, { recursive: true });
});

/** Starts it, now and then after killing it while it started. */
async function start(data: string, prng: Prng): Promise<Served> {
  while (prng.chance(10)) await Served.killWhileStarting(data, prng.below(700), quiet);
  const served = await Served.start(data, quiet);
  const damaged = served.lines.filter((line) => line.startsWith('damage'));
  assert.deepEqual(damaged, [], 'a killed process damages nothing');
  return served;
}

async function run(t: TestContext, data: string, times: number, stream: number): Promise<void> {
  t.diagnostic(`PIPIT_SEED=${seed} PIPIT_KILLS=${kills}`);
  const prng = new Prng(seed, stream);
  const population = new Population(prng);
  let served = await start(data, prng);
  t.after(() => {
    population.drop();
    return served.kill();
  });
  await population.settleIn(served.port);
  for (let kill = 0; kill < times; kill++) {
    const life = population.live(served.port, 1 + prng.below(600));
    // Sooner or later by what happened, or by the clock: then also while everybody comes back.
    await (prng.chance(30) ? Promise.race([life, sleep(prng.below(250))]) : life);
    await (prng.chance(15) ? served.killWhileStopping(prng.below(60)) : served.kill());
    population.drop();
    served = await start(data, prng);
    if (prng.chance(30)) await population.inspect(served.port);
  }
  await population.comeToRest(served.port);
  await population.judge(served.port);
  t.diagnostic(`${times} kills: ${population.summary()}`);
  population.drop();
  assert.deepEqual(await served.stop(), { code: 0, signal: null });
}

const onDisk = isMounted ? Math.ceil(kills / 2) : kills;
const what =
  'nothing acknowledged is lost, QoS 2 comes once, order is kept, subscriptions are whole, each will comes once';

test(`${onDisk} kills: ${what}`, timeout, (t) => run(t, join(folder, 'data'), onDisk, 1));

if (isMounted) {
  test(`${kills - onDisk} kills on a small disk: ${what}`, timeout, (t) =>
    run(t, join(small, 'data'), kills - onDisk, 2),
  );
}
