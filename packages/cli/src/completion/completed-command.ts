/** What the scripts of `pipit completion` need to know of the commands. */

import type { Argument, Command, Option } from 'commander';

/** What may stand for a value: one of a list, the name of a file, or something that cannot be guessed. */
export type Value =
  | { readonly kind: 'choice'; readonly choices: readonly string[] }
  | { readonly kind: 'file' | 'any' };

export interface CompletedOption {
  /** `-t` and `--topic`, or one of them. */
  readonly names: readonly string[];
  readonly description: string;
  /** What the value is called; null: it takes none. */
  readonly value: (Value & { readonly name: string }) | null;
}

export interface CompletedCommand {
  /** The words that call it, without `pipit`; none for `pipit` itself. */
  readonly path: readonly string[];
  readonly description: string;
  readonly options: readonly CompletedOption[];
  readonly arguments: readonly (Value & { readonly name: string; readonly isRepeated: boolean })[];
  readonly commands: readonly CompletedCommand[];
}

const help: CompletedOption = { names: ['--help'], description: 'print this help', value: null };
const fileNames = ['file', 'folder', 'path', 'directory'];

/** `pipit` itself. */
export function completedCommands(command: Command, path: readonly string[] = []): CompletedCommand {
  return {
    path,
    description: command.description(),
    options: [...command.options.filter(({ hidden }) => !hidden).map(optionOf), help],
    arguments: command.registeredArguments.map((argument) => ({
      ...possible(argument, argument.name()),
      name: argument.name(),
      isRepeated: argument.variadic,
    })),
    commands: command.commands.map((each) => completedCommands(each, [...path, each.name()])),
  };
}

function optionOf(option: Option): CompletedOption {
  const names = [option.short, option.long].filter((name) => name !== undefined);
  const name = /<(.*)>/.exec(option.flags)?.[1];
  const value = option.required && name !== undefined ? { ...possible(option, name), name } : null;
  return { names, description: option.description, value };
}

function possible({ argChoices }: Argument | Option, name: string): Value {
  if (argChoices !== undefined) return { kind: 'choice', choices: argChoices };
  return fileNames.includes(name) ? { kind: 'file' } : { kind: 'any' };
}
