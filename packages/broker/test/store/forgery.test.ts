/** What a client publishes is never taken for records of the log, whatever becomes of the record around it. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Change, StoredMessage } from '../../src/core/index.ts';
import { BatchWriter } from '../../src/store/batch.ts';
import { Catalog } from '../../src/store/catalog.ts';
import { mark } from '../../src/store/frame.ts';
import { Segments, segmentFile } from '../../src/store/segments.ts';
import { Prng } from '../sim/prng.ts';
import { LogBench } from './log-bench.ts';

const about = { key: 's', incarnation: 1 };

function session(): Change {
  const rest = { clientId: 's', principal: null, expirySeconds: 60, will: null, closedAtClock: 1 };
  return { kind: 'session', session: { ...about, ...rest } };
}

function message(id: number, topic: string, payload: Uint8Array): StoredMessage {
  const rest = {
    properties: new Uint8Array(0),
    expiryAt: -1,
    expiresAtClock: Number.POSITIVE_INFINITY,
    publisher: null,
  };
  return { id, topic, qos: 1, retain: false, payload, ...rest };
}

function queued(sequence: number, held: StoredMessage): Change {
  const state = { qos: 1, retain: false, identifiers: null, group: null, packetId: 0, released: false } as const;
  return { kind: 'queued', ...about, delivery: { sequence, message: held, ...state } };
}

/** A whole batch of the first segment, as its own writer makes it: it retains a message where its author may not publish. */
function forgedBatch(): Uint8Array {
  const writer = new BatchWriter(new Catalog(new Segments()));
  const forged = message(77, 'secret/door', Uint8Array.of(1));
  const terms = { batch: 99, wall: 1, clock: 1, segment: 1, previousSegment: 0, previousEnd: 0 };
  return writer
    .write(
      [],
      [
        {
          kind: 'retained',
          principal: null,
          topic: 'secret/door',
          message: forged,
          expiresAtClock: forged.expiresAtClock,
        },
      ],
      terms,
    )
    .bytes.slice();
}

/** The places of the mark in these bytes. */
function marks(bytes: Uint8Array): number {
  let count = 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at + 4 <= bytes.length; at++) if (view.getUint32(at) === mark) count++;
  return count;
}

function fileOf(bench: LogBench): Uint8Array {
  return bench.disk.files.get(segmentFile(1))?.bytes ?? new Uint8Array(0);
}

test('a batch inside a payload does not count when the power goes while the payload is written', () => {
  const bench = new LogBench(1);
  bench.commit([session()]);
  const payload = Buffer.concat([new Uint8Array(100), forgedBatch(), new Uint8Array(5_000)]);
  bench.commit([queued(1, message(10, 'allowed', payload))]);
  bench.disk.kill();
  bench.disk.truncate(segmentFile(1), fileOf(bench).length - 3_000);
  bench.restart();
  assert.equal(bench.report.retained, 0, 'what a payload says is nothing the broker said');
});

test('a batch inside a payload does not count when a bit around it flips', () => {
  const bench = new LogBench(2);
  bench.commit([session()]);
  const from = bench.disk.bytes;
  bench.commit([queued(1, message(10, 'allowed', Buffer.concat([new Uint8Array(100), forgedBatch()])))]);
  bench.commit([session()]);
  bench.disk.kill();
  bench.disk.flipBit(segmentFile(1), from + 40, 0);
  bench.restart();
  assert.equal(bench.report.damage.length, 1);
  assert.equal(bench.report.retained, 0);
});

test('whatever is in a record, the mark stands only where a record begins, and what was written is read', () => {
  const prng = new Prng(3);
  for (let round = 0; round < 40; round++) {
    const bench = new LogBench(round);
    bench.commit([session()]);
    const before = marks(fileOf(bench));
    // Long ones take another way.
    const payload = hostilePayload(prng, round < 3 ? 80_000 : 1 + prng.below(300));
    const topic = String.fromCharCode(0xf4, 0x50, 0x9b, 0xe1).repeat(prng.below(3)) || 'topic';
    bench.commit([queued(1, message(10, topic, payload))]);
    assert.equal(marks(fileOf(bench)), before + 2, 'one of the record, one of the commit');
    bench.disk.kill();
    bench.restart();
    const page = bench.page('s', 1);
    assert.ok(typeof page !== 'string');
    assert.deepEqual(
      page.map((each) => [each.message.topic, Buffer.from(each.message.payload)]),
      [[topic, Buffer.from(payload)]],
    );
  }
});

test('nor does it stand half in the header and half in what a client has chosen', () => {
  // The first bytes of such a record are 50 9b e1; where the checksum before them ends in f4, that is the mark.
  const topic = `\u009b\u00e1${'x'.repeat(38)}`;
  const changes = Array.from({ length: 4_000 }, (_, index): Change => {
    const kept = message(10 + index, topic, Buffer.from(`${index}`));
    return { kind: 'retained', principal: null, topic, message: kept, expiresAtClock: kept.expiresAtClock };
  });
  const writer = new BatchWriter(new Catalog(new Segments()));
  const terms = { batch: 1, wall: 1, clock: 1, segment: 1, previousSegment: 0, previousEnd: 0 };
  const { bytes, records } = writer.write([], changes, terms);
  assert.equal(records.length, changes.length);
  assert.equal(marks(bytes), records.length + 1);
});

/** Marks, and the mark under many masks, so that no simple mask hides all of them. */
function hostilePayload(prng: Prng, words: number): Uint8Array {
  const bytes = Buffer.alloc(words * 4 + 3);
  const shift = prng.below(4);
  for (let word = 0; word < words; word++) {
    const mask = prng.chance(30) ? 0 : prng.chance(50) ? word : prng.next();
    bytes.writeUInt32BE((mark ^ mask) >>> 0, word * 4 + shift);
  }
  return bytes;
}
