/** The whole suite against Pipit, what waits for clocks included, by TCP and by WebSocket. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { brokerCases, exitCodeOf, reportLines, runSuite } from '@pipit/conformance';
import { type RunningPipit, startPipit } from '../test/pipit.ts';

const running: RunningPipit[] = [];

before(async () => {
  running.push(await startPipit());
});

after(() => Promise.all(running.map(({ broker }) => broker.stop())));

for (const transport of ['TCP', 'WebSocket']) {
  test(`Pipit passes every case by ${transport}`, async () => {
    const { url, facts } = running[0] as RunningPipit;
    const report = await runSuite({ url: transport === 'TCP' ? url : (facts.webSocketUrl as string), facts });
    const failed = report.results.filter(({ outcome }) => outcome === 'fail');
    assert.deepEqual(reportLines({ ...report, results: failed }, true).slice(0, -1), []);
    assert.equal(exitCodeOf(report.results), 0);
    assert.equal(report.results.length, brokerCases.length);
  });
}
