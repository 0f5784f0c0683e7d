/** A failure that is told to the person at the keyboard: one sentence on stderr and an exit code, never a stack trace. */

/** 1 is any failure at run time; what a broker refused exits with its return or reason code. */
export const exitCodes = { failure: 1, usage: 2, timeout: 27 } as const;

export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

export function usageError(sentence: string): CommandError {
  return new CommandError(`Error: ${sentence}`, exitCodes.usage);
}
