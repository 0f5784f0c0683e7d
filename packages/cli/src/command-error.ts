/** A failure that is told to the person at the keyboard: one sentence on stderr and an exit code, never a stack trace. */

/** 1 is any failure at run time but 7, a connection that was lost; what a broker refused exits with its return or reason code. */
export const exitCodes = { failure: 1, usage: 2, lost: 7, timeout: 27 } as const;

export class CommandError extends Error {
  override readonly name: string = 'CommandError';
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The broker is not there, or not any more: another try may find it. */
export class LostConnectionError extends CommandError {
  override readonly name = 'LostConnectionError';
}

/** What was asked for cannot be done, whatever the broker says: another exit code than 2 where 2 means something else. */
export class UsageError extends CommandError {}

export function usageError(sentence: string): UsageError {
  return new UsageError(`Error: ${sentence}`, exitCodes.usage);
}
