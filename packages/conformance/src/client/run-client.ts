/** Runs the client cases against one client, each with a scripted server of its own. */
import type { ProtocolVersion } from '@pipit/protocol';
import { attempt, type Result } from '../result.ts';
import { ClientBench } from './client-bench.ts';
import { allClientCases } from './client-cases.ts';
import type { ClientDriver } from './client-under-test.ts';

export interface ClientSuiteOptions {
  readonly driver: ClientDriver;
  /** Default: 5.0 and 3.1.1. */
  readonly versions?: readonly ProtocolVersion[];
  /** Ids of cases or statements; default: all. */
  readonly only?: readonly string[];
  /** How long the client may take for one step; default 5,000. */
  readonly timeoutMs?: number;
  /** Cases at once; default 8. */
  readonly atOnce?: number;
}

/** As long as a case of many thousand messages may take, in answers. */
const longAnswersMax = 50;

/** A result for every case, in the order of the cases. Nothing a client does, or does not do, throws out of here. */
export async function runClientSuite(options: ClientSuiteOptions): Promise<Result[]> {
  const { driver, versions = [5, 4], only, timeoutMs = 5000, atOnce = 8 } = options;
  const isMeant = (id: string, statements: readonly string[]): boolean =>
    only === undefined || only.some((wanted) => wanted === id || statements.includes(wanted));
  const chosen = allClientCases.filter((each) => versions.includes(each.version) && isMeant(each.id, each.statements));
  const results: Result[] = [];
  const waiting = chosen.entries();
  const worker = async (): Promise<void> => {
    for (const [index, each] of waiting) {
      const bench = new ClientBench(driver, each.version, timeoutMs);
      results[index] = await attempt(each, () => each.run(bench), {
        peers: bench.peers,
        timeoutMs,
        ...(each.isLong && { answersMax: longAnswersMax }),
      });
      bench.clear();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}
