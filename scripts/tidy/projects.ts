/**
 * That the compiler is asked about everything: each TypeScript file must be read by a project that `npm run check`
 * builds, and each shipped file of a pure layer by a `tsconfig.pure.json`, where nothing impure has a type.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { API } from 'typescript/unstable/sync';
import { isPure } from './layers.ts';
import type { Problem, SourceTree } from './source-tree.ts';

const BUILT_BY_CHECK = 'tsconfig.check.json';

/** The files that the projects built by `npm run check` read, and those of them that a pure project reads. */
export function readProjects(root: string): { files: Set<string>; pure: Set<string> } {
  const api = new API({ cwd: root });
  const files = new Set<string>();
  const pure = new Set<string>();
  try {
    for (const config of referencedConfigs(root, BUILT_BY_CHECK, new Set())) {
      for (const name of api.parseConfigFile(join(root, config)).fileNames) {
        files.add(relative(root, name));
        if (basename(config) === 'tsconfig.pure.json') pure.add(relative(root, name));
      }
    }
  } finally {
    api.close();
  }
  return { files, pure };
}

function referencedConfigs(root: string, config: string, seen: Set<string>): Set<string> {
  if (seen.has(config) || !existsSync(join(root, config))) return seen;
  seen.add(config);
  const { references = [] } = JSON.parse(readFileSync(join(root, config), 'utf8')) as {
    references?: { path: string }[];
  };
  for (const { path } of references) {
    const target = join(dirname(config), path);
    referencedConfigs(root, target.endsWith('.json') ? target : join(target, 'tsconfig.json'), seen);
  }
  return seen;
}

export function checkProjects(tree: SourceTree): Problem[] {
  const { files, pure } = readProjects(tree.root);
  return tree.sources.flatMap((source) => {
    const { path } = source;
    const missing = !files.has(path)
      ? 'any project'
      : isPure(source) && !pure.has(path)
        ? 'a tsconfig.pure.json'
        : undefined;
    const message = `not in ${missing} that ${BUILT_BY_CHECK} refers to, so the compiler does not check it`;
    return missing === undefined ? [] : [{ path, line: 0, rule: 'projects', message }];
  });
}
