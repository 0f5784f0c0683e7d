/**
 * Mosquitto's acl_file, as rules.
 *
 *     topic [read|write|readwrite|deny] FILTER      of the user named before it; before any: of who gave no name
 *     user NAME
 *     pattern [read|write|readwrite|deny] FILTER    of everybody; %c is the client id, %u the name
 *
 * As there, what is denied comes before what is allowed, whatever the order of the lines, and any filter may be asked for: reading is
 * checked message by message.
 */

import { topicFilterProblem } from '@pipit/protocol';
import type { Rule } from '../core/index.ts';

/** What is wrong with an acl_file: one sentence a line, each beginning with its number. */
export class AclFileError extends Error {
  override readonly name = 'AclFileError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

const actions: Readonly<Record<string, 'publish' | 'subscribe' | 'all'>> = {
  read: 'subscribe',
  write: 'publish',
  readwrite: 'all',
  deny: 'all',
};

export interface AclRule extends Rule {
  /** Where it stands, from 1; 0: it is so in any such file. */
  readonly line: number;
}

/** Throws AclFileError. */
export function parseAcl(text: string): AclRule[] {
  const denials: AclRule[] = [];
  const grants: AclRule[] = [];
  const problems: string[] = [];
  let user = '';
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    const [, word = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(line) ?? [];
    try {
      if (word === 'user') user = named(rest);
      else {
        const rule = { ...ruleOf(word, rest, user), line: index + 1 };
        (rule.effect === 'deny' ? denials : grants).push(rule);
      }
    } catch (error) {
      problems.push(`line ${index + 1} ${(error as Error).message}`);
    }
  }
  if (problems.length > 0) throw new AclFileError(problems);
  return [...anyRequest, ...denials, ...grants];
}

/** `#` does not cover what begins with `$`. */
const anyRequest: readonly AclRule[] = [
  { effect: 'allow', action: 'request', filter: '#', line: 0 },
  { effect: 'allow', action: 'request', filter: '$SYS/#', line: 0 },
];

function named(rest: string): string {
  if (rest === '') throw new Error('names no user');
  return rest;
}

function ruleOf(word: string, rest: string, user: string): Rule {
  if (word !== 'topic' && word !== 'pattern')
    throw new Error(`begins with '${word}', which is not user, topic or pattern`);
  const [, access, after] = /^(read|write|readwrite|deny)\s+(.+)$/.exec(rest) ?? [];
  // Without one of these words a filter has no spaces.
  if (access === undefined && /\s/.test(rest))
    throw new Error(`has '${rest.split(/\s/)[0]}' where read, write, readwrite or deny may stand`);
  const given = after ?? rest;
  if (given.includes('${')) throw new Error('has ${ in its filter, which would stand for a value here');
  const filter = word === 'pattern' ? given.replaceAll('%c', '${clientId}').replaceAll('%u', '${username}') : given;
  const problem = topicFilterProblem(filter.replaceAll(/\$\{\w+\}/g, 'x'), Number.POSITIVE_INFINITY);
  if (problem !== undefined) throw new Error(`has no topic filter: ${problem}`);
  const rule = {
    effect: access === 'deny' ? ('deny' as const) : ('allow' as const),
    action: actions[access ?? 'readwrite'] ?? 'all',
    filter,
  };
  return word === 'pattern' ? rule : { ...rule, users: [user] };
}
