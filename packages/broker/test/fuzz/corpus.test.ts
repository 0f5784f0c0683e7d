/** What once broke the broker, or broke another, does not. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCorpus } from '../../../protocol/test/fuzz/corpus.ts';
import { Features } from '../../../protocol/test/fuzz/target.ts';
import { brokerTarget } from './broker-target.ts';
import type { KeptScript } from './script.ts';

for (const { name, input } of readCorpus<KeptScript>(new URL('corpus/broker.json', import.meta.url))) {
  test(`kept script: ${name}`, () => {
    const script = brokerTarget.restore(input);
    assert.deepEqual(brokerTarget.keep(script), input, 'a script is kept as it is written');
    brokerTarget.run(script, new Features());
  });
}
