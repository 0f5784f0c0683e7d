/** `pipit completion`: a script that completes commands, options and their values, made from what the commands declare. */

import type { Command } from 'commander';
import { print } from '../store-print.ts';
import { bashScript } from './bash-script.ts';
import { completedCommands } from './completed-command.ts';
import type { Shell } from './completion-options.ts';
import { zshScript } from './zsh-script.ts';

/** `pipit`: with all its commands and their options. Resolves to 0. */
export async function completionCommand(shell: Shell, pipit: Command): Promise<number> {
  const commands = completedCommands(pipit);
  await print([shell === 'bash' ? bashScript(commands) : zshScript(commands)]);
  return 0;
}
