/** What a process has used so far, from Linux's /proc. On other systems, and for brokers elsewhere, nothing is known. */

import { readFileSync } from 'node:fs';

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
  let stat: string;
  let status: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    status = readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return null;
  }
  return { cpuSeconds: cpuTicks(stat) / ticksPerSecond, rssBytes: residentBytes(status) };
}

/** utime and stime, the 14th and 15th field; the second one, the name, may hold anything. */
export function cpuTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

export function residentBytes(status: string): number {
  return Number(/^VmRSS:\s*(\d+) kB$/m.exec(status)?.[1] ?? Number.NaN) * 1024;
}
