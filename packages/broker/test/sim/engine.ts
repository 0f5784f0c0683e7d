/** The code under test: the sources of this checkout, or a copy of them with a fault planted (mutants.ts). */

import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { SendWindow } from '@pipit/protocol';
import type { Core, Permissions } from '../../src/core/index.ts';

export interface Engine {
  readonly Core: typeof Core;
  readonly Permissions: typeof Permissions;
  readonly SendWindow: typeof SendWindow;
  readonly checkInvariants: (core: Core) => void;
}

export const sourceFolders = {
  core: join(import.meta.dirname, '../../src/core'),
  protocol: join(import.meta.dirname, '../../../protocol'),
};

export async function loadEngine(folders = sourceFolders): Promise<Engine> {
  const load = (...path: string[]): Promise<unknown> => import(pathToFileURL(join(...path)).href);
  const core = (await load(folders.core, 'index.ts')) as Pick<Engine, 'Core' | 'Permissions'>;
  const invariants = (await load(folders.core, 'invariants.ts')) as Pick<Engine, 'checkInvariants'>;
  const protocol = (await load(folders.protocol, 'src/index.ts')) as Pick<Engine, 'SendWindow'>;
  const { checkInvariants } = invariants;
  return { Core: core.Core, Permissions: core.Permissions, SendWindow: protocol.SendWindow, checkInvariants };
}
