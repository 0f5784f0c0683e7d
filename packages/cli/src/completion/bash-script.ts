/** Completion for bash. */

import type { CompletedCommand, CompletedOption, Value } from './completed-command.ts';

export function bashScript(pipit: CompletedCommand): string {
  return `# Completion of pipit for bash, made by 'pipit completion bash'.
_pipit() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
  local command=\${COMP_WORDS[1]}
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then command=
  else case $command in
${nested(pipit)}  esac fi
  case "$command $prev" in
${commandsOf(pipit).flatMap(valueLines).join('')}  esac
  case $command in
${commandsOf(pipit).map(wordsLine).join('')}  esac
}
complete -o bashdefault -o default -F _pipit pipit`;
}

/** The command itself, and all below it. */
function commandsOf(command: CompletedCommand): CompletedCommand[] {
  return [command, ...command.commands.flatMap(commandsOf)];
}

/** Commands that have commands: the second word may belong to the name. */
function nested({ commands }: CompletedCommand): string {
  const parents = commands.filter(({ commands: below }) => below.length > 0);
  return parents
    .map(({ path, commands: below }) => {
      const names = below.map((each) => each.path.at(-1)).join('|');
      const word = '${COMP_WORDS[2]}';
      return `    ${path.join(' ')}) ((COMP_CWORD > 2)) && case ${word} in ${names}) command+=" ${word}" ;; esac ;;\n`;
    })
    .join('');
}

/** What completes the value of an option: nothing where it cannot be guessed, files by bash itself, choices. */
function valueLines({ path, options }: CompletedCommand): string[] {
  const of = (kind: Value['kind']): CompletedOption[] => options.filter(({ value }) => value?.kind === kind);
  const line = (some: readonly CompletedOption[], reply: string): string[] =>
    some.length === 0 ? [] : [`    ${some.map((option) => patterns(path, option)).join('|')}) ${reply}return ;;\n`];
  return [
    ...line(of('any'), 'compopt +o default +o bashdefault 2>/dev/null; '),
    ...line(of('file'), ''),
    ...of('choice').flatMap((option) => {
      const choices = option.value?.kind === 'choice' ? option.value.choices : [];
      return line([option], `COMPREPLY=($(compgen -W ${quoted(choices.join(' '))} -- "$cur")); `);
    }),
  ];
}

function patterns(path: readonly string[], { names }: CompletedOption): string {
  return names.map((name) => quoted(`${path.join(' ')} ${name}`)).join('|');
}

function wordsLine({ path, options, arguments: values, commands }: CompletedCommand): string {
  const flags = options.flatMap(({ names }) => names);
  const choices = values.flatMap((value) => (value.kind === 'choice' ? value.choices : []));
  const words = [...commands.map((each) => each.path.at(-1)), ...choices];
  const lists = words.length === 0 ? '' : `else COMPREPLY=($(compgen -W ${quoted(words.join(' '))} -- "$cur")); `;
  const only = `if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W ${quoted(flags.join(' '))} -- "$cur")); ${lists}fi`;
  return `    ${quoted(path.join(' '))}) ${only} ;;\n`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
