import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ByteWriter } from './bytes.ts';
import { mark } from './frame.ts';
import { RecordType, readFacts, writeShort } from './record.ts';
import { Scan } from './scan.ts';

/** Records with noise between them: what stands where. */
function write(parts: readonly (number | Uint8Array)[]): {
  bytes: Uint8Array;
  records: readonly [offset: number, sequence: number][];
} {
  const writer = new ByteWriter(1);
  const records: [number, number][] = [];
  for (const part of parts) {
    if (typeof part === 'number') {
      records.push([writer.length, part]);
      writeShort(writer, { type: RecordType.Settled, incarnation: 1, sequence: part, floor: 0 });
    } else writer.raw(part);
  }
  return { bytes: writer.bytes.slice(0, writer.length), records };
}

function scan(bytes: Uint8Array, cuts: readonly number[]): { records: [number, number][]; covered: number } {
  const records: [number, number][] = [];
  let covered = 0;
  const scanned = new Scan(bytes.length, 0, {
    record: (type, offset, length, reader) => {
      const facts = readFacts(type, reader);
      const isLong = facts.type === RecordType.Unsubscribed;
      if (!isLong && facts.type !== RecordType.Settled) throw new RangeError('another type');
      assert.equal(offset, covered);
      covered += length;
      records.push([offset, isLong ? facts.incarnation : facts.sequence]);
    },
    gap: (from, to) => {
      assert.equal(from, covered);
      assert.ok(to > from);
      covered = to;
    },
  });
  const ends = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  let at = 0;
  for (const end of [...ends, bytes.length]) {
    scanned.feed(bytes.slice(at, end));
    at = end;
  }
  scanned.end();
  return { records, covered };
}

const noise = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 50 }),
  // What looks most like a record, and is none.
  fc
    .uint8Array({ maxLength: 20 })
    .map((rest) => Uint8Array.of(mark >>> 24, (mark >> 16) & 255, (mark >> 8) & 255, mark & 255, ...rest)),
  // Cut where the noise behind it will not happen to complete it.
  fc.constant(write([2_000_000_011]).bytes.slice(0, -5)),
);

test('every whole record is found, whatever is between them and however the bytes are cut', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.nat(), noise)), fc.array(fc.nat()), (parts, cuts) => {
      const { bytes, records } = write(parts);
      const found = scan(bytes, cuts);
      assert.deepEqual(found.records, records);
      assert.equal(found.covered, bytes.length, 'every byte is in a record or in a gap');
    }),
  );
});

test('what cannot be read is passed over, and what is in front of it is told', () => {
  const { bytes } = write([1, 2, 3]);
  const length = bytes.length / 3;
  const told: string[] = [];
  const scanned = new Scan(bytes.length, 0, {
    record: (_type, offset) => told.push(`record ${offset}`),
    gap: (from, to) => told.push(`gap ${from} ${to}`),
  });
  scanned.feed(bytes.slice(0, length + 5));
  scanned.skip(length - 5);
  assert.equal(scanned.fedTo, 2 * length);
  scanned.feed(bytes.slice(2 * length));
  scanned.end();
  assert.deepEqual(told, ['record 0', `gap ${length} ${length + 5}`, `record ${2 * length}`]);
});

test('records and pieces of any size: what one record is cut in two by is put together', () => {
  const writer = new ByteWriter(1);
  const written: [number, number][] = [];
  for (const [index, size] of [10, 70_000, 300_000, 20, 65_000, 1_000, 200_000, 5].entries()) {
    written.push([writer.length, index]);
    writeShort(writer, { type: RecordType.Unsubscribed, incarnation: index, name: 'x'.repeat(size) });
  }
  const bytes = writer.bytes.slice(0, writer.length);
  const cuts = fc.array(fc.nat(bytes.length), { maxLength: 12 });
  fc.assert(
    fc.property(cuts, (some) => {
      assert.deepEqual(scan(bytes, some).records, written);
    }),
    { numRuns: 300 },
  );
});
