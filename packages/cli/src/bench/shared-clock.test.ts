import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { SharedClock } from './shared-clock.ts';

const machineMs = (): number => Number(process.hrtime.bigint()) / 1e6;
/** Of reading the clocks. */
const slackMs = 0.5;

test('every clock lies between two looks at the clock of the machine', () => {
  for (let i = 0; i < 50; i++) {
    const clock = new SharedClock();
    const before = machineMs();
    const now = clock.now();
    const after = machineMs();
    assert.ok(now >= before - slackMs && now <= after + slackMs, `${before} ${now} ${after}`);
  }
});

test('so does that of another thread', async () => {
  const url = new URL('./shared-clock.ts', import.meta.url).href;
  const code = `import('${url}').then(({ SharedClock }) => {
    const clock = new SharedClock();
    const { parentPort } = require('node:worker_threads');
    parentPort.once('message', () => parentPort.postMessage(clock.now()));
    parentPort.postMessage('ready');
  });`;
  const worker = new Worker(code, { eval: true });
  await new Promise((done) => worker.once('message', done));
  const before = machineMs();
  const told = new Promise<number>((done) => worker.once('message', done));
  worker.postMessage('tell');
  const now = await told;
  const after = machineMs();
  await worker.terminate();
  assert.ok(now >= before - slackMs && now <= after + slackMs, `${before} ${now} ${after}`);
});
