/** Mends a damaged store that nobody uses. */

import { resolve } from 'node:path';
import type { LogReport } from '../store/contents.ts';
import { openStore } from './log-store.ts';
import { mustHoldStore } from './store-reader.ts';

/** What a repair found, and what it could not do. */
export interface StoreRepair {
  readonly report: LogReport;
  /** What kept it from writing all damaged files anew, in the words of the system; null: it did. */
  readonly obstacle: string | null;
}

/**
 * Does what the start of a broker does after damage, and more: what can be read is kept, what cannot is copied or moved to
 * `quarantine/`, and damaged files are written anew, so that the next start finds a clean store. Rejects with a StoreError when
 * there is no store in the directory, and with a DirectoryInUseError while a broker runs on it.
 */
export async function repairStore(directory: string): Promise<StoreRepair> {
  const path = resolve(directory);
  await mustHoldStore(path);
  let report: LogReport | undefined;
  const store = openStore(path, {
    rewritesDamaged: true,
    onReport: (found) => {
      report = found;
    },
  });
  await store.load();
  const obstacle = await store.clean();
  await store.close();
  return { report: report as LogReport, obstacle };
}
