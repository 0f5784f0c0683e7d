/** A report in lines: one a statement, and a summary. */
import { versionNames } from './outcome.ts';
import type { Outcome, Result } from './result.ts';
import type { Refusal, Report } from './run.ts';

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
  const run = results.filter(({ version }) => refusals.every((refusal) => refusal.version !== version));
  const lines = byStatement(run).flatMap((each) => statementLines(each, withBytes));
  lines.push(...refusalLines(refusals));
  if (run.length === 0) return [...lines, `${url}: none of ${results.length} cases was run`];
  const { pass, fail, notApplicable, information } = summaryOf(run);
  const counts = `${pass} pass, ${fail} fail, ${notApplicable} not applicable, ${information} for information`;
  const of = run.length < results.length ? ` of ${results.length}` : '';
  return [...lines, `${url}: ${counts} (${run.length}${of} ${results.length === 1 ? 'case' : 'cases'})`];
}

/** One line for all versions that fared alike. */
function refusalLines(refusals: readonly Refusal[]): string[] {
  const versions = new Map<string, string[]>();
  for (const { version, outcome, note } of refusals) {
    const key = `${outcome} ${note}`;
    versions.set(key, [...(versions.get(key) ?? []), versionNames[version]]);
  }
  const lines = refusals.map(({ outcome, note }) => {
    const names = versions.get(`${outcome} ${note}`) as string[];
    return `${marks[outcome]} MQTT ${names.join(', ')}: ${note}`;
  });
  return [...new Set(lines)];
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
