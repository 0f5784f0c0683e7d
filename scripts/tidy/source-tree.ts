/**
 * The repository as the tidy rules see it: every file's path and text, the syntax trees of the TypeScript ones, and
 * which of those the compiler's projects read. Rules see nothing else. Paths are relative and use `/`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { type Node, type SourceFile, SyntaxKind } from 'typescript/unstable/ast';
import { type ProjectFiles, parseFiles, readProjects } from './compiler.ts';

/** One TypeScript file. `shipped` is true for what is built and published: under `src`, neither test nor suite. */
export interface Source {
  readonly path: string;
  readonly text: string;
  readonly tree: SourceFile;
  readonly shipped: boolean;
}

export interface SourceTree {
  /** Every text file, TypeScript included. */
  readonly texts: ReadonlyMap<string, string>;
  readonly sources: readonly Source[];
  readonly projects: ProjectFiles;
}

/** What a rule found: where (`line` counts from 1; 0 is the file as a whole) and what to do about it. */
export interface Problem {
  readonly path: string;
  readonly line: number;
  readonly rule: string;
  readonly message: string;
}

/** `.git` is a file in a worktree. */
const SKIPPED = new Set(['.git', 'coverage', 'dist', 'node_modules', 'pipit-data']);
const BINARY_EXTENSIONS = new Set(['.bin', '.gif', '.ico', '.jpg', '.png', '.tsbuildinfo', '.wasm', '.woff2']);

/** Reads the repository at `root` (absolute). Throws when a TypeScript file cannot be parsed at all. */
export async function readSourceTree(root: string): Promise<SourceTree> {
  const texts = new Map(listFiles(root, '').map((path) => [path, readFileSync(join(root, path), 'utf8')]));
  const paths = [...texts.keys()].filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'));
  const [trees, projects] = await Promise.all([parseFiles(root, paths), readProjects(root)]);
  const sources = paths.map((path, i) => ({
    path,
    text: texts.get(path) as string,
    tree: trees[i] as SourceFile,
    shipped: /^packages\/[^/]+\/src\//.test(path) && !/\.(test|suite)\.ts$/.test(path),
  }));
  return { texts, sources, projects };
}

/** The line (from 1) on which `node` starts, its comments left out. */
export function lineOf(source: Source, node: Node): number {
  return lineAt(source.text, node.getStart(source.tree));
}

/** The line (from 1) of a position in a text. */
export function lineAt(text: string, position: number): number {
  let line = 1;
  for (let i = text.indexOf('\n'); i !== -1 && i < position; i = text.indexOf('\n', i + 1)) line++;
  return line;
}

/** Calls `visit` for every node of a file, parents before children. */
export function walk(source: Source, visit: (node: Node, parents: readonly Node[]) => void): void {
  const parents: Node[] = [];
  const step = (node: Node): void => {
    if (node.kind !== SyntaxKind.SourceFile) visit(node, parents);
    parents.push(node);
    node.forEachChild(step);
    parents.pop();
  };
  step(source.tree);
}

function listFiles(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (SKIPPED.has(entry.name)) return [];
      if (entry.isDirectory()) return listFiles(root, path);
      return entry.isFile() && !BINARY_EXTENSIONS.has(extname(entry.name)) ? [path] : [];
    });
}
