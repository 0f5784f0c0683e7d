/**
 * That the compiler is asked about everything: each TypeScript file must be read by a project that `npm run check`
 * builds, and each shipped file of a pure layer by a `tsconfig.pure.json`, where nothing impure has a type.
 */
import { CHECKED_PROJECT } from './compiler.ts';
import { isPure } from './layers.ts';
import type { Problem, SourceTree } from './source-tree.ts';

export function checkProjects({ sources, projects }: SourceTree): Problem[] {
  return sources.flatMap((source) => {
    const { path } = source;
    const isMissed = !projects.files.has(path);
    if (!isMissed && (!isPure(source) || projects.pure.has(path))) return [];
    const kind = isMissed ? 'project' : 'tsconfig.pure.json';
    const message = `in no ${kind} that ${CHECKED_PROJECT} leads to: the compiler does not check it`;
    return [{ path, line: 0, rule: 'projects', message }];
  });
}
