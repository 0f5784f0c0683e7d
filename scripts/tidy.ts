/**
 * The rules no compiler or linter knows: projects, layers, purity, module state, sizes, names, spec ids and their tests, machine paths.
 * `node scripts/tidy.ts` checks the repository in the working directory; `--untested` lists the normative statements
 * that no test names yet.
 */
import { checkLayers } from './tidy/layers.ts';
import { checkMachinePaths } from './tidy/machine-paths.ts';
import { checkNames } from './tidy/names.ts';
import { checkProjects } from './tidy/projects.ts';
import { checkModuleState, checkPurity } from './tidy/purity.ts';
import { checkSizes } from './tidy/sizes.ts';
import { type Problem, readSourceTree, type SourceTree } from './tidy/source-tree.ts';
import { checkSpecIds, untestedIds } from './tidy/spec-ids.ts';
import { checkTrace } from './tidy/trace.ts';

const RULES = [
  checkProjects,
  checkLayers,
  checkPurity,
  checkModuleState,
  checkSizes,
  checkNames,
  checkSpecIds,
  checkTrace,
  checkMachinePaths,
];

/** Everything that is wrong in a tree, in the order of the files. */
function tidy(tree: SourceTree): Problem[] {
  return RULES.flatMap((rule) => rule(tree)).sort((a, b) =>
    a.path < b.path ? -1 : a.path > b.path ? 1 : a.line - b.line,
  );
}

async function main(): Promise<void> {
  const tree = await readSourceTree(process.cwd());
  if (process.argv.includes('--untested')) {
    for (const id of untestedIds(tree)) console.log(id);
    return;
  }
  const problems = tidy(tree);
  for (const { path, line, rule, message } of problems)
    console.log(`${path}${line ? `:${line}` : ''} ${rule}: ${message}`);
  console.log(`Read ${tree.texts.size} files, ${tree.sources.length} of them TypeScript.`);
  if (tree.sources.length === 0) console.log('No TypeScript file was read: this cannot be the repository.');
  process.exitCode = problems.length > 0 || tree.sources.length === 0 ? 1 : 0;
}

await main();
