/** Completion for zsh, by its `_arguments`. */

import type { CompletedCommand, CompletedOption, Value } from './completed-command.ts';

export function zshScript(pipit: CompletedCommand): string {
  return `#compdef pipit
# Completion of pipit for zsh, made by 'pipit completion zsh'.
${functionsOf(pipit).join('\n')}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _pipit "$@"; else compdef _pipit pipit; fi`;
}

/** A function for the command, and one for each below it. */
function functionsOf(command: CompletedCommand): string[] {
  const body = command.commands.length > 0 ? parentBody(command) : argumentsOf(command);
  return [...command.commands.flatMap(functionsOf), `${nameOf(command)}() {\n${body}}`];
}

function nameOf({ path }: CompletedCommand): string {
  return ['_pipit', ...path].join('_');
}

function parentBody(command: CompletedCommand): string {
  const list = command.commands.map(({ path, description }) => {
    return `    ${quoted(`${path.at(-1)}:${description.replaceAll(':', '\\:')}`)}\n`;
  });
  const cases = command.commands.map((each) => `    ${each.path.at(-1)}) ${nameOf(each)} ;;\n`);
  const flags = command.options.map((option) => option.names.map((name) => quoted(name)).join(' ')).join(' ');
  return `  local -a commands=(
${list.join('')}  )
  if (( CURRENT == 2 )); then
    if [[ $PREFIX == -* ]]; then compadd -- ${flags}; else _describe command commands; fi
    return
  fi
  shift words
  (( CURRENT-- ))
  case $words[1] in
${cases.join('')}  esac
`;
}

function argumentsOf({ options, arguments: values }: CompletedCommand): string {
  const lines = options.flatMap(specificationsOf);
  const places = values.map((value) => quoted(`${value.isRepeated ? '*' : ''}:${plain(value.name)}:${action(value)}`));
  return `  _arguments -s ${[...lines, ...places].map((line) => `\\\n    ${line}`).join(' ')}\n`;
}

function specificationsOf({ names, description, value }: CompletedOption): string[] {
  const end = value === null ? '' : `:${plain(value.name)}:${action(value)}`;
  const text = `[${description.replaceAll(/[[\]\\]/g, '\\$&').replaceAll(':', '\\:')}]${end}`;
  return names.map((name) => quoted(`*${name}${text}`));
}

function action(value: Value): string {
  if (value.kind === 'file') return '_files';
  return value.kind === 'choice' ? `(${value.choices.join(' ')})` : ' ';
}

function plain(text: string): string {
  return text.replaceAll(':', ' ');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
