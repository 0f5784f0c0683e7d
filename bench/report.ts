/** What was measured, as text and as JSON. */

import { writeFileSync } from 'node:fs';
import { arch, cpus, loadavg, platform, release, totalmem } from 'node:os';
import type { Contender } from './contenders.ts';
import type { LoadResult } from './load/load.ts';
import { median, type Run } from './measure.ts';
import type { Scenario } from './scenarios.ts';

const megabyte = 1024 * 1024;

/** Where it was measured. */
export function machine(): Record<string, unknown> {
  const [first] = cpus();
  return {
    cpu: first?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryMb: Math.round(totalmem() / megabyte),
    system: `${platform()} ${release()} ${arch()}`,
    node: process.version,
    // What else the machine was doing: rates and latencies of a busy one say little.
    load: loadavg().map((each) => Number(each.toFixed(2))),
  };
}

/** A run whose messages did not all arrive, once each and in order, does not count. */
export function isWhole({ lost, outOfOrder, unacknowledged }: LoadResult): boolean {
  return lost === 0 && outOfOrder === 0 && unacknowledged === 0;
}

export function describeRun({ scenario, contender, result }: Run): string {
  const { sentPerSecond, receivedPerSecond, latencyUs, cpuUsPerMessage, cpuShare, rssBytes } = result;
  const parts = [
    scenario.padEnd(24),
    contender.padEnd(10),
    `in ${whole(sentPerSecond)}/s  out ${whole(receivedPerSecond)}/s`,
    latencyUs === null
      ? ''
      : `p50 ${whole(latencyUs.p50)}  p99 ${whole(latencyUs.p99)}  p99.9 ${whole(latencyUs.p999)} µs`,
    cpuUsPerMessage === null
      ? ''
      : `${cpuUsPerMessage.toFixed(3)} µs CPU a message (${(cpuShare as number).toFixed(2)} cores, generator in ${result.generator} ${result.generatorCpuShare.toFixed(2)})`,
    rssBytes === null ? '' : `${Math.round(rssBytes / megabyte)} MB`,
    isWhole(result)
      ? 'nothing lost, in order'
      : `LOST ${result.lost}, OUT OF ORDER ${result.outOfOrder}, UNACKNOWLEDGED ${result.unacknowledged}`,
  ];
  return parts.filter((part) => part !== '').join('  ');
}

/** A table in Markdown: medians of the runs that were whole; beside the rate the CPU microseconds per message. */
export function table(scenarios: readonly Scenario[], contenders: readonly Contender[], runs: readonly Run[]): string {
  const lines = [
    `| messages out a second; broker CPU µs a message | ${contenders.map(({ name }) => name).join(' | ')} |`,
    `|---|${contenders.map(() => '---|').join('')}`,
  ];
  for (const { name, title, durable } of scenarios) {
    const cells = contenders.map((contender) => {
      const results = runs
        .filter((run) => run.scenario === name && run.contender === contender.name && isWhole(run.result))
        .map((run) => run.result);
      if (results.length === 0) return '';
      const rate = median(results.map((each) => (durable === 'absent' ? each.sentPerSecond : each.receivedPerSecond)));
      const cpu = results.map((each) => each.cpuUsPerMessage).filter((each) => each !== null);
      return cpu.length === 0 ? whole(rate) : `${whole(rate)}; ${median(cpu).toFixed(3)}`;
    });
    if (cells.some((cell) => cell !== '')) lines.push(`| ${title} | ${cells.join(' | ')} |`);
  }
  return lines.join('\n');
}

export function writeJson(file: string, content: Record<string, unknown>): void {
  writeFileSync(file, `${JSON.stringify(content, null, 2)}\n`);
}

export function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
