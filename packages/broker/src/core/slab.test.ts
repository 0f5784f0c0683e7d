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

test('the content of a slab is what was put into it last, whatever its length was before', () => {
  const slab = new SlabPool().take(100);
  for (const [length, value] of [
    [4, 1],
    [4, 2],
    [9, 3],
    [0, 0],
    [4, 5],
  ] as const) {
    slab.bytes.fill(value, 0, length);
    slab.length = length;
    assert.deepEqual(slab.content, new Uint8Array(length).fill(value));
  }
});

const classes = [1_024, 4_096, 16_384, 65_536, 294_912];

for (const size of classes) {
  test(`pool: ${size} bytes are of that class, one more of the next`, () => {
    const pool = new SlabPool();
    assert.equal(pool.take(size - 1).bytes.length, size);
    const slab = pool.take(size);
    assert.equal(slab.bytes.length, size);
    const next = classes[classes.indexOf(size) + 1] ?? size + 1;
    assert.equal(pool.take(size + 1).bytes.length, next);
    slab.length = 7;
    pool.give(slab);
    const again = pool.take(size);
    assert.equal(again, slab);
    assert.equal(again.length, 0);
    assert.notEqual(pool.take(size), slab);
  });
}

test('pool: what it keeps is bounded in bytes', () => {
  const pool = new SlabPool();
  const slabs = Array.from({ length: 65 }, () => pool.take(294_912));
  for (const slab of slabs) pool.give(slab);
  const kept = new Set(Array.from({ length: 65 }, () => pool.take(294_912)));
  assert.equal(slabs.filter((slab) => kept.has(slab)).length, 57);
});

/** Appends `length` bytes of `value` and returns them. */
function append(out: Outbox, pool: SlabPool, length: number, value: number, hint = 0): number[] {
  const slab = out.reserve(pool, length, hint);
  slab.bytes.fill(value, slab.length - length, slab.length);
  return new Array<number>(length).fill(value);
}

function drain(out: Outbox): number[] {
  const bytes: number[] = [];
  for (let slab = out.shift(); slab !== null; slab = out.shift()) {
    assert.ok(slab.length > 0, 'nothing empty is handed out');
    for (let i = 0; i < slab.length; i++) bytes.push(slab.bytes[i] as number);
  }
  return bytes;
}

for (const length of [1, 1_023, 1_024, 1_025, 4_097, 65_536, 294_911, 294_912, 294_913, 600_000]) {
  test(`outbox: ${length} bytes among small ones come out in order`, () => {
    const pool = new SlabPool();
    const out = new Outbox();
    const expected = [...append(out, pool, 10, 1), ...append(out, pool, length, 2), ...append(out, pool, 10, 3)];
    assert.equal(out.bytes, length + 20);
    assert.ok(Buffer.from(drain(out)).equals(Buffer.from(expected)));
    assert.equal(out.bytes, 0);
    assert.equal(out.shift(), null);
  });
}

test('outbox: many appends, references and other outboxes in between are one line of bytes', () => {
  let seed = 9;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((seed / 0x1_0000_0000) * below);
  };
  for (let run = 0; run < 60; run++) {
    const pool = new SlabPool();
    const out = new Outbox();
    let expected: number[] = [];
    for (let step = 0; step < 30; step++) {
      const value = random(256);
      const kind = random(10);
      if (kind < 6) expected.push(...append(out, pool, 1 + random(2_000), value, random(5_000)));
      else if (kind === 6) {
        const bytes = new Uint8Array(1 + random(1_500)).fill(value);
        out.refer(bytes);
        expected.push(...bytes);
      } else if (kind === 7) {
        const other = new Outbox();
        other.acknowledgements = 2;
        if (random(2) === 0) expected.push(...append(other, pool, 1 + random(1_500), value));
        if (random(2) === 0) {
          other.refer(Uint8Array.of(value, value));
          expected.push(value, value);
        }
        out.append(other);
        assert.equal(other.bytes, 0);
        assert.equal(other.shift(), null);
      } else if (kind === 8) {
        const slab = out.shift();
        if (slab === null) continue;
        assert.ok(Buffer.from(expected.slice(0, slab.length)).equals(slab.bytes.subarray(0, slab.length)));
        expected = expected.slice(slab.length);
        // Whoever has shifted it owns it: giving it back must not touch what is still in line.
        pool.give(slab);
        pool.take(slab.bytes.length).bytes.fill(0xee);
      }
      assert.equal(out.bytes, expected.length);
    }
    assert.ok(Buffer.from(drain(out)).equals(Buffer.from(expected)));
  }
});

test('outbox: cleared, everything is forgotten', () => {
  const pool = new SlabPool();
  const out = new Outbox();
  append(out, pool, 3_000, 1);
  out.refer(new Uint8Array(9));
  out.acknowledgements = 3;
  out.clear(pool);
  assert.deepEqual([out.bytes, out.acknowledgements, out.shift()], [0, 0, null]);
});
