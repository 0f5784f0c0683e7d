/** The conformance suite: everything public of this package. */
export type { Facts } from './bench.ts';
export { brokerCases } from './broker-cases.ts';
export type { Case } from './case.ts';
export type { StatementResult, Summary } from './report.ts';
export { byStatement, exitCodeOf, reportLines, summaryOf } from './report.ts';
export type { Outcome, Refusal, Report, Result, SuiteOptions } from './run.ts';
export { isMeant, runSuite } from './run.ts';
