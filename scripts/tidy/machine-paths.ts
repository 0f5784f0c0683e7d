/** Nothing in the repository names the machine it was written on: no path of it, no registry it installed from. */
import { lineAt, type Problem, type SourceTree } from './source-tree.ts';

const ELSEWHERE = /(?:^|[\s"'`(=:])(?:file:\/\/)?(\/(?:work|farm|root|Users)\/[^\s"'`)]*)/gm;
const RESOLVED = /"resolved": "(https?:[^"]*)"/g;

export function checkMachinePaths(tree: SourceTree): Problem[] {
  return [...tree.texts].flatMap(([path, text]) =>
    [...text.matchAll(path === 'package-lock.json' ? RESOLVED : ELSEWHERE)].map((match) => ({
      path,
      line: lineAt(text, match.index + match[0].indexOf(match[1] as string)),
      rule: 'machine-paths',
      message: `${match[1]} exists on one machine only`,
    })),
  );
}
