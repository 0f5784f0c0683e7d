/** The code under test: the sources of this checkout, or a copy of them with a fault planted (mutants.ts). */

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { SendWindow } from '@pipit/protocol';
import type { Core, Permissions } from '../../src/core/index.ts';
import type { Log } from '../../src/store/log.ts';
import type { Disk, DiskWorld } from './disk.ts';

export interface Engine {
  readonly Core: typeof Core;
  readonly Permissions: typeof Permissions;
  readonly SendWindow: typeof SendWindow;
  readonly Log: typeof Log;
  readonly checkInvariants: (core: Core) => void;
  /** What the broker's disk is; default: one that is memory alone. */
  readonly newDisk?: <Snapshot>(seed: number, world: DiskWorld<Snapshot>) => Disk<Snapshot>;
}

/** `load` imports a module by its path from `packages/`. */
export async function loadEngine(load: (file: string) => Promise<unknown> = loadSource): Promise<Engine> {
  const core = (await load('broker/src/core/index.ts')) as Pick<Engine, 'Core' | 'Permissions'>;
  const invariants = (await load('broker/src/core/invariants.ts')) as Pick<Engine, 'checkInvariants'>;
  const protocol = (await load('protocol/src/index.ts')) as Pick<Engine, 'SendWindow'>;
  const { Log } = (await load('broker/src/store/log.ts')) as Pick<Engine, 'Log'>;
  const { checkInvariants } = invariants;
  return { Core: core.Core, Permissions: core.Permissions, SendWindow: protocol.SendWindow, Log, checkInvariants };
}

function loadSource(file: string): Promise<unknown> {
  return import(pathToFileURL(join(import.meta.dirname, '../../..', file)).href);
}
