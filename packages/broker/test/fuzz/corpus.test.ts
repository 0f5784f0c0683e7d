/** What once broke the broker, or broke another, does not. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCorpus } from '../../../protocol/test/fuzz/corpus.ts';
import { Features } from '../../../protocol/test/fuzz/target.ts';
import { brokerTarget } from './broker-target.ts';
import type { KeptScript } from './script.ts';
import { formats, type TextInput, textsTarget } from './texts-target.ts';

for (const { name, input } of readCorpus<KeptScript>(new URL('corpus/broker.json', import.meta.url))) {
  test(`kept script: ${name}`, () => {
    const script = brokerTarget.restore(input);
    assert.deepEqual(brokerTarget.keep(script), input, 'a script is kept as it is written');
    brokerTarget.run(script, new Features());
  });
}

for (const [format, { seeds }] of Object.entries(formats)) {
  test(`what ${format} is begun from is read or refused, wherever it is cut`, () => {
    for (const text of seeds) {
      for (let cut = 0; cut <= Math.min(text.length, 300); cut++) {
        textsTarget.run({ format, text, cut }, new Features());
        textsTarget.run({ format, text: text.slice(0, cut), cut: 0 }, new Features());
      }
    }
  });
}

for (const { name, input } of readCorpus<TextInput>(new URL('corpus/texts.json', import.meta.url))) {
  test(`kept text: ${name}`, () => textsTarget.run(input, new Features()));
}
