import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DecodeError, encodeUtf8, hashBytes, viewOf } from '@pipit/protocol';
import fc from 'fast-check';
import { type Topic, TopicTable } from './topic-table.ts';

const seed = 1;

function table(topicsMax = 65_536, levelsMax = 128, emptied: () => void = () => undefined): TopicTable {
  return new TopicTable(topicsMax, levelsMax, seed, emptied);
}

test('one topic, one object, from bytes anywhere in a buffer or from its name', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ minLength: 1, maxLength: 20 })), fc.nat(9), (names, offset) => {
      const topics = table();
      for (const raw of [...names, ...names]) {
        const name = raw.replaceAll(/[+#\0]/g, '_');
        const text = encodeUtf8(name);
        const bytes = new Uint8Array(text.length + offset + 5).fill(0x61);
        bytes.set(text, offset);
        const topic = topics.intern(bytes, viewOf(bytes), offset, offset + text.length);
        assert.ok(topic);
        assert.equal(topic.name, name);
        assert.equal(topics.internName(name), topic);
        assert.deepEqual([...topic.bytes], [text.length >> 8, text.length & 255, ...text]);
        bytes.fill(0);
        assert.equal(topics.internName(name), topic, 'it keeps nothing of the buffer');
      }
    }),
    { numRuns: 200 },
  );
});

test('topics whose hashes collide are told apart', () => {
  const byHash = new Map<number, string>();
  const pairs: [string, string][] = [];
  // Slots collide long before whole hashes do: many names in a small table are enough for both.
  for (let i = 0; i < 400_000 && pairs.length < 1; i++) {
    const name = `${Math.imul(i, 0x9e3779b1) >>> 0}/${i.toString(36)}`;
    const text = encodeUtf8(name);
    const hash = hashBytes(viewOf(text), 0, text.length, seed);
    const other = byHash.get(hash);
    if (other !== undefined) pairs.push([other, name]);
    byHash.set(hash, name);
  }
  const topics = table();
  assert.ok(pairs.length > 0, 'no collision was found to test with');
  for (const [one, two] of pairs) {
    const first = topics.internName(one);
    const second = topics.internName(two);
    assert.notEqual(first, second);
    assert.equal(topics.internName(one), first);
    assert.equal(second?.name, two);
  }
  const all = Array.from({ length: 5_000 }, (_, i) => topics.internName(`x/${i}`));
  for (const [i, topic] of all.entries()) assert.equal(topics.internName(`x/${i}`), topic);
});

test('names chosen to crowd one place empty the table before its chains grow long', () => {
  let emptied = 0;
  const topics = table(65_536, 128, () => {
    emptied++;
  });
  const crowd: string[] = [];
  for (let i = 0; crowd.length < 600; i++) {
    const text = encodeUtf8(`t${i}`);
    if ((hashBytes(viewOf(text), 0, text.length, seed) & 0x7ff) === 7) crowd.push(`t${i}`);
  }
  const first = crowd.map((name) => topics.internName(name));
  assert.ok(emptied > 0);
  for (const [i, name] of crowd.entries()) assert.equal(topics.internName(name)?.name, first[i]?.name);
});

test('a full table forgets all, says so, and goes on', () => {
  let emptied = 0;
  const topics = table(3, 128, () => {
    emptied++;
  });
  const first = ['a', 'b', 'c'].map((name) => topics.internName(name));
  assert.equal(emptied, 0);
  assert.equal(topics.internName('a'), first[0]);
  const fourth = topics.internName('d');
  assert.equal(emptied, 1);
  assert.equal(topics.internName('d'), fourth);
  assert.notEqual(topics.internName('a'), first[0], 'made again on demand');
});

test('the table is bounded in bytes, too', () => {
  let emptied = 0;
  const topics = table(1_000_000, 128, () => {
    emptied++;
  });
  for (let i = 0; i < 600; i++) topics.internName(`${i}/`.padEnd(60_000, 'x'));
  assert.equal(emptied, 1);
});

test('what is not a topic name is not interned', () => {
  const topics = table(10, 3);
  for (const name of ['', 'a/+', '#', 'a#', 'a\0b', 'a/b/c/d']) assert.equal(topics.internName(name), null, name);
  assert.ok(topics.internName('a/b/c'), 'as many levels as it may have');
  const bytes = Uint8Array.of(0x61, 0xff);
  assert.throws(() => topics.intern(bytes, viewOf(bytes), 0, 2), DecodeError);
  assert.equal(topics.borrow('a/b/c/d').name, 'a/b/c/d');
});

test("what is below $SYS is the broker's", () => {
  const topics = table();
  const system = (name: string) => (topics.internName(name) as Topic).isSystem;
  assert.deepEqual(['$SYS', '$SYS/x', '$SYSTEM', '$sys/x', 'a/$SYS'].map(system), [true, true, false, false, false]);
});
