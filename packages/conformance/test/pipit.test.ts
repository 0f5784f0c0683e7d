/**
 * Pipit passes its own suite over real sockets: once as it is, once with every capability taken away. Cases that wait for a
 * clock are not for a machine that is busy with other tests: ../interop runs those too.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createBroker } from '@pipit/broker';
import type { Report } from '@pipit/conformance';
import { brokerCases, byStatement, exitCodeOf, reportLines, runSuite } from '@pipit/conformance';
import { limitedCapabilities, type RunningPipit, startPipit } from './pipit.ts';

/** Announcements that only a limited broker makes; and Server Keep Alive, which Pipit leaves to a setting. */
const notOfAFullBroker = [
  '5.0/3.2.2.3.14 server-keep-alive',
  'MQTT-3.2.2-9',
  'MQTT-3.2.2-10',
  'MQTT-3.2.2-12',
  'MQTT-3.2.2-13',
  '5.0/3.2.2.3.5 retain',
  '5.0/3.2.2.3.11 wildcards',
  '5.0/3.2.2.3.12 subscription-identifiers',
  '5.0/3.2.2.3.13 shared-subscriptions',
];

function failures({ results }: Report): string[] {
  return reportLines(
    { url: '', announced: {}, refusals: [], results: results.filter(({ outcome }) => outcome === 'fail') },
    true,
  ).slice(0, -1);
}

const quickCases = brokerCases.filter(({ isSlow }) => !isSlow);

describe('the suite against Pipit', { concurrency: true }, () => {
  const running: RunningPipit[] = [];

  before(async () => {
    running.push(await startPipit(), await startPipit(limitedCapabilities, { serverKeepAliveMax: 20 }));
  });

  after(() => Promise.all(running.map(({ broker }) => broker.stop())));

  test('a full broker passes every quick case that applies to it', async () => {
    const { url, facts } = running[0] as RunningPipit;
    const report = await runSuite({ url, facts, cases: quickCases });
    assert.deepEqual(failures(report), []);
    assert.equal(exitCodeOf(report.results), 0);
    assert.equal(report.results.length, quickCases.length);
    const untested = byStatement(report.results).filter(({ outcome }) => outcome === 'not applicable');
    assert.deepEqual(
      untested.map(({ statement }) => statement),
      notOfAFullBroker,
    );
  });

  test('a limited broker passes the cases of its limits', async () => {
    const { url, facts } = running[1] as RunningPipit;
    const report = await runSuite({ url, facts, cases: quickCases, versions: [5] });
    assert.deepEqual(failures(report), []);
    const passed = new Set(report.results.filter(({ outcome }) => outcome === 'pass').map(({ id }) => id));
    assert.deepEqual(
      notOfAFullBroker.filter((id) => !passed.has(id)),
      [],
    );
  });

  test('a broker that asks nobody who they are knows no authentication method', async () => {
    const broker = createBroker({ listeners: [{ type: 'tcp', port: 0 }] });
    await broker.start();
    const only = ['MQTT-4.12.0-1', 'MQTT-4.12.0-6', '5.0/4.12 auth-without-method', 'MQTT-4.7.2-1'];
    const report = await runSuite({ url: broker.listeners[0]?.url as string, only });
    await broker.stop();
    assert.deepEqual(failures(report), []);
    assert.equal(report.results.length, only.length);
  });
});
