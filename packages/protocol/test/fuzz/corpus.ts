/** The kept corpus of one target: a file of entries, each a thing that once failed or that failed elsewhere. */

import { readFileSync } from 'node:fs';
import type { Entry, Target } from './target.ts';

export function readCorpus<Kept>(file: URL): readonly Entry<Kept>[] {
  return JSON.parse(readFileSync(file, 'utf8')) as Entry<Kept>[];
}

/** An input ready to be pasted into the corpus. */
export function entryOf<Input, Kept>(target: Target<Input, Kept>, input: Input, name: string, why: string): string {
  return JSON.stringify({ name, why, input: target.keep(input) } satisfies Entry<Kept>, null, 2);
}
