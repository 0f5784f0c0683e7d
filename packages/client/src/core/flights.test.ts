import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Flights } from './flights.ts';

test('identifiers are given in sequence, never 0, and are known until they are given back', () => {
  const flights = new Flights<string>();
  assert.equal(flights.get(0), undefined);
  assert.equal(flights.get(1), undefined);
  assert.equal(flights.open('a'), 1);
  assert.equal(flights.open('b'), 2);
  assert.equal(flights.get(1), 'a');
  assert.equal(flights.get(0), undefined);
  assert.equal(flights.get(3), undefined);
  flights.delete(2);
  assert.equal(flights.open('c'), 3);
  assert.deepEqual(flights.entries(), [
    [1, 'a'],
    [3, 'c'],
  ]);
  assert.equal(flights.size, 2);
});

test('after 65,535 comes 1; what is in use is passed over, until all are', () => {
  const flights = new Flights<number>();
  for (let id = 1; id < 65_535; id++) {
    assert.equal(flights.open(id), id);
    flights.delete(id);
  }
  assert.equal(flights.open(0), 65_535);
  assert.equal(flights.open(1), 1);
  assert.deepEqual(flights.entries(), [
    [65_535, 0],
    [1, 1],
  ]);
  for (let id = 2; id < 65_535; id++) {
    assert.equal(flights.isFull, false);
    assert.equal(flights.open(id), id);
  }
  assert.equal(flights.isFull, true);
  flights.delete(7);
  assert.equal(flights.open(8), 7);
});

test('it holds what a map in the order of insertion does', () => {
  // Above 0 so many are opened, else one is closed: the oldest, the newest or one between.
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -3, max: 40 }), { maxLength: 200 }), (steps) => {
      const flights = new Flights<number>();
      const model = new Map<number, number>();
      let opened = 0;
      for (const step of steps) {
        for (let count = 0; count < step; count++) model.set(flights.open(opened), opened++);
        const ids = [...model.keys()];
        const id = step > 0 ? undefined : step === 0 ? ids[0] : ids.at(step === -1 ? -1 : ids.length >> 1);
        if (id === undefined) continue;
        flights.delete(id);
        model.delete(id);
        assert.equal(flights.get(id), undefined);
      }
      assert.deepEqual(flights.entries(), [...model]);
      assert.equal(flights.size, model.size);
    }),
  );
});
