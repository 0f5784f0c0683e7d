/** What a process has used so far, from Linux's /proc. On other systems, and for brokers elsewhere, nothing is known. */

import { readdirSync, readFileSync } from 'node:fs';

export interface Usage {
  /** User and system time of all threads. */
  readonly cpuSeconds: number;
  /** Resident memory now. */
  readonly rssBytes: number;
}

/** USER_HZ, which is 100 wherever Node runs on Linux. */
const ticksPerSecond = 100;

export function usageOf(pid: number | null): Usage | null {
  if (pid === null) return null;
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    return { cpuSeconds: exactCpuSeconds(pid) ?? tickedCpuSeconds(pid), rssBytes: residentBytes(status) };
  } catch {
    return null;
  }
}

/** To the nanosecond, if the kernel counts it: the sum over the threads there are. */
function exactCpuSeconds(pid: number): number | null {
  let nanoseconds = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]);
    } catch (error) {
      // A thread that has just ended, or a kernel without these figures.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || thread === String(pid)) return null;
    }
  }
  return nanoseconds > 0 ? nanoseconds / 1e9 : null;
}

/** In hundredths. */
function tickedCpuSeconds(pid: number): number {
  return cpuTicks(readFileSync(`/proc/${pid}/stat`, 'latin1')) / ticksPerSecond;
}

/** utime and stime, the 14th and 15th field; the second one, the name, may hold anything. */
export function cpuTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

export function residentBytes(status: string): number {
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) * 1024;
}
