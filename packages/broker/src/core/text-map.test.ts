import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TextMap } from './text-map.ts';

const texts = ['', 'a', 'a'.repeat(16_000), 'a'.repeat(16_001), `${'a'.repeat(16_000)}b`, 'b'.repeat(65_535)];

test('short and long texts are found, replaced and deleted alike', () => {
  const map = new TextMap<number>(7);
  for (const [at, text] of texts.entries()) {
    assert.equal(map.get(text), undefined);
    map.set(text, at);
  }
  assert.equal(map.size, texts.length);
  for (const [at, text] of texts.entries()) map.set(text, at + 10);
  assert.equal(map.size, texts.length);
  assert.deepEqual(new Map(map), new Map(texts.map((text, at) => [text, at + 10])));
  for (const [at, text] of texts.entries()) {
    assert.equal(map.get(text), at + 10);
    map.delete(text);
    map.delete(text);
    assert.equal(map.get(text), undefined);
    assert.equal(map.size, texts.length - at - 1);
  }
  assert.deepEqual([...map], []);
});

test('long texts of one length do not stand in each other’s way', () => {
  const map = new TextMap<number>(7);
  const count = 2_000;
  const begin = 'x'.repeat(17_000);
  for (let at = 0; at < count; at++) map.set(begin + String(at).padStart(6), at);
  assert.equal(map.size, count);
  const crowds = [...map['long'].values()].map((found) => found.length);
  assert.ok(Math.max(...crowds) <= 2, 'texts that share their hash');
  for (let at = 0; at < count; at++) assert.equal(map.get(begin + String(at).padStart(6)), at);
  assert.notEqual(new TextMap(8)['hash'](begin), map['hash'](begin), 'the seed counts');
});
