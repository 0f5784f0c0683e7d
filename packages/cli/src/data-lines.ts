/** What `serve` says about the data it keeps: what survives what, what was found at the start, and what of it was damaged. */

import { join } from 'node:path';
import type { Damage, DataSettings, LogReport } from '@pipit/broker';

/** The first line of `serve`. */
export function promiseLine(data: DataSettings): string {
  if (data.durability === 'memory') return 'memory: nothing survives a restart';
  const what = {
    fsync: 'what was acknowledged survives a crash, a kill and a power cut (fsync)',
    os: 'what was acknowledged survives a crash or a kill of the broker, not a power cut (os)',
  }[data.durability];
  return `data in ${data.directory}: ${what}`;
}

export function foundLine({ sessions, queued, retained, bytes }: LogReport, durationMs: number): string {
  const queues = `${counted(sessions, 'session')}, ${number(queued)} queued and ${counted(retained, 'retained message')}`;
  return `found ${queues}; read ${counted(bytes, 'byte')} in ${number(Math.round(durationMs))} ms`;
}

/** What of the data is damaged; null: nothing is. A batch that was never acknowledged, cut off by a crash, is no damage. */
export function damageOf(damage: readonly Damage[]): { ranges: number; bytes: number; copied: number } | null {
  const real = damage.filter(({ kind }) => kind !== 'unfinished');
  if (real.length === 0) return null;
  const bytes = real.reduce((sum, { from, to }) => sum + to - from, 0);
  return { ranges: real.length, bytes, copied: real.filter(({ copy }) => copy !== null).length };
}

/** Null when nothing is damaged or lost. */
export function damageLine(report: LogReport, directory: string): string | null {
  const { damage, lostRecords, isLossUnknown, lostSessions, lostMessages } = report;
  const found = damageOf(damage);
  if (found === null && lostRecords + lostSessions + lostMessages === 0 && !isLossUnknown) return null;
  const { ranges, bytes, copied } = found ?? { ranges: 0, bytes: 0, copied: 0 };
  const where = copied > 0 ? `, copied to ${quarantineOf(directory)}` : '';
  const least = isLossUnknown ? 'at least ' : '';
  const whole = `${counted(lostSessions, 'session')}, ${counted(lostMessages, 'message')}`;
  const lost = `lost: ${least}${counted(lostRecords, 'record')}, ${whole}`;
  return `damage: ${counted(bytes, 'byte')} in ${counted(ranges, 'place')}${where}; ${lost}`;
}

export function quarantineOf(directory: string): string {
  return join(directory, 'quarantine');
}

function counted(count: number, what: string): string {
  return `${number(count)} ${what}${count === 1 ? '' : 's'}`;
}

function number(value: number): string {
  return value.toLocaleString('en');
}
