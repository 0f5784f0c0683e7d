/** Asking the HTTP API of a running broker, and telling in one sentence why that did not work. */

import { readFile } from 'node:fs/promises';
import type { ApiArguments } from './api-options.ts';
import { CommandError, exitCodes, usageError } from './command-error.ts';

/** The answer, whose status is a good one. Rejects with a CommandError. */
export async function askApi(
  { api, tokenFile }: ApiArguments,
  path: string,
  query: Readonly<Record<string, string>>,
): Promise<Response> {
  if (!URL.canParse(api)) throw usageError(`--api ${api} is not a URL.`);
  const token = await tokenOf(tokenFile);
  const url = new URL(`${path}?${new URLSearchParams(query)}`, api);
  let answer: Response;
  try {
    answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } });
  } catch (error) {
    const { cause, message } = error as Error;
    throw new CommandError(
      `${api} does not answer: ${(cause as Error | undefined)?.message ?? message}.`,
      exitCodes.failure,
    );
  }
  if (answer.ok) return answer;
  const { detail } = (await answer.json().catch(() => ({}))) as { detail?: string };
  throw new CommandError(`${api} refused: ${detail ?? answer.status}`, exitCodes.failure);
}

async function tokenOf(file: string | undefined): Promise<string> {
  const text = file === undefined ? process.env['PIPIT_TOKEN'] : await textOf(file);
  const token = text?.trim() ?? '';
  if (!/^[\w.~+/=-]+$/.test(token)) throw usageError('A token is needed: --token-file, or PIPIT_TOKEN.');
  return token;
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CommandError(`${file} cannot be read: ${(error as Error).message}.`, exitCodes.failure);
  }
}
