/** `pipit why`: why a message did, or would, not reach a client. */

import type { ApiArguments } from './api-options.ts';
import { askApi } from './api-request.ts';

interface Answer {
  readonly findings: readonly { readonly code: string; readonly text: string; readonly at?: string }[];
}

/** Resolves to 0. Rejects with a CommandError. */
export async function why(client: string, topic: string | null, options: ApiArguments): Promise<number> {
  const path = `/api/v1/clients/${encodeURIComponent(client)}/why`;
  const answer = await askApi(options, path, topic === null ? {} : { topic });
  const found = (await answer.json()) as Answer;
  if (options.json === true) console.log(JSON.stringify(found));
  else for (const { text, at } of found.findings) console.log(at === undefined ? text : `${at}  ${text}`);
  return 0;
}
