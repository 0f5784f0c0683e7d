/** The suite against brokers of others: it runs to its end, and fails just what docs/conformance-peers.md explains. */
import assert from 'node:assert/strict';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import { brokerCases, type Facts, type Result, runSuite } from '@pipit/conformance';
import { Aedes } from 'aedes';
import { startMosquitto } from '../../broker/test/node/mosquitto.ts';
import { answered, freePort } from '../../broker/test/node/ports.ts';

const mosquittoDeviations = [
  '5.0/3.1.2.11.10 data-without-method',
  '5.0/3.3.2.3.8 identifier-0',
  '5.0/4.8.2 no-retained',
  '5.0/4.9 resumed-lower',
  '5.0/4.9 retained',
  'MQTT-2.1.3-1',
  'MQTT-2.2.1-4 wrap-in-use',
  'MQTT-3.1.2-24',
  'MQTT-3.1.2-24 exact',
  'MQTT-3.1.2-8 disconnect-with-will',
  'MQTT-3.1.2-8 second-connect',
  'MQTT-3.3.2-14',
  'MQTT-3.3.2-5 waiting',
  'MQTT-3.3.4-9',
  'MQTT-3.8.3-4',
  'MQTT-3.8.4-3 options',
  'MQTT-4.13.1-1',
  'MQTT-4.3.3-7',
  'MQTT-4.8.2-1',
  'MQTT-4.8.2-2',
  'MQTT-6.0.0-1',
  'MQTT3-2.2.2-2',
  'MQTT3-2.3.1-4 wrap-in-use',
  'MQTT3-3.1.2-8 second-connect',
  'MQTT3-3.3.5-1',
  'MQTT3-4.8.0-1',
  'MQTT3-6.0.0-1',
];

const aedesDeviations = [
  '3.1/dup-flags',
  '3.1/empty-client-id',
  '3.1/missing-credentials',
  '3.1/no-session-present',
  '3.1/reserved-connect-flags',
  '3.1/wrong-level',
  'MQTT3-1.5.3-1 client-id',
  'MQTT3-1.5.3-2 client-id',
  'MQTT3-1.5.3-2 topic',
  'MQTT3-2.3.1-1',
  'MQTT3-2.3.1-4 wrap-in-use',
  'MQTT3-3.1.2-11',
  'MQTT3-3.1.2-14',
  'MQTT3-3.1.2-18',
  'MQTT3-3.1.2-2',
  'MQTT3-3.1.2-22',
  'MQTT3-3.1.3-10',
  'MQTT3-3.1.3-10 null',
  'MQTT3-3.1.3-11',
  'MQTT3-3.1.3-11 null',
  'MQTT3-3.1.3-8',
  'MQTT3-3.1.4-1',
  'MQTT3-3.10.3-1',
  'MQTT3-3.10.3-1 null',
  'MQTT3-3.10.3-2',
  'MQTT3-3.3.1-1',
  'MQTT3-3.3.1-3',
  'MQTT3-3.3.2-1',
  'MQTT3-3.3.5-1',
  'MQTT3-3.8.3-1',
  'MQTT3-3.8.4-5 twice',
  'MQTT3-4.7.1-1 will',
  'MQTT3-4.7.1-3',
  'MQTT3-4.7.3-2 filter',
  'MQTT3-4.8.0-1',
];

/** Runs all cases; returns the ids of those that fail. What differs from `expected` is run once more: these peers have races of their own. */
async function failures(url: string, expected: readonly string[], facts: Facts = {}): Promise<string[]> {
  const { results } = await runSuite({ url, facts });
  assert.equal(results.length, brokerCases.length);
  const failed = new Set(failedOf(results));
  const doubtful = results.map(({ id }) => id).filter((id) => failed.has(id) !== expected.includes(id));
  if (doubtful.length > 0) {
    const again = await runSuite({ url, facts, only: doubtful });
    const still = failedOf(again.results);
    for (const id of doubtful) {
      if (still.includes(id)) failed.add(id);
      else failed.delete(id);
    }
  }
  return [...failed].sort();
}

function failedOf(results: readonly Result[]): string[] {
  const failed = results.filter(({ outcome }) => outcome === 'fail');
  for (const { seen = '' } of failed) assert.doesNotMatch(seen, /\n {4}at /, 'a fault of the suite itself');
  return failed.map(({ id }) => id);
}

test('Mosquitto', async (context) => {
  const webSocketPort = await freePort();
  const listeners = [`listener ${webSocketPort} 127.0.0.1`, 'protocol websockets', 'allow_anonymous true'];
  const mosquitto = await startMosquitto(listeners);
  context.after(() => mosquitto.stop());
  await answered(webSocketPort);
  const url = `mqtt://127.0.0.1:${mosquitto.port}`;
  const facts = { webSocketUrl: `ws://127.0.0.1:${webSocketPort}/mqtt` };
  assert.deepEqual(await failures(url, mosquittoDeviations, facts), mosquittoDeviations);
});

test('Aedes', async () => {
  const aedes = await Aedes.createBroker();
  const server = createServer(aedes.handle);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  const failed = await failures(`mqtt://127.0.0.1:${port}`, aedesDeviations);
  server.close();
  aedes.close();
  assert.deepEqual(failed, aedesDeviations);
});
