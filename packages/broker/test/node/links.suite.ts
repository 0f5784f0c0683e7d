/** What every link has to do, whatever carries its bytes. */

import assert from 'node:assert/strict';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import { Slab } from '../../src/core/index.ts';
import type { Link, LinkOwner } from '../../src/node/link.ts';

export interface Pair {
  readonly link: Link;
  /** The other end, as a stream of MQTT bytes; paused. */
  readonly remote: Duplex;
  /** Loses the connection without a goodbye. */
  readonly reset: () => void;
}

export interface LinkKind {
  /** A link that is not started, and its other end. `dispose` frees what is left. */
  readonly make: () => Promise<Pair & { dispose(): void }>;
  /** Whether the peer can go on reading after its FIN. */
  readonly isHalfOpen: boolean;
}

/** Writes down what a link tells, and lets a test wait for it. */
export class Recorder implements LinkOwner {
  input: number[] = [];
  unsent = 0;
  unsentMax = 0;
  returned: Slab[] = [];
  endings: string[] = [];
  goings: string[] = [];
  #waiting: { isTrue: () => boolean; done: () => void }[] = [];

  received(_link: Link, bytes: Uint8Array, view: DataView, start: number, end: number): void {
    assert.equal(view.byteLength, bytes.byteLength);
    for (let i = start; i < end; i++) this.input.push(view.getUint8(i));
    this.#look();
  }

  written(_link: Link, slab: Slab | null, unsentBytes: number): void {
    this.unsent = unsentBytes;
    this.unsentMax = Math.max(this.unsentMax, unsentBytes);
    if (slab !== null) this.returned.push(slab);
    this.#look();
  }

  ended(link: Link, why: string): void {
    link.fate = 'ended';
    this.endings.push(why);
    this.#look();
  }

  gone(link: Link, why: string): void {
    link.fate = 'gone';
    this.goings.push(why);
    this.#look();
  }

  until(isTrue: () => boolean): Promise<void> {
    return new Promise((done) => {
      this.#waiting.push({ isTrue, done });
      this.#look();
    });
  }

  #look(): void {
    this.#waiting = this.#waiting.filter(({ isTrue, done }) => {
      if (!isTrue()) return true;
      done();
      return false;
    });
  }
}

/** Bytes that show when they are out of order. */
export function pattern(length: number, from = 0): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0; i < length; i++) bytes[i] = ((from + i) * 167 + ((from + i) >> 8)) & 0xff;
  return bytes;
}

function slabOf(bytes: Uint8Array, room = bytes.length): Slab {
  const memory = new Uint8Array(room);
  memory.set(bytes);
  const slab = new Slab(memory, new DataView(memory.buffer));
  slab.length = bytes.length;
  return slab;
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((done) => setImmediate(done));
}

/** Everything the remote end reads, until it ends or `length` bytes are there. */
export async function readAll(remote: Duplex, length = Number.POSITIVE_INFINITY): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  return new Promise((done, failed) => {
    const finish = (): void => {
      remote.pause();
      remote.removeListener('data', take);
      done(Buffer.concat(chunks));
    };
    const take = (chunk: Buffer): void => {
      chunks.push(chunk);
      size += chunk.length;
      if (size >= length) finish();
    };
    remote.on('data', take);
    remote.once('end', finish);
    remote.once('error', failed);
    remote.resume();
  });
}

export function linkSuite(name: string, kind: LinkKind): void {
  const check = (title: string, body: (pair: Pair, recorder: Recorder) => Promise<void>): void => {
    test(`${name}: ${title}`, { timeout: 20_000 }, async () => {
      const pair = await kind.make();
      const recorder = new Recorder();
      try {
        await body(pair, recorder);
      } finally {
        pair.link.destroy();
        pair.dispose();
      }
    });
  };
  checkReading(check);
  checkWriting(check);
  checkClosing(check, kind);
}

type Check = (title: string, body: (pair: Pair, recorder: Recorder) => Promise<void>) => void;

function checkReading(check: Check): void {
  check('brings bytes in order, whole and in odd chunks, after the head', async ({ link, remote }, recorder) => {
    const head = pattern(5);
    link.start(recorder, head);
    // A transport may take less from a peer it has not answered yet.
    link.write(slabOf(pattern(1)), false);
    await readAll(remote, 1);
    let at = 5;
    for (const size of [1, 2, 3, 7, 1_000, 131, 65_536, 300_000, 1]) {
      remote.write(pattern(size, at));
      at += size;
      await turns(1);
    }
    await recorder.until(() => recorder.input.length >= at);
    assert.deepEqual(Buffer.from(recorder.input), Buffer.from(pattern(at)));
  });

  check('reads nothing while paused, and everything afterwards', async ({ link, remote }, recorder) => {
    link.start(recorder, null);
    remote.write(pattern(10));
    await recorder.until(() => recorder.input.length === 10);
    link.pause();
    remote.write(pattern(10, 10));
    await turns(20);
    assert.equal(recorder.input.length, 10);
    link.resume();
    await recorder.until(() => recorder.input.length === 20);
    assert.deepEqual(Buffer.from(recorder.input), Buffer.from(pattern(20)));
  });
}

function checkWriting(check: Check): void {
  check('writes slabs in order and gives each back once', async ({ link, remote }, recorder) => {
    link.start(recorder, null);
    const slabs: Slab[] = [];
    let at = 0;
    for (const [size, more] of [
      [10, false],
      [20, true],
      [70_000, true],
      [30, false],
      [300_000, false],
    ] as const) {
      const slab = slabOf(pattern(size, at), size + 100);
      slabs.push(slab);
      link.write(slab, more);
      at += size;
    }
    const read = await readAll(remote, at);
    assert.deepEqual(read, Buffer.from(pattern(at)));
    await recorder.until(() => recorder.unsent === 0);
    assert.equal(new Set(recorder.returned).size, recorder.returned.length);
    for (const slab of slabs) assert.ok(recorder.returned.includes(slab));
  });

  check('reports what a frozen reader leaves unsent, and drains when it thaws', async ({ link, remote }, recorder) => {
    link.start(recorder, null);
    let at = 0;
    while (recorder.unsent < 2_000_000 && at < 100_000_000) {
      link.write(slabOf(pattern(65_536, at)), false);
      at += 65_536;
      await turns(1);
    }
    assert.ok(recorder.unsent >= 2_000_000, 'the backlog is reported');
    const { length: returned } = recorder.returned;
    for (let i = 0; i < 1_000; i++, at += 10) link.write(slabOf(pattern(10, at), 1_024), false);
    assert.ok(recorder.returned.length >= returned + 990, 'small slabs are packed and given back while they wait');
    const { unsent } = recorder;
    const read = await readAll(remote, at);
    assert.equal(Buffer.compare(read, pattern(at)), 0);
    await recorder.until(() => recorder.unsent === 0);
    assert.ok(unsent > 2_000_000);
    link.write(slabOf(pattern(3)), false);
    assert.deepEqual(await readAll(remote, 3), Buffer.from(pattern(3)));
  });
}

function checkClosing(check: Check, kind: LinkKind): void {
  check('lets the peer read the last bytes when it ends', async ({ link, remote }, recorder) => {
    link.start(recorder, null);
    const last = pattern(1_000_000);
    link.write(slabOf(last), false);
    link.end();
    const read = await readAll(remote);
    assert.equal(Buffer.compare(read, last), 0);
    remote.end();
    await recorder.until(() => recorder.goings.length > 0);
    assert.deepEqual(recorder.goings, ['']);
  });

  check('tells of the end of the peer after its last bytes', async ({ link, remote }, recorder) => {
    link.start(recorder, null);
    remote.resume();
    remote.end(pattern(100_000));
    await recorder.until(() => recorder.endings.length + recorder.goings.length > 0);
    assert.equal(recorder.input.length, 100_000);
    link.end();
    await recorder.until(() => recorder.goings.length > 0);
    assert.deepEqual([recorder.endings, recorder.goings], [kind.isHalfOpen ? [''] : [], ['']]);
  });

  if (kind.isHalfOpen) {
    check('goes on writing to a peer that has ended', async ({ link, remote }, recorder) => {
      link.start(recorder, null);
      const bytes = pattern(8_000_000);
      link.write(slabOf(bytes), false);
      remote.end();
      await recorder.until(() => recorder.endings.length > 0);
      assert.ok(recorder.unsent > 0);
      link.end();
      assert.equal(Buffer.compare(await readAll(remote), bytes), 0);
      await recorder.until(() => recorder.goings.length > 0);
    });
  }

  check(
    'is told gone once when the connection is lost, and may be used on',
    async ({ link, remote, reset }, recorder) => {
      link.start(recorder, null);
      remote.on('error', () => {});
      link.write(slabOf(pattern(8_000_000)), false);
      await turns(2);
      reset();
      await recorder.until(() => recorder.goings.length > 0);
      link.write(slabOf(pattern(10)), false);
      link.pause();
      link.resume();
      link.end();
      link.destroy();
      await turns(5);
      assert.equal(recorder.goings.length, 1);
    },
  );

  check('drops a peer that never reads when it is destroyed', async ({ link, remote }, recorder) => {
    link.start(recorder, null);
    remote.on('error', () => {});
    link.write(slabOf(pattern(16_000_000)), false);
    link.end();
    await turns(5);
    assert.equal(recorder.goings.length, 0);
    link.destroy();
    await recorder.until(() => recorder.goings.length > 0);
  });
}
