import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Outbox, type Slab, SlabPool } from './slab.ts';

test('a slab that is given back is used again, a reference of the same size is not', () => {
  const pool = new SlabPool();
  const out = new Outbox();
  const payload = new Uint8Array(65_536);
  out.reserve(pool, 10, 65_536);
  out.refer(payload);
  const [slab, reference] = [out.shift(), out.shift()] as [Slab, Slab];
  assert.equal(reference.bytes, payload);
  pool.give(slab);
  pool.give(reference);
  assert.equal(pool.take(65_536), slab);
  assert.notEqual(pool.take(65_536).bytes, payload);
});
