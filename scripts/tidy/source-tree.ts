/**
 * The repository as the tidy rules see it: every file's path and text, and the syntax trees of the TypeScript ones.
 * Trees come from the pinned compiler; nothing is resolved or type checked here. Paths are relative and use `/`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { type Node, type SourceFile, SyntaxKind } from 'typescript/unstable/ast';
import { API } from 'typescript/unstable/sync';

/** One TypeScript file. `shipped` is true for what is built and published: under `src`, neither test nor suite. */
export interface Source {
  readonly path: string;
  readonly text: string;
  readonly tree: SourceFile;
  readonly shipped: boolean;
}

export interface SourceTree {
  /** Absolute path of the repository. */
  readonly root: string;
  /** Every text file, TypeScript included. */
  readonly texts: ReadonlyMap<string, string>;
  readonly sources: readonly Source[];
}

/** What a rule found: where (`line` counts from 1; 0 is the file as a whole) and what to do about it. */
export interface Problem {
  readonly path: string;
  readonly line: number;
  readonly rule: string;
  readonly message: string;
}

const SKIPPED_FOLDERS = new Set(['.git', 'coverage', 'dist', 'node_modules', 'pipit-data']);
const BINARY_EXTENSIONS = new Set(['.bin', '.gif', '.ico', '.jpg', '.png', '.tsbuildinfo', '.wasm', '.woff2']);

/** Reads the repository at `root` (absolute). Throws when a TypeScript file cannot be parsed at all. */
export function readSourceTree(root: string): SourceTree {
  const texts = new Map(listFiles(root, '').map((path) => [path, readFileSync(join(root, path), 'utf8')]));
  const paths = [...texts.keys()].filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'));
  const trees = parse(root, paths);
  const sources = paths.map((path, i) => ({
    path,
    text: texts.get(path) as string,
    tree: trees[i] as SourceFile,
    shipped: /^packages\/[^/]+\/src\//.test(path) && !/\.(test|suite)\.ts$/.test(path),
  }));
  return { root, texts, sources };
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
      if (entry.isDirectory()) return SKIPPED_FOLDERS.has(entry.name) ? [] : listFiles(root, path);
      return entry.isFile() && !BINARY_EXTENSIONS.has(extname(entry.name)) ? [path] : [];
    });
}

/** Parses through a project that exists in memory only and neither resolves imports nor loads a library. */
function parse(root: string, paths: readonly string[]): SourceFile[] {
  if (paths.length === 0) return [];
  const config = join(root, 'tsconfig.tidy-in-memory.json');
  const content = JSON.stringify({
    compilerOptions: { noLib: true, noResolve: true, types: [], noEmit: true, allowImportingTsExtensions: true },
    files: paths,
  });
  const api = new API({ cwd: root, fs: { readFile: (name) => (name === config ? content : undefined) } });
  try {
    const project = api.updateSnapshot({ openProjects: [config] }).getProject(config);
    return paths.map((path) => {
      const tree = project?.program.getSourceFile(join(root, path));
      if (tree === undefined) throw new Error(`the compiler does not return ${path}`);
      return tree;
    });
  } finally {
    api.close();
  }
}
