/**
 * What the pinned compiler knows about the repository: the syntax tree of a file, and which files a project reads. Its
 * API is marked unstable; this file is all that touches it, so a new compiler version is felt here and nowhere else.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import type { SourceFile } from 'typescript/unstable/ast';
import { API } from 'typescript/unstable/async';

/** The project that names all others that `npm run check` builds. */
export const CHECKED_PROJECT = 'tsconfig.check.json';

/** Paths from the root: `files` are read by some checked project, `pure` by a `tsconfig.pure.json` among those. */
export interface ProjectFiles {
  readonly files: ReadonlySet<string>;
  readonly pure: ReadonlySet<string>;
}

/** The syntax trees of `paths`, in their order, by a project that exists in memory only and resolves nothing. */
export async function parseFiles(root: string, paths: readonly string[]): Promise<SourceFile[]> {
  if (paths.length === 0) return [];
  const config = join(root, 'tsconfig.in-memory.json');
  const content = JSON.stringify({
    compilerOptions: { noLib: true, noResolve: true, types: [], noEmit: true, allowImportingTsExtensions: true },
    files: paths,
  });
  const api = new API({ cwd: root, fs: { readFile: (name) => (name === config ? content : undefined) } });
  try {
    const snapshot = await api.updateSnapshot({ openProjects: [config] });
    const program = snapshot.getProject(config)?.program;
    const trees = await Promise.all(paths.map((path) => program?.getSourceFile(join(root, path))));
    return trees.map((tree, i) => {
      if (tree === undefined) throw new Error(`the compiler does not return ${paths[i]}`);
      return tree;
    });
  } finally {
    await api.close();
  }
}

/** Which files the projects read that are reachable from CHECKED_PROJECT. */
export async function readProjects(root: string): Promise<ProjectFiles> {
  const files = new Set<string>();
  const pure = new Set<string>();
  const api = new API({ cwd: root });
  try {
    for (const config of reachableConfigs(root, CHECKED_PROJECT, new Set())) {
      const { fileNames } = await api.parseConfigFile(join(root, config));
      for (const path of fileNames.map((name) => relative(root, name))) {
        files.add(path);
        if (basename(config) === 'tsconfig.pure.json') pure.add(path);
      }
    }
  } finally {
    await api.close();
  }
  return { files, pure };
}

function reachableConfigs(root: string, config: string, seen: Set<string>): Set<string> {
  if (seen.has(config) || !existsSync(join(root, config))) return seen;
  seen.add(config);
  const text = readFileSync(join(root, config), 'utf8');
  const { references = [] } = JSON.parse(text) as { references?: { path: string }[] };
  for (const { path } of references) {
    const target = join(dirname(config), path);
    reachableConfigs(root, target.endsWith('.json') ? target : join(target, 'tsconfig.json'), seen);
  }
  return seen;
}
