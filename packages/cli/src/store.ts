/** `pipit store`: looks into the data directory of a broker, checks it and mends it. */

import { createWriteStream } from 'node:fs';
import {
  exportStore,
  importStore,
  type LogReport,
  readStore,
  repairStore,
  StoreError,
  type StoreReader,
} from '@pipit/broker';
import { topicFilterProblem } from '@pipit/protocol';
import { CommandError, exitCodes, usageError } from './command-error.ts';
import { ProgressLine } from './progress-line.ts';
import { storeJson } from './store-json.ts';
import type { ExportArguments, InspectArguments, VerifyArguments } from './store-options.ts';
import { print, printTo, stdinLines } from './store-print.ts';
import { damageLines, overviewLines, queueLines, retainedLines, sessionLines } from './store-text.ts';

/** Resolves to 0. Rejects with a CommandError, as all of them do. */
export async function inspectCommand(directory: string, options: InspectArguments): Promise<number> {
  const { retained, session } = options;
  checkFilter(retained);
  return withReader(directory, async (reader) => {
    if (session !== undefined && !reader.sessions.some(({ session: { key } }) => key === session)) {
      throw new CommandError(`There is no session ${session} in ${reader.directory}.`, exitCodes.failure);
    }
    if (options.json === true) await print([JSON.stringify(await storeJson(reader, options), null, 2)]);
    else if (session !== undefined) await print(await queueLines(reader, session, options.top));
    else if (retained !== undefined) await print(await retainedLines(reader, retained, options.top));
    else await print([...overviewLines(reader), '', ...sessionLines(reader, options)]);
    return 0;
  });
}

/** Resolves to 0 when everything in it is whole, else to 1. */
export async function verifyCommand(directory: string, options: VerifyArguments): Promise<number> {
  return withReader(directory, async (reader) => {
    if (options.json === true) await print([JSON.stringify(reader.report, null, 2)]);
    else await print([...overviewLines(reader), ...(await damageLines(reader.report, reader))]);
    return isClean(reader.report) ? 0 : exitCodes.failure;
  });
}

/** Resolves to 0 when the store is clean afterwards. */
export async function repairCommand(directory: string): Promise<number> {
  const { report, obstacle } = await repairStore(directory).catch(told);
  await print(await damageLines(report, null));
  return withReader(directory, async (reader) => {
    const reason = obstacle === null ? '' : `, because it could not go on (${obstacle})`;
    const still = `It is still damaged${reason}:`;
    const left = isClean(reader.report) ? [] : [still, ...(await damageLines(reader.report, reader))];
    await print([...left, ...overviewLines(reader)]);
    return left.length === 0 ? 0 : exitCodes.failure;
  });
}

/** Resolves to 0 when all of it was written. */
export async function exportCommand(directory: string, options: ExportArguments): Promise<number> {
  const { output, retained: filter } = options;
  checkFilter(filter);
  const sessions = options.sessions ?? filter === undefined;
  const retained = filter ?? (options.sessions === true ? null : '#');
  return withReader(directory, async (reader) => {
    const progress = new ProgressLine();
    const lines = counted(
      exportStore(reader, { sessions, retained }),
      progress,
      output !== undefined || !process.stdout.isTTY,
    );
    if (output === undefined) await printTo(process.stdout, lines);
    else await printTo(createWriteStream(output, { mode: 0o600 }), lines).catch(told);
    progress.clear();
    if (isClean(reader.report)) return 0;
    console.error(`The store is damaged: what was lost is not in the export (pipit store verify ${directory}).`);
    return exitCodes.failure;
  });
}

/** Resolves to 0 when every line is in the store. */
export async function importCommand(directory: string): Promise<number> {
  const { sessions, subscriptions, queued, retained } = await importStore(directory, stdinLines()).catch(told);
  console.error(
    `${sessions} sessions, ${subscriptions} subscriptions, ${queued} queued and ${retained} retained messages`,
  );
  return 0;
}

/** The same lines; says how many there were so far. */
async function* counted(
  lines: Iterable<string> | AsyncIterable<string>,
  progress: ProgressLine,
  isToFile: boolean,
): AsyncGenerator<string> {
  let count = 0;
  for await (const line of lines) {
    count++;
    if (isToFile) progress.show(() => `${count.toLocaleString('en')} lines`);
    yield line;
  }
}

function checkFilter(filter: string | undefined): void {
  const problem = filter === undefined ? undefined : topicFilterProblem(filter);
  if (problem !== undefined) throw usageError(`--retained ${filter}: ${problem}.`);
}

/** The rest of a batch that nobody was told of is no damage: a killed broker leaves one. */
function isClean({ damage, lostSessions, lostMessages }: LogReport): boolean {
  return damage.every(({ kind }) => kind === 'unfinished') && lostSessions + lostMessages === 0;
}

async function withReader(directory: string, body: (reader: StoreReader) => Promise<number>): Promise<number> {
  const reader = await readStore(directory).catch(told);
  try {
    return await body(reader);
  } finally {
    await reader.close();
  }
}

function told(error: unknown): never {
  const isPlain = error instanceof StoreError || (error as NodeJS.ErrnoException).syscall !== undefined;
  throw isPlain ? new CommandError((error as Error).message, exitCodes.failure) : error;
}
