/** The client cases against MQTT.js: they run to their ends, and find what docs/conformance-peers.md says and no more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runClientSuite } from '@pipit/conformance';
import { mqttJs } from './mqttjs.ts';

test('MQTT.js passes but for its known deviations', async () => {
  const results = await runClientSuite({ driver: mqttJs, timeoutMs: 2000 });
  const of = (wanted: string): string[] => results.filter(({ outcome }) => outcome === wanted).map(({ id }) => id);
  for (const { seen = '' } of results) assert.doesNotMatch(seen, /\n {4}at /, 'a fault of the suite itself');
  assert.deepEqual(of('fail').sort(), [].toSorted());
});
