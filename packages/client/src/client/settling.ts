/** Runs a callback of the application, which may take its time. */

/**
 * Calls `done` when the callback has returned, or what it returned is a promise and has resolved; else `failed` with what it
 * threw. What a callback returns besides is not looked at: `(message) => list.push(message)` is a handler.
 */
export function settle(run: () => unknown, failed: (error: unknown) => void, done?: () => void): void {
  let outcome: unknown;
  try {
    outcome = run();
  } catch (error) {
    return failed(error);
  }
  if (isThenable(outcome)) outcome.then(done, failed);
  else done?.();
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
