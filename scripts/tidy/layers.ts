/**
 * Who may import whom. The table below is the layer diagram of ARCHITECTURE.md; a folder that is not in it fails until
 * somebody has decided where it belongs. Tests are free within their package; nothing reaches into another package
 * except through the package's name.
 */
import { posix } from 'node:path';
import { type Node, SyntaxKind } from 'typescript/unstable/ast';
import {
  isCallExpression,
  isExportDeclaration,
  isImportDeclaration,
  isImportTypeNode,
  isLiteralTypeNode,
} from 'typescript/unstable/ast/is';
import { lineOf, type Problem, type Source, type SourceTree, walk } from './source-tree.ts';

interface Layer {
  /** Layers of the same package and names of other packages. A layer may always import itself. */
  readonly imports: readonly string[];
  /** No clock, randomness, promise, socket, Node module or third-party package. */
  readonly pure?: true;
}

const WIRE = 'packages/protocol/src/wire';
const FLOW = 'packages/protocol/src/flow';
const CORE = 'packages/broker/src/core';
const STORE = 'packages/broker/src/store';
const AUTH = 'packages/broker/src/auth';
const NODE = 'packages/broker/src/node';
const ADMIN = 'packages/broker/src/admin';
const CLIENT_CORE = 'packages/client/src/core';
const CLIENT = 'packages/client/src/client';
const CLIENT_NODE = 'packages/client/src/node';
const CLIENT_EVERYWHERE = 'packages/client/src/everywhere.ts';

/** By folder or file. An index.ts listed by itself is the public face of a package with layers. */
const LAYERS: Readonly<Record<string, Layer>> = {
  [WIRE]: { imports: [], pure: true },
  [FLOW]: { imports: [WIRE], pure: true },
  'packages/protocol/src/index.ts': { imports: [WIRE, FLOW], pure: true },
  [CORE]: { imports: ['@pipit/protocol'], pure: true },
  // The store knows no packets: of the protocol it takes the handling of bytes and the length of text.
  [STORE]: { imports: ['@pipit/protocol', CORE], pure: true },
  [AUTH]: { imports: ['@pipit/protocol', CORE] },
  [NODE]: { imports: ['@pipit/protocol', CORE, STORE, AUTH] },
  [ADMIN]: { imports: ['@pipit/protocol', CORE, AUTH, NODE] },
  'packages/broker/src/index.ts': { imports: ['@pipit/protocol', CORE, STORE, AUTH, NODE, ADMIN] },
  // The constants by themselves, so that a bundle has no names of those it does not use.
  [CLIENT_CORE]: {
    imports: ['@pipit/protocol', '@pipit/protocol/packet-types', '@pipit/protocol/reason-codes'],
    pure: true,
  },
  // What runs in browsers too: promises and the web's own interfaces, nothing of Node (`tsconfig.browser.json`).
  [CLIENT]: { imports: ['@pipit/protocol', CLIENT_CORE] },
  [CLIENT_NODE]: { imports: ['@pipit/protocol', CLIENT_CORE, CLIENT] },
  [CLIENT_EVERYWHERE]: { imports: ['@pipit/protocol', CLIENT_CORE, CLIENT] },
  'packages/client/src/index.ts': { imports: [CLIENT, CLIENT_NODE, CLIENT_EVERYWHERE] },
  'packages/client/src/browser.ts': { imports: [CLIENT, CLIENT_EVERYWHERE] },
  'packages/conformance/src': { imports: ['@pipit/protocol'] },
  'packages/cli/src': { imports: ['@pipit/protocol', '@pipit/broker', '@pipit/client', '@pipit/conformance'] },
};

/** The layer that a path lies in, if any. */
function layerOf(path: string): string | undefined {
  return Object.keys(LAYERS).find((layer) => path === layer || path.startsWith(`${layer}/`));
}

function packageOf(path: string): string | undefined {
  return /^packages\/[^/]+/.exec(path)?.[0];
}

/** Whether a shipped file lies in a folder that must stay pure. */
export function isPure(source: Source): boolean {
  const layer = layerOf(source.path);
  return source.shipped && layer !== undefined && LAYERS[layer]?.pure === true;
}

/** The import rules, for every file. */
export function checkLayers(tree: SourceTree): Problem[] {
  return tree.sources.flatMap((source) => {
    const problems: Problem[] = [];
    const report = (line: number, message: string): void => {
      problems.push({ path: source.path, line, rule: 'layers', message });
    };
    const layer = source.shipped ? layerOf(source.path) : undefined;
    if (source.shipped && layer === undefined) {
      report(0, 'this file belongs to no layer; put it into one, or add the layer to scripts/tidy/layers.ts');
    }
    for (const { specifier, line } of importsOf(source)) {
      const refusal = leavesPackage(source, specifier)
        ? `${specifier} reaches into another package; import the package by its name`
        : layer && refuse(source.path, layer, specifier);
      if (refusal) report(line, refusal);
    }
    return problems;
  });
}

/** Tests may lean on what another package's tests are made of; nothing else is reached by a path. */
function leavesPackage({ path, shipped }: Source, specifier: string): boolean {
  if (!specifier.startsWith('.')) return false;
  const target = posix.join(posix.dirname(path), specifier);
  if (!shipped && /^packages\/[^/]+\/test\//.test(target)) return false;
  return packageOf(target) !== packageOf(path);
}

function refuse(path: string, layer: string, specifier: string): string | undefined {
  const { imports, pure } = LAYERS[layer] as Layer;
  const allowed = imports.length === 0 ? 'nothing else' : imports.join(', ');
  if (specifier.startsWith('.')) {
    const target = posix.join(posix.dirname(path), specifier);
    const targetLayer = layerOf(target);
    if (targetLayer === layer || (targetLayer && imports.includes(targetLayer))) return undefined;
    return `${layer} may not import ${target}; it may import itself and ${allowed}`;
  }
  if (specifier === 'pipit' || specifier.startsWith('@pipit/')) {
    return imports.includes(specifier) ? undefined : `${layer} may not import ${specifier}; allowed: ${allowed}`;
  }
  return pure ? `${layer} is pure and may not import ${specifier}` : undefined;
}

function importsOf(source: Source): { specifier: string; line: number }[] {
  const found: { specifier: string; line: number }[] = [];
  walk(source, (node) => {
    const literal = moduleSpecifier(node);
    if (literal?.kind === SyntaxKind.StringLiteral) {
      found.push({ specifier: literal.getText(source.tree).slice(1, -1), line: lineOf(source, node) });
    }
  });
  return found;
}

/** The node that names the module in any import or re-export: static, type-only, `import()`, `import('…').T`. */
function moduleSpecifier(node: Node): Node | undefined {
  if (isImportDeclaration(node) || isExportDeclaration(node)) return node.moduleSpecifier;
  if (isImportTypeNode(node)) return isLiteralTypeNode(node.argument) ? node.argument.literal : undefined;
  if (isCallExpression(node) && node.expression.kind === SyntaxKind.ImportKeyword) return node.arguments[0];
  return undefined;
}
