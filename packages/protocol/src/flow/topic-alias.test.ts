import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReceivedAliases, SentAliases } from './topic-alias.ts';

test('received: set, replaced, never set', () => {
  const aliases = new ReceivedAliases<string>();
  assert.equal(aliases.get(1), null);
  aliases.set(5, 'five');
  aliases.set(1, 'one');
  aliases.set(5, 'other');
  assert.deepEqual(
    [1, 2, 4, 5, 6, 65_535].map((alias) => aliases.get(alias)),
    ['one', null, null, 'other', null, null],
  );
  aliases.set(65_535, 'last');
  assert.equal(aliases.get(65_535), 'last');
});

for (const maximum of [0, 1, 2, 65_535]) {
  test(`sent: at most ${maximum}, each topic its own from 1 [MQTT-3.1.2-26]`, () => {
    const aliases = new SentAliases<string>(maximum);
    for (let i = 1; i <= maximum; i++) {
      assert.equal(aliases.known(`t${i}`), 0);
      assert.equal(aliases.assign(`t${i}`), i);
      assert.equal(aliases.known(`t${i}`), i);
    }
    assert.equal(aliases.assign('one too many'), 0);
    assert.equal(aliases.known('one too many'), 0);
  });
}
