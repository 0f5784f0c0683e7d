/** The tables of spec/ and the cases agree: what a table says is shown by a case, the case says too, and none is left out. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { allClientCases, brokerCases } from '@pipit/conformance';

/** For brokers and for clients: what all of them need. */
const all: readonly { readonly id: string; readonly statements: readonly string[] }[] = [
  ...brokerCases,
  ...allClientCases,
];

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
  assert.equal(new Set(all.map(({ id }) => id)).size, all.length);
});

test('every case that a table names shows the statement', () => {
  const wrong = [...shown].flatMap(([statement, ids]) =>
    ids.filter((id) => !all.some((each) => each.id === id && each.statements.includes(statement))),
  );
  assert.deepEqual(wrong, []);
});

test('every statement that a case shows is in a table, which names the case', () => {
  const missing = all.flatMap(({ id, statements }) =>
    statements
      .filter((statement) => /^MQTT|^3\.1\//.test(statement))
      .filter((statement) => shown.get(statement)?.includes(id) !== true)
      .map((statement) => `${statement} by ${id}`),
  );
  assert.deepEqual(missing, []);
});
