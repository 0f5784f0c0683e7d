import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message } from '@pipit/client';
import type { BenchPlan } from './bench-plan.ts';
import { BenchSubscriber, DeliveryCount } from './bench-subscriber.ts';
import { Board } from './board.ts';
import { latencies } from './latencies.ts';
import { SharedClock } from './shared-clock.ts';

function subscriber(plan: Pick<BenchPlan, 'publishers' | 'delivery'>, index: number) {
  const board = Board.for(plan.publishers, 1);
  const deliveries = latencies();
  const clock = new SharedClock();
  const told = new DeliveryCount(board, plan.publishers);
  const it = new BenchSubscriber(index, { plan: plan as BenchPlan, board, clock, deliveries, told });
  const take = (publisher: number, sequence: number, dueAt = clock.now()): void => {
    const payload = new Uint8Array(16);
    const view = new DataView(payload.buffer);
    view.setUint32(0, publisher);
    view.setUint32(4, sequence);
    view.setFloat64(8, dueAt);
    it.take({ payload } as Message);
  };
  return { it, take, board, deliveries, clock };
}

test('what comes again or after a later one of its publisher is misplaced; a gap is not', () => {
  const { it, take } = subscriber({ publishers: 2, delivery: 'all' }, 0);
  for (const [publisher, sequence] of [
    [0, 0],
    [1, 0],
    [0, 1],
    [0, 4],
    [0, 4],
    [0, 2],
    [0, 5],
    [1, 1],
  ] as const)
    take(publisher, sequence);
  assert.deepEqual([it.received, it.misplaced], [8, 2]);
});

test('a subscriber of one publisher looks at the numbers of that one', () => {
  const { it, take } = subscriber({ publishers: 5, delivery: 'pair' }, 3);
  take(3, 0);
  take(3, 0);
  assert.deepEqual([it.received, it.misplaced], [2, 1]);
});

test('deliveries are told to the publisher at the end of the turn, together', async () => {
  const { take, board } = subscriber({ publishers: 2, delivery: 'all' }, 0);
  take(1, 0);
  take(1, 1);
  take(0, 0);
  assert.deepEqual([board.deliveredOf(0), board.deliveredOf(1)], [0, 0]);
  await board.deliveredBeyond(1, 0);
  assert.deepEqual([board.deliveredOf(0), board.deliveredOf(1)], [1, 2]);
});

test('only what was due in the measured time is measured, from when it was due', () => {
  const { take, board, deliveries, clock } = subscriber({ publishers: 1, delivery: 'pair' }, 0);
  const now = clock.now();
  board.measure(now - 10_000, now - 1_000);
  take(0, 0, now - 10_001);
  take(0, 1, now - 5_000);
  take(0, 2, now - 1_000);
  assert.equal(deliveries.count, 1);
  assert.ok(deliveries.min >= 4.99e9, `${deliveries.min}`);
});
