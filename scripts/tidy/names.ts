/** Names that say nothing, of files and of declared types. Everything else about names is the linter's. */
import { isClassDeclaration, isInterfaceDeclaration, isTypeAliasDeclaration } from 'typescript/unstable/ast/is';
import { lineOf, type Problem, type SourceTree } from './source-tree.ts';

const EMPTY_WORDS = new Set(['common', 'helper', 'helpers', 'impl', 'manager', 'misc', 'util', 'utils']);
const EMPTY_TYPE_NAME = /(Helpers?|Impl|Manager|Utils?)$/;

export function checkNames(tree: SourceTree): Problem[] {
  return tree.sources.flatMap((source) => {
    const problems: Problem[] = [];
    const report = (line: number, name: string): void => {
      problems.push({
        path: source.path,
        line,
        rule: 'names',
        message: `"${name}" says nothing: name it after what it holds`,
      });
    };
    for (const part of source.path.split('/')) {
      const name = part.replace(/\..*$/, '');
      if (name === 'types' || name.split('-').some((word) => EMPTY_WORDS.has(word))) report(0, part);
    }
    for (const node of source.tree.statements) {
      if (!isClassDeclaration(node) && !isInterfaceDeclaration(node) && !isTypeAliasDeclaration(node)) continue;
      const name = node.name?.getText(source.tree) ?? '';
      if (EMPTY_TYPE_NAME.test(name)) report(lineOf(source, node), name);
    }
    return problems;
  });
}
