/** Why a store could not be opened: one sentence for the person who runs the broker, never a stack trace. */
export class StoreError extends Error {
  override readonly name: string = 'StoreError';
}
