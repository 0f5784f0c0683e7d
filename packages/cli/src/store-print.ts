/** Lines to stdout and files, as fast as they are taken, and from stdin. */

import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { linesOf } from './lines.ts';

/** Lines are written together up to so many characters. */
const chunkLength = 64 * 1024;

/** Resolves once all of it has left. */
export async function print(lines: readonly string[]): Promise<void> {
  await printTo(process.stdout, lines);
}

/** One line to stdout, as one of many: resolves when there is room for more. */
export async function printLine(line: string): Promise<void> {
  if (!process.stdout.write(`${line}\n`)) await new Promise<void>((done) => process.stdout.once('drain', done));
}

/** Writes each line with a newline behind it. Files are closed, stdout is not. Whoever stops reading gets no more. */
export async function printTo(output: Writable, lines: Iterable<string> | AsyncIterable<string>): Promise<void> {
  if (output !== process.stdout) return pipeline(Readable.from(chunks(lines)), output);
  try {
    await pipeline(Readable.from(chunks(lines)), output, { end: false });
    // The process exits soon after, and a pipe may take less at once than was written.
    await new Promise<void>((done) => output.write('', () => done()));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  }
}

async function* chunks(lines: Iterable<string> | AsyncIterable<string>): AsyncGenerator<string> {
  let chunk = '';
  for await (const line of lines) {
    chunk += `${line}\n`;
    if (chunk.length < chunkLength) continue;
    yield chunk;
    chunk = '';
  }
  if (chunk !== '') yield chunk;
}

export async function* stdinLines(): AsyncGenerator<string> {
  for await (const line of linesOf(process.stdin)) yield Buffer.from(line).toString();
}
