/** A thread that commits to a store of very small segments, as fast as it can, until it is told to end. */

import { parentPort, workerData } from 'node:worker_threads';
import { openStore } from '../../src/index.ts';
import { changesOf } from './reader-changes.ts';

const { folder, shared } = workerData as { folder: string; shared: Int32Array };
const store = openStore(folder, { segmentBytes: 16 * 1024 });
await store.load();
for (let number = 0; Atomics.load(shared, 1) === 0; number++) {
  await store.commit({ number: number + 1, wall: 1, clock: 1, changes: changesOf(number) });
  Atomics.store(shared, 0, number);
  if (number === 0) parentPort?.postMessage('begun');
}
await store.close();
