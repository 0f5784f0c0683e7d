/** The statements of the standard that bind clients, by a scripted server: every case passes, in 5.0 and 3.1.1. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runClientSuite } from '@pipit/conformance';
import { pipit } from './conformance-driver.ts';

test('every client case of the conformance suite', async () => {
  const results = await runClientSuite({ driver: pipit });
  assert.ok(results.length > 50, `only ${results.length} cases ran`);
  const failed = results.filter(({ outcome }) => outcome !== 'pass');
  assert.deepEqual(
    failed.map(({ id, outcome, expected, seen, note }) => ({ id, outcome, expected, seen, note })),
    [],
  );
});
