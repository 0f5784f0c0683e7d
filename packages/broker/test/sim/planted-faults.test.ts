/** Sources change, and a fault that no longer fits is found here and not minutes into the hunt for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mutants, mutated } from '../mutants.ts';
import { storeFaults } from '../store/mutants.ts';
import { faults } from './planted-faults.ts';

test('every fault and every mutant changes just one place of the sources', () => {
  const all = [...mutants, ...faults, ...storeFaults];
  const misfits = all.flatMap((each) => {
    try {
      return mutated(each) === '' ? [each.name] : [];
    } catch (error) {
      return [(error as Error).message];
    }
  });
  assert.deepEqual(misfits, []);
});
