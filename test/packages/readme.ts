/** The examples of the README: the fenced block behind `<!-- example: NAME -->`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './tarballs.ts';

const readme = readFileSync(join(root, 'README.md'), 'utf8');

/** Throws when there is none of that name. */
export function example(name: string): string {
  const [, code] = new RegExp(`<!-- example: ${name} -->\\n\`\`\`\\w+\\n(.*?)\\n\`\`\``, 's').exec(readme) ?? [];
  if (code === undefined) throw new Error(`README.md has no example ${name}`);
  return code;
}
