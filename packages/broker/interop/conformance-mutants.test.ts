/** Each fault of mutants.ts is caught by the conformance suite, in the cases that are meant for it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { type Report, runSuite } from '@pipit/conformance';
import { type Mutant, MutantCopy, mutants } from '../test/mutants.ts';

/** A broker of its own process, since a mutant may go round in circles for ever. Prints where it listens. */
const program = `
  const { createBroker } = await import(process.argv[1]);
  const broker = createBroker({ listeners: [{ type: 'tcp', port: 0 }] });
  await broker.start();
  console.log(broker.listeners[0].url);
`;

/** Runs some cases against a broker made of the sources with the mutant in them, or of the plain ones. */
async function report(mutant: Mutant | null, only: readonly string[]): Promise<Report> {
  const copy = new MutantCopy(mutant);
  const args = ['--conditions=pipit-source', '--input-type=module', '--eval', program, copy.url('broker/src/index.ts')];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const [output] = (await once(child.stdout, 'data')) as [Buffer];
    return await runSuite({ url: `${output}`.trim(), only, timeoutMs: mutant === null ? 5000 : 1000 });
  } finally {
    child.kill('SIGKILL');
    copy.remove();
  }
}

const outcomes = ({ results }: Report): string[] => results.map(({ id, outcome }) => `${id}: ${outcome}`);

describe('mutants', { concurrency: 2 }, () => {
  test('without a fault all those cases pass', async () => {
    const ids = mutants.flatMap(({ cases }) => cases);
    assert.deepEqual(
      outcomes(await report(null, ids)).filter((line) => !line.endsWith(': pass')),
      [],
    );
  });

  for (const mutant of mutants) {
    test(mutant.name, async () => {
      const found = outcomes(await report(mutant, mutant.cases));
      for (const id of mutant.cases) assert.ok(found.includes(`${id}: fail`), found.join('; '));
    });
  }
});
