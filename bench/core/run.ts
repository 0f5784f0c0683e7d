/** The benchmarks of the core, one process after the other. */

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { describeFinding, type Finding } from './finding.ts';

const names = ['messages', 'subscriptions', 'topics', 'spread'] as const;

/** Those whose names are given; all when none is. `missed`: figures above what they should be. */
export function measureCore(
  chosen: readonly string[],
  say: (text: string) => void,
): { core: Record<string, Finding[]>; missed: number } {
  const core: Record<string, Finding[]> = {};
  let missed = 0;
  for (const name of chosen.length > 0 ? chosen : names) {
    if (!(names as readonly string[]).includes(name)) throw new Error(`core ${name}: there is ${names.join(', ')}`);
    const findings = runBenchmark(name, import.meta.dirname);
    core[name] = findings;
    for (const each of findings) {
      say(`${name.padEnd(14)} ${describeFinding(each)}`);
      if (each.valueMax !== null && each.value > each.valueMax) missed++;
    }
  }
  return { core, missed };
}

/** One benchmark, by the `main.ts` of a folder. */
export function runBenchmark(name: string, folder: string): Finding[] {
  const options = ['--expose-gc', '--max-old-space-size=8192', '--conditions=pipit-source'];
  const output = execFileSync(process.execPath, [...options, join(folder, 'main.ts'), name]);
  return JSON.parse(String(output)) as Finding[];
}
