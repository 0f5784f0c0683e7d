import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FlightState, SendWindow } from './send-window.ts';

/** A small generator of its own: 600,000 steps are too many for a list. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 0x1_0000_0000) * below);
  };
}

const states = [FlightState.AwaitPuback, FlightState.AwaitPubrec, FlightState.AwaitPubcomp] as const;

/** In the order of sending: id → state and item. */
type Model = Map<number, { state: FlightState; item: string | null }>;

function order(window: SendWindow<string>): number[] {
  const ids: number[] = [];
  for (let id = window.nextAfter(0); id !== 0; id = window.nextAfter(id)) ids.push(id);
  return ids;
}

for (const [name, keep] of [
  ['a small window that wraps nine times', 30],
  ['a window that grows and shrinks', 3_000],
] as const) {
  test(`600,000 random operations against a plain map: ${name}`, () => {
    const window = new SendWindow<string>();
    const model: Model = new Map();
    const next = random(keep);
    let last = 0;
    for (let step = 0; step < 600_000; step++) {
      // The size swings around `keep`, so that the window empties now and then.
      const isOpening = model.size < keep && next(100) < (Math.floor(step / 20_000) % 2 === 0 ? 65 : 40);
      if (isOpening && !window.isFull) {
        const state = states[next(3)] as FlightState;
        const item = next(2) === 0 ? null : `m${step}`;
        const id = window.open(state, item);
        assert.equal(id, last === 65_535 ? 1 : last + 1, 'in sequence, never 0');
        assert.ok(!model.has(id));
        model.set(id, { state, item });
        last = id;
        continue;
      }
      const [oldest] = model.keys();
      if (oldest === undefined) continue;
      // Mostly near the oldest, so that the window moves on; sometimes in the middle.
      const ids = next(10) === 0 ? [...model.keys()] : [oldest];
      const id = ids[next(ids.length)] as number;
      const entry = model.get(id) as { state: FlightState; item: string | null };
      assert.equal(window.stateOf(id), entry.state);
      assert.equal(window.itemOf(id), entry.item);
      if (entry.state === FlightState.AwaitPubrec && next(2) === 0) {
        window.advance(id, FlightState.AwaitPubcomp, null);
        model.set(id, { state: FlightState.AwaitPubcomp, item: null });
      } else {
        window.close(id);
        model.delete(id);
        assert.equal(window.stateOf(id), FlightState.Free);
        assert.equal(window.itemOf(id), null);
      }
      assert.equal(window.inUse, model.size);
      if (step % 10_007 === 0) assert.deepEqual(order(window), [...model.keys()]);
    }
    assert.deepEqual(order(window), [...model.keys()]);
  });
}

test('every id from 1 to 65,535 is given, then no more until the oldest comes back [MQTT-2.2.1-4]', () => {
  const window = new SendWindow<string>();
  for (let id = 1; id <= 65_535; id++) {
    assert.equal(window.isFull, false);
    assert.equal(window.open(FlightState.AwaitPuback, null), id);
  }
  assert.equal(window.isFull, true);
  assert.equal(window.inUse, 65_535);
  window.close(30_000);
  assert.equal(window.isFull, true, 'nothing is skipped while the oldest is open');
  window.close(1);
  assert.equal(window.isFull, false);
  assert.equal(window.open(FlightState.AwaitPubrec, null), 1);
  assert.equal(window.isFull, true);
  const ids = order(window);
  assert.equal(ids.length, 65_534);
  assert.deepEqual([ids[0], ids.at(-2), ids.at(-1)], [2, 65_535, 1]);
  for (const id of ids) window.close(id);
  assert.equal(window.inUse, 0);
  assert.equal(window.open(FlightState.AwaitPuback, null), 2);
});

test('what is not in use is Free: 0, before, behind, in holes', () => {
  const window = new SendWindow<string>();
  assert.equal(window.stateOf(1), FlightState.Free);
  assert.equal(window.nextAfter(0), 0);
  for (let i = 0; i < 5; i++) window.open(FlightState.AwaitPuback, `${i + 1}`);
  window.close(3);
  for (const id of [0, 3, 6, 7, 65_535]) {
    assert.equal(window.stateOf(id), FlightState.Free, String(id));
    assert.equal(window.itemOf(id), null, String(id));
  }
  assert.deepEqual(order(window), [1, 2, 4, 5]);
  assert.equal(window.nextAfter(3), 4, 'an id that was closed still has its place');
  window.close(1);
  window.close(2);
  assert.equal(window.nextAfter(1), 4, 'one that has left the window lies before it');
});

test('restored in the order of sending, also across the wrap and with holes', () => {
  const window = new SendWindow<string>();
  const ids = [65_500, 65_534, 65_535, 1, 2, 90];
  for (const id of ids) window.restore(id, FlightState.AwaitPubrec, `m${id}`);
  assert.deepEqual(order(window), ids);
  assert.equal(window.inUse, 6);
  for (const id of ids) assert.equal(window.itemOf(id), `m${id}`);
  assert.equal(window.stateOf(50), FlightState.Free);
  assert.equal(window.open(FlightState.AwaitPuback, null), 91);
  for (const id of [...ids, 91]) window.close(id);
  assert.equal(window.open(FlightState.AwaitPuback, null), 92);
});

test('a window just made goes on where it is told to', () => {
  const window = new SendWindow<string>();
  window.startAt(65_535);
  assert.equal(window.open(FlightState.AwaitPuback, null), 65_535);
  window.startAt(7);
  assert.equal(window.open(FlightState.AwaitPuback, null), 1, 'not while something is in use');
});
