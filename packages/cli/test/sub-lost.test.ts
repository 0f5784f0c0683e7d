import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { run, scratch, start, startServe, startServeIn } from './command.ts';

for (const [how, signal] of [
  ['is killed', 'SIGKILL'],
  ['stops', 'SIGTERM'],
] as const) {
  test(`pipit sub goes on when the broker ${how} and is back, as mosquitto_sub does`, async () => {
    const folder = mkdtempSync(join(scratch, 'lost-'));
    const first = await startServeIn(folder, '--memory', '--tcp', '0', '--log-level', 'silent');
    const port = await first.until('stdout', /^mqtt:.*:(\d+)$/m);
    const sub = start('sub', '-p', port, '-t', 'a/#', '-C', '2', '-d');
    await sub.until('stderr', /received SUBACK/);
    await run(['pub', '-p', port, '-t', 'a/1', '-m', 'before', '-q', '1']);
    await sub.until('stdout', /before/);
    first.process.kill(signal);
    await first.outcome();
    await sub.until('stderr', /Trying again\.$/m);
    const second = await startServeIn(folder, '--memory', '--tcp', port, '--log-level', 'silent');
    await sub.until('stderr', /received SUBACK[\s\S]*received SUBACK/);
    await run(['pub', '-p', port, '-t', 'a/1', '-m', 'after', '-q', '1']);
    const { exitCode, stdout } = await sub.outcome();
    assert.deepEqual([exitCode, stdout], [0, 'before\nafter\n']);
    await second.stop();
  });
}

test('pipit sub ends when another takes its session over: two that fight over it help nobody', async () => {
  const serve = await startServe('--memory', '--tcp', '0', '--log-level', 'silent');
  const port = await serve.until('stdout', /^mqtt:.*:(\d+)$/m);
  const sub = start('sub', '-p', port, '-i', 'twin', '-t', 'a', '-d');
  await sub.until('stderr', /received SUBACK/);
  await run(['sub', '-p', port, '-i', 'twin', '-t', 'a', '-E']);
  const { exitCode, stderr } = await sub.outcome();
  assert.equal(exitCode, 0x8e);
  assert.match(stderr, /The broker closed the connection: Session taken over\./);
  await serve.stop();
});

test('pipit sub whose broker was never there ends at once, and one that is waiting ends by -W', async () => {
  assert.equal((await run(['sub', '-p', '1', '-t', 'a'])).exitCode, 1);
  const serve = await startServe('--memory', '--tcp', '0', '--log-level', 'silent');
  const port = await serve.until('stdout', /^mqtt:.*:(\d+)$/m);
  const sub = start('sub', '-p', port, '-t', 'a', '-d', '-W', '3');
  await sub.until('stderr', /received SUBACK/);
  await serve.stop();
  assert.equal((await sub.outcome()).exitCode, 27);
});
