/** The command line of `pipit completion`. */

import { Argument, type Command } from 'commander';
import type { Done, Whole } from '../commands.ts';

export const shells = ['bash', 'zsh'] as const;
export type Shell = (typeof shells)[number];

const notes = `
Examples:
  source <(pipit completion bash)                               # for this shell; in ~/.bashrc for all
  pipit completion bash >/etc/bash_completion.d/pipit           # for everybody
  source <(pipit completion zsh)                                # behind compinit, in ~/.zshrc
  pipit completion zsh >"\${fpath[1]}/_pipit"                    # or as a file of its own`;

export function define(command: Command, done: Done, whole: Whole): void {
  command
    .addArgument(new Argument('<shell>', 'which shell it is for').choices(shells))
    .addHelpText('after', notes)
    .action(async (shell: Shell) => {
      const { completionCommand } = await import('./completion.ts');
      done(await completionCommand(shell, await whole()));
    });
}
