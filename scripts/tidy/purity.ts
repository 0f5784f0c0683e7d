/**
 * What the compiler and the linter cannot refuse: randomness, clocks and asynchrony in pure folders, and state that
 * lives in a module instead of an object, anywhere in shipped code.
 */
import { type Node, NodeFlags, SyntaxKind } from 'typescript/unstable/ast';
import { isPropertyAccessExpression, isVariableStatement } from 'typescript/unstable/ast/is';
import { isPure } from './layers.ts';
import { lineOf, type Problem, type Source, type SourceTree, walk } from './source-tree.ts';

const BANNED_CALLS: Readonly<Record<string, string>> = {
  'Math.random': 'randomness comes in as an argument',
  'Date.now': 'the time comes in as `now`',
};

export function checkPurity(tree: SourceTree): Problem[] {
  return tree.sources.filter(isPure).flatMap((source) => {
    const problems: Problem[] = [];
    walk(source, (node) => {
      const message = impurity(source, node);
      if (message !== undefined)
        problems.push({ path: source.path, line: lineOf(source, node), rule: 'purity', message });
    });
    return problems;
  });
}

function impurity(source: Source, node: Node): string | undefined {
  if (node.kind === SyntaxKind.AsyncKeyword || node.kind === SyntaxKind.AwaitExpression) {
    return 'a pure folder is synchronous: no async, no await';
  }
  if (!isPropertyAccessExpression(node)) return undefined;
  const name = node.getText(source.tree).replace(/\s/g, '');
  return name in BANNED_CALLS ? `${name} is banned in a pure folder: ${BANNED_CALLS[name]}` : undefined;
}

export function checkModuleState(tree: SourceTree): Problem[] {
  const message = 'module-level `let` is state nobody owns: make it a constant, or a field of what it belongs to';
  return tree.sources
    .filter((source) => source.shipped)
    .flatMap((source) =>
      source.tree.statements
        .filter((node) => isVariableStatement(node) && (node.declarationList.flags & NodeFlags.Const) === 0)
        .map((node) => ({ path: source.path, line: lineOf(source, node), rule: 'module-state', message })),
    );
}
