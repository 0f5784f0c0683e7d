/**
 * The load in C (load.c), compiled when it is first needed, where there is a C compiler and Linux. Over TCP it stands in for load.ts,
 * which needs as much CPU as a broker does where every message is a write of its own.
 */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LoadOptions } from './load.ts';

const shapes = ['pair', 'fan-out', 'fan-in', 'shared', 'spread'] as const;

export class NativeLoad {
  /** Undefined until it was tried, null when it cannot be made here. */
  #program: string | null | undefined;

  /** The command that runs this load; null when load.ts has to. */
  command(options: LoadOptions): { program: string; args: string[] } | null {
    const { transport, host } = options.address;
    if (transport !== 'tcp' || options.scenario.durable === 'absent' || !/^[\d.]+$/.test(host)) return null;
    this.#program ??= compile();
    return this.#program === null ? null : { program: this.#program, args: argumentsOf(options) };
  }
}

function compile(): string | null {
  if (process.platform !== 'linux') return null;
  const folder = mkdtempSync(join(tmpdir(), 'pipit-load-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  const program = join(folder, 'load');
  const { status, error, stderr } = spawnSync('cc', ['-O2', '-o', program, join(import.meta.dirname, 'load.c')]);
  if (error !== undefined) return null;
  if (status !== 0) throw new Error(`load.c could not be compiled:\n${stderr}`);
  return program;
}

function argumentsOf({ scenario, address, pid, warmUpMs, measureMs, silenceMs }: LoadOptions): string[] {
  const given = {
    host: address.host,
    port: address.port,
    pid: pid ?? 0,
    shape: shapes.indexOf(scenario.shape),
    publishers: scenario.publishers,
    subscribers: scenario.subscribers,
    qos: scenario.qos,
    version: scenario.version,
    payload: scenario.payloadBytes,
    window: scenario.window,
    batch: scenario.batch,
    outstanding: scenario.outstandingMax,
    userProperties: scenario.userProperties,
    durable: scenario.durable === 'no' ? 0 : 1,
    rate: scenario.rate,
    warmUpMs,
    measureMs,
    ...(silenceMs !== undefined && { silenceMs }),
  };
  return Object.entries(given).map(([name, value]) => `${name}=${value}`);
}
