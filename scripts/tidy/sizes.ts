/**
 * The size ratchet: 500 lines a file, 70 a function. What must be longer has an entry with a reason in `tidy.json`,
 * which is itself a limit, and which has to go once it is no longer needed. Callbacks of `describe` only group.
 */
import type { FunctionLikeDeclaration, Node } from 'typescript/unstable/ast';
import {
  isCallExpression,
  isConstructorDeclaration,
  isFunctionLikeDeclaration,
  isPropertyDeclaration,
  isVariableDeclaration,
} from 'typescript/unstable/ast/is';
import { lineAt, lineOf, type Problem, type Source, type SourceTree, walk } from './source-tree.ts';

const FILE_LINES_MAX = 500;
const FUNCTION_LINES_MAX = 70;
const GROUPING_CALLS = new Set(['describe', 'suite']);

/** What is allowed to be longer: `path` or `path#function` → its own limit and the reason. */
interface SizeException {
  readonly lines: number;
  readonly why: string;
}

interface Measured {
  readonly path: string;
  readonly line: number;
  /** `path`, or `path#function` */
  readonly key: string;
  readonly lines: number;
  readonly linesMax: number;
}

export function checkSizes(tree: SourceTree): Problem[] {
  const exceptions = JSON.parse(tree.texts.get('tidy.json') ?? '{}') as Record<string, SizeException>;
  const needed = new Set<string>();
  const problems: Problem[] = [];
  const report = (path: string, line: number, message: string): void => {
    problems.push({ path, line, rule: 'size', message });
  };
  for (const { path, line, key, lines, linesMax } of tree.sources.flatMap(measure)) {
    if (lines <= linesMax) continue;
    needed.add(key);
    const limit = exceptions[key]?.lines ?? linesMax;
    if (lines > limit) report(path, line, `${key} has ${lines} lines, the limit is ${limit}: is a concept missing?`);
  }
  for (const [key, { why }] of Object.entries(exceptions)) {
    if (!needed.has(key)) report('tidy.json', 0, `${key} is no longer too long, or gone: remove its entry`);
    else if (!why?.trim()) report('tidy.json', 0, `${key} needs a reason ("why")`);
  }
  return problems;
}

function measure(source: Source): Measured[] {
  const { path } = source;
  const lines = source.text.trimEnd().split('\n').length;
  const found: Measured[] = [{ path, line: 0, key: path, lines, linesMax: FILE_LINES_MAX }];
  walk(source, (node, parents) => {
    const parent = parents.at(-1);
    if (!isFunctionLikeDeclaration(node) || isGrouping(source, parent)) return;
    const line = lineOf(source, node);
    const key = `${path}#${nameOf(source, node, parent)}`;
    found.push({ path, line, key, lines: lineAt(source.text, node.end) - line + 1, linesMax: FUNCTION_LINES_MAX });
  });
  return found;
}

function isGrouping(source: Source, parent: Node | undefined): boolean {
  return parent !== undefined && isCallExpression(parent) && GROUPING_CALLS.has(parent.expression.getText(source.tree));
}

/** The function's own name, else that of the variable or property that holds it, else where it stands. */
function nameOf(source: Source, node: FunctionLikeDeclaration, parent: Node | undefined): string {
  if (isConstructorDeclaration(node)) return 'constructor';
  const own = 'name' in node ? node.name : undefined;
  const isHeld = parent !== undefined && (isVariableDeclaration(parent) || isPropertyDeclaration(parent));
  const name = own ?? (isHeld ? parent.name : undefined);
  if (name !== undefined) return name.getText(source.tree);
  if (parent !== undefined && isCallExpression(parent)) return `callback of ${parent.expression.getText(source.tree)}`;
  return 'anonymous';
}
