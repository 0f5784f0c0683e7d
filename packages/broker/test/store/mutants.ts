/** Faults of the store, to be put in on purpose: the simulation on the log finds them (sim/mutants.ts). */

import type { Mutant } from '../mutants.ts';

const log = 'broker/src/store/log.ts';
const recovery = 'broker/src/store/recovery.ts';
const cleaner = 'broker/src/store/cleaner.ts';

export const storeFaults: readonly Omit<Mutant, 'cases'>[] = [
  {
    name: 'committed before it is synced',
    file: log,
    find: 'const isSynced = this.options.syncs;',
    replace: 'const isSynced = false;',
  },
  {
    name: 'a file is appended to after an append to it failed',
    file: log,
    find: 'this.cleaner?.failed();\n    this.active = null;',
    replace: 'this.cleaner?.failed();',
  },
  {
    name: 'a batch that was cut off counts',
    file: recovery,
    find: 'if (inside.length !== commit.records || bytes !== commit.bytes) {',
    replace: 'if (inside.length > commit.records) {',
  },
  {
    name: 'a batch that was never acknowledged counts',
    file: recovery,
    find: 'if (isBefore(found, previousEnd)) this.apply(found);',
    replace: 'this.apply(found);',
  },
  {
    name: 'damage is not reported',
    file: recovery,
    find: 'const damage = [...this.unfinished(), ...this.damaged(abandoned)];',
    replace: 'const damage: DamagedRange[] = [];',
  },
  {
    name: 'cleaning forgets what lives',
    file: cleaner,
    find: 'this.taken = this.candidates.filter(({ facts, offset }) => this.catalog.isLive(facts, segment.number, offset));',
    replace: 'this.taken = [];',
  },
  {
    name: 'what was to be moved is gone when its append fails',
    file: cleaner,
    find: 'this.candidates = [...this.taken, ...this.candidates];',
    replace: '',
  },
  {
    name: 'a read that fails while cleaning is given up at once',
    file: cleaner,
    find: 'const readAttemptsMax = 16;',
    replace: 'const readAttemptsMax = 1;',
  },
  {
    name: 'a queue is paged with a gap',
    file: 'broker/src/store/load.ts',
    find: 'for (const entry of session.entries.above(after)) {',
    replace: 'for (const entry of session.entries.above(after + (count === 1 ? 1 : 0))) {',
  },
];
