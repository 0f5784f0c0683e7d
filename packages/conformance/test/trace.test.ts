/** The tables of spec/ and the cases agree: what a table says is shown by a case, the case says too, and none is left out. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { brokerCases } from '@pipit/conformance';

const spec = join(import.meta.dirname, '../../../spec');
const shown = new Map<string, string[]>();
for (const table of ['mqtt5', 'mqtt311', 'mqtt31']) {
  const [, ...rows] = readFileSync(join(spec, `${table}.tsv`), 'utf8')
    .trimEnd()
    .split('\n');
  for (const row of rows) {
    const cells = row.split('\t');
    const by = (cells[5] ?? '').split('; ').flatMap((text) => /^conformance (.*)$/.exec(text)?.[1] ?? []);
    shown.set(cells[0] as string, by);
  }
}

test('ids of cases are unique', () => {
  assert.equal(new Set(brokerCases.map(({ id }) => id)).size, brokerCases.length);
});

test('every case that a table names shows the statement', () => {
  const wrong = [...shown].flatMap(([statement, ids]) =>
    ids.filter((id) => !brokerCases.some((each) => each.id === id && each.statements.includes(statement))),
  );
  assert.deepEqual(wrong, []);
});

test('every statement that a case shows is in a table, which names the case', () => {
  const missing = brokerCases.flatMap(({ id, statements }) =>
    statements
      .filter((statement) => /^MQTT|^3\.1\//.test(statement))
      .filter((statement) => shown.get(statement)?.includes(id) !== true)
      .map((statement) => `${statement} by ${id}`),
  );
  assert.deepEqual(missing, []);
});
