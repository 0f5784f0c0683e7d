import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 as zlibCrc32 } from 'node:zlib';
import { viewOf } from '@pipit/protocol';
import fc from 'fast-check';
import { crc32 } from './crc32.ts';

test('CRC-32 is that of zlib, at every length and offset, in one go or in two', () => {
  assert.equal(crc32(viewOf(new TextEncoder().encode('123456789')), 0, 9), 0xcbf43926);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), fc.nat(100), (bytes, from, cut) => {
      const view = viewOf(bytes);
      const start = Math.min(from, bytes.length);
      const middle = Math.min(start + cut, bytes.length);
      const expected = zlibCrc32(bytes.subarray(start));
      assert.equal(crc32(view, start, bytes.length), expected);
      assert.equal(crc32(view, middle, bytes.length, crc32(view, start, middle)), expected);
    }),
  );
});
