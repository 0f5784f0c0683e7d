/** The conformance suite: everything public of this package. */
export type { Facts } from './bench.ts';
export { brokerCases } from './broker-cases.ts';
export type { Case } from './case.ts';
export type { ClientCase } from './client/client-case.ts';
export { allClientCases } from './client/client-cases.ts';
export type { ClientDriver, ClientSettings, ClientUnderTest, ReceivedMessage } from './client/client-under-test.ts';
export type { ClientSuiteOptions } from './client/run-client.ts';
export { runClientSuite } from './client/run-client.ts';
export type { StatementResult, Summary } from './report.ts';
export { byStatement, exitCodeOf, reportLines, summaryOf } from './report.ts';
export type { Outcome, Result } from './result.ts';
export type { Refusal, Report, SuiteOptions } from './run.ts';
export { isMeant, runSuite } from './run.ts';
