/**
 * That every normative statement has a test. The tables of spec/ say in their last column what shows a statement:
 * `conformance <case id>`, `scenario <file>#<test title>` or `not observable: <why>`. Several are separated by `; `. What is named
 * must exist.
 */
import type { Problem, SourceTree } from './source-tree.ts';

const TABLES = ['spec/mqtt5.tsv', 'spec/mqtt311.tsv', 'spec/mqtt31.tsv'];
const COLUMNS = ['id', 'subject', 'section title', 'statement', 'check', 'shown by'];
const CASES = 'packages/conformance/src/';

export function checkTrace(tree: SourceTree): Problem[] {
  const cases = new Set(
    tree.sources
      .filter(({ path }) => path.startsWith(CASES))
      .flatMap(({ text }) => [...text.matchAll(/'((?:MQTT|[35]\.|info)[^'\n]*)'/g)].map((match) => match[1] as string)),
  );
  return TABLES.flatMap((path) => {
    const report = (line: number, message: string): Problem => ({ path, line, rule: 'trace', message });
    const text = tree.texts.get(path);
    if (text === undefined) return [report(0, 'the table of statements is missing')];
    const [header, ...rows] = text.trimEnd().split('\n');
    if (header !== COLUMNS.join('\t')) return [report(1, `the columns must be: ${COLUMNS.join(', ')}`)];
    const known = new Set<string>();
    return rows.flatMap((row, index) => {
      const cells = row.split('\t');
      const [id = ''] = cells;
      const problems = cells.length === COLUMNS.length ? [] : [`${id} has ${cells.length} columns`];
      if (known.has(id)) problems.push(`${id} is there twice`);
      known.add(id);
      for (const shown of (cells[5] ?? '').split('; ')) {
        const problem = problemOf(tree, cases, shown);
        if (problem !== undefined) problems.push(`${id}: ${problem}`);
      }
      return problems.map((message) => report(index + 2, message));
    });
  });
}

function problemOf(tree: SourceTree, cases: ReadonlySet<string>, shown: string): string | undefined {
  const [, kind, rest] = /^(conformance |scenario |not observable: )(.*)$/.exec(shown) ?? [];
  switch (kind) {
    case 'conformance ':
      return cases.has(rest as string) ? undefined : `there is no conformance case "${rest}"`;
    case 'scenario ': {
      const [file = '', title = ''] = (rest as string).split(/#(.*)/s);
      const text = tree.texts.get(file);
      if (text === undefined) return `there is no file ${file}`;
      return title !== '' && text.includes(title) ? undefined : `there is no test "${title}" in ${file}`;
    }
    case 'not observable: ':
      return rest === '' ? '"not observable" needs a reason' : undefined;
    default:
      return `nothing shows it ("${shown}")`;
  }
}
