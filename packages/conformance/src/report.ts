/** A report in lines: one a statement, and a summary. */
import type { Outcome, Result } from './result.ts';
import type { Report } from './run.ts';

export interface Summary {
  readonly pass: number;
  readonly fail: number;
  readonly notApplicable: number;
  readonly information: number;
}

/** One statement, with all cases that show it. */
export interface StatementResult {
  readonly statement: string;
  readonly outcome: Outcome;
  readonly results: readonly Result[];
}

/** By statement, in the order of the cases. A statement fails with any of its cases, and passes with any that applied. */
export function byStatement(results: readonly Result[]): StatementResult[] {
  const groups = new Map<string, Result[]>();
  for (const result of results) {
    for (const statement of result.statements) groups.set(statement, [...(groups.get(statement) ?? []), result]);
  }
  return [...groups].map(([statement, group]) => ({ statement, outcome: outcomeOf(group), results: group }));
}

function outcomeOf(results: readonly Result[]): Outcome {
  const outcomes = results.map(({ outcome }) => outcome);
  if (outcomes.includes('fail')) return 'fail';
  if (outcomes.includes('pass')) return 'pass';
  return outcomes.includes('information') ? 'information' : 'not applicable';
}

export function summaryOf(results: readonly Result[]): Summary {
  const all = byStatement(results);
  const count = (wanted: Outcome): number => all.filter(({ outcome }) => outcome === wanted).length;
  return {
    pass: count('pass'),
    fail: count('fail'),
    notApplicable: count('not applicable'),
    information: count('information'),
  };
}

const marks = { pass: 'pass', fail: 'FAIL', 'not applicable': 'n/a ', information: 'info' } as const;

/** The report as text. `withBytes`: what went over the wire, below each failure. */
export function reportLines({ url, refusals, results }: Report, withBytes = false): string[] {
  const isRun = ({ version }: Result): boolean => refusals.every((refusal) => refusal.version !== version);
  const lines = byStatement(results.filter(isRun)).flatMap((each) => statementLines(each, withBytes));
  lines.push(...refusals.map(({ outcome, note }) => `${marks[outcome]} ${note}: no case was run`));
  const { pass, fail, notApplicable, information } = summaryOf(results);
  const cases = `${results.length} cases`;
  const counts = `${pass} pass, ${fail} fail, ${notApplicable} not applicable, ${information} for information`;
  return [...lines, `${url}: ${counts} (${cases})`];
}

function statementLines({ statement, outcome, results }: StatementResult, withBytes: boolean): string[] {
  const first = results.find((result) => result.outcome === outcome) as Result;
  const note = first.note === undefined ? '' : `: ${first.note}`;
  const lines = [`${marks[outcome]} ${statement}  ${first.title}${note}`];
  for (const { id, outcome: own, title, expected, seen, bytes = [] } of results) {
    if (own !== 'fail') continue;
    if (results.length > 1) lines.push(`       ${id}  ${title}`);
    lines.push(`       expected: ${expected}`, `       seen:     ${seen}`);
    if (!withBytes) continue;
    for (const [index, log] of bytes.entries()) lines.push(...log.map((line) => `       ${index + 1} ${line}`));
  }
  return lines;
}

/** 0 when something passed and nothing failed, else 1. */
export function exitCodeOf(results: readonly Result[]): 0 | 1 {
  const { pass, fail } = summaryOf(results);
  return fail === 0 && pass > 0 ? 0 : 1;
}
