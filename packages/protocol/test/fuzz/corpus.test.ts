import assert from 'node:assert/strict';
import { test } from 'node:test';
import { codecTarget, type KeptCodecInput } from './codec-target.ts';
import { readCorpus } from './corpus.ts';
import { framerTarget, type KeptFramerInput } from './framer-target.ts';
import { bytesOf, textOf } from './hex-text.ts';
import { Features } from './target.ts';

for (const { name, input } of readCorpus<KeptFramerInput>(new URL('corpus/framer.json', import.meta.url))) {
  test(`kept input of the framer: ${name}`, () => framerTarget.run(framerTarget.restore(input), new Features()));
}

for (const { name, input } of readCorpus<KeptCodecInput>(new URL('corpus/codec.json', import.meta.url))) {
  test(`kept input of the codec: ${name}`, () => codecTarget.run(codecTarget.restore(input), new Features()));
}

test('the text of bytes gives them back', () => {
  const bytes = Uint8Array.from([
    0x10,
    ...new Array<number>(40).fill(0x61),
    0xff,
    ...Array.from({ length: 60 }, (_, i) => i % 5),
  ]);
  assert.equal(textOf(bytes), '10 61*40 ff 0001020304*12');
  assert.deepEqual(bytesOf(textOf(bytes)), bytes);
});
