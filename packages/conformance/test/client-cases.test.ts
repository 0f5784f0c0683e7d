/** Client cases that no library at hand shows to be right: a client that does right passes, each fault is found by its case. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runClientSuite } from '@pipit/conformance';
import { type Fault, plainClient } from './plain-client.ts';

const wrap = 'MQTT-2.2.1-3 wrap';
const reauthentication = 'MQTT-4.12.1-1';
const found: Readonly<Record<Fault, string>> = {
  'id 0': wrap,
  'id in use': wrap,
  'another method': reauthentication,
  'code 0x18': reauthentication,
};

test('a client that does right passes', async () => {
  const only = [wrap, reauthentication, 'MQTT-4.12.0-3', 'MQTT-4.12.0-7'];
  const results = await runClientSuite({ driver: plainClient(null), only, versions: [5] });
  assert.deepEqual(
    results.filter(({ outcome }) => outcome !== 'pass').map(({ id, seen, note }) => ({ id, seen, note })),
    [],
  );
  assert.ok(results.length >= only.length);
});

for (const [fault, id] of Object.entries(found) as [Fault, string][]) {
  test(`${id} finds ${fault}`, async () => {
    const [result] = await runClientSuite({ driver: plainClient(fault), only: [id], versions: [5], timeoutMs: 2000 });
    assert.equal(result?.outcome, 'fail', `${result?.seen} ${result?.note}`);
  });
}
