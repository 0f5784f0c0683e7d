/**
 * The command lines of mosquitto_pub, mosquitto_sub and mosquitto_rr in the form that the options here are declared in:
 * their long names, and `-D` with its several values. Values of other options stay as they are, whatever they look like.
 */

import type { Option } from 'commander';
import { partCount, partSeparator } from './property-options.ts';

const names: Readonly<Record<string, string>> = {
  '--pw': '--password',
  '--keepalive': '--keep-alive',
  '--disable-clean-session': '--no-clean',
  '--stdin-line': '--lines',
  '--stdin-file': '--stdin',
};

/** `options`: those of the command the arguments are for. */
export function plainArguments(args: readonly string[], options: readonly Option[]): string[] {
  const plain: string[] = [];
  const has = (name: string): boolean => options.some(({ short, long }) => short === name || long === name);
  const hasProperties = has('--property');
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    const meant = names[arg] ?? arg;
    const name = has(meant) ? meant : arg;
    plain.push(name);
    if (hasProperties && (name === '-D' || name === '--property')) {
      const count = partCount(args[i + 2]);
      if (i + 1 < args.length) plain.push(args.slice(i + 1, i + 1 + count).join(partSeparator));
      i += count;
    } else if (
      i + 1 < args.length &&
      options.some((option) => option.required && (option.short === name || option.long === name))
    ) {
      plain.push(args[++i] as string);
    }
  }
  return plain;
}
