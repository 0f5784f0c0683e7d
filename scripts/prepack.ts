/**
 * Before `npm pack` of a package, run in its folder: the licence and the page for npm are the repository's own, for every package;
 * and what an earlier build left in `dist`, whose source is gone, goes too.
 */
import { copyFileSync, existsSync, globSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');
for (const name of ['LICENSE', 'README.md']) copyFileSync(resolve(root, name), name);

for (const built of globSync('dist/**/*.{js,d.ts,js.map,d.ts.map}')) {
  const source = built.replace(/^dist/, 'src').replace(/(\.d)?\.[jt]s(\.map)?$/, '.ts');
  if (!existsSync(source)) rmSync(built, { force: true });
}
