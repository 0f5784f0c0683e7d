/**
 * Ids of normative statements. `[MQTT-3.3.4-9]` is a statement of MQTT 5.0 (spec/mqtt5.tsv), `[MQTT3-3.1.2-8]` one of
 * MQTT 3.1.1 (spec/mqtt311.tsv). An id that a comment or a test title names must exist there.
 */
import { lineAt, type Problem, type SourceTree } from './source-tree.ts';

const ID = /\bMQTT3?-\d[\w.]*-\d+\w*/g;
const TABLES = ['spec/mqtt5.tsv', 'spec/mqtt311.tsv'];

/** The ids of both tables, in their order. */
function specIds(tree: SourceTree): Set<string> {
  const ids = TABLES.flatMap((table) => (tree.texts.get(table) ?? '').trimEnd().split('\n').slice(1));
  return new Set(ids.map((row) => row.slice(0, row.indexOf('\t'))));
}

export function checkSpecIds(tree: SourceTree): Problem[] {
  const known = specIds(tree);
  const problems: Problem[] = TABLES.filter((table) => !tree.texts.has(table)).map((table) => ({
    path: table,
    line: 0,
    rule: 'spec-ids',
    message: 'the table of statements is missing',
  }));
  for (const { path, text } of tree.sources) {
    for (const { 0: id, index } of text.matchAll(ID)) {
      if (known.has(id)) continue;
      problems.push({
        path,
        line: lineAt(text, index),
        rule: 'spec-ids',
        message: `${id} is in neither table of spec/`,
      });
    }
  }
  return problems;
}

/** Statements whose id no test title and no test comment names yet. */
export function untestedIds(tree: SourceTree): string[] {
  const tests = tree.sources.filter((source) =>
    /\.(test|suite)\.ts$|^test\/|^packages\/[^/]+\/test\//.test(source.path),
  );
  const named = new Set(tests.flatMap((source) => source.text.match(ID) ?? []));
  return [...specIds(tree)].filter((id) => !named.has(id));
}
