import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cpuTicks, residentBytes, usageOf } from './process-usage.ts';

describe('usageOf', () => {
  test('reads the fields of Linux, whatever the process is called', () => {
    const stat = '4711 (a) b (c) d) S 1 2 3 4 -1 4194304 100 0 3 0 1234 567 8 9 20 0 11 0 5 6 7';
    assert.equal(cpuTicks(stat), 1234 + 567);
    assert.equal(residentBytes('Name:\tnode\nVmHWM:\t  999 kB\nVmRSS:\t   81244 kB\nThreads:\t11\n'), 81244 * 1024);
  });

  test('of this process grows as it works, and is no more than it says itself', () => {
    if (process.platform !== 'linux') return;
    const first = usageOf(process.pid)?.cpuSeconds ?? 0;
    for (let end = performance.now() + 30; performance.now() < end; );
    const { cpuSeconds = 0, rssBytes = 0 } = usageOf(process.pid) ?? {};
    const { user, system } = process.cpuUsage();
    assert.ok(
      cpuSeconds > first && cpuSeconds <= (user + system) / 1e6 + 0.05,
      `${first} ${cpuSeconds} ${user + system}`,
    );
    assert.ok(rssBytes > 10_000_000, String(rssBytes));
  });

  test('knows nothing of a process that is not there', () => {
    assert.equal(usageOf(null), null);
    assert.equal(usageOf(2 ** 30), null);
  });
});
