/**
 * The port behind the log: files in one directory, asked for by operations that are answered one by one.
 *
 * Changes to one file take effect in the order in which they were asked for; those to different files in any. A read sees at
 * least what was answered before it was asked for. A disk answers each operation exactly once, never from within the call. What
 * was appended and not synced may be lost, in whole or in parts, when the power goes. File names may have one folder in front
 * (`quarantine/…`), which is made when it is needed.
 */

export type DiskOperation =
  /** Nothing: done after about so long. */
  | { readonly kind: 'wait'; readonly ms: number }
  /** Every file of the directory, and of those of its folders that may be read. */
  | { readonly kind: 'list' }
  /** Up to `length` bytes: fewer at the end of the file. */
  | { readonly kind: 'read'; readonly file: string; readonly at: number; readonly length: number }
  /** Appends to the end; the file is made when it does not exist. What is appended must not be changed until it is answered. */
  | { readonly kind: 'append'; readonly file: string; readonly bytes: Uint8Array }
  /** Done once everything appended to the file lasts, and its name in the directory too. */
  | { readonly kind: 'sync'; readonly file: string }
  /** Done once the name is gone for good, or was not there. */
  | { readonly kind: 'remove'; readonly file: string }
  /** Done once it has the new name for good. */
  | { readonly kind: 'rename'; readonly file: string; readonly to: string };

export interface DiskFile {
  readonly name: string;
  readonly bytes: number;
}

export type DiskResult =
  | { readonly kind: 'listed'; readonly files: readonly DiskFile[] }
  /** The bytes are the log's from here on. */
  | { readonly kind: 'read'; readonly bytes: Uint8Array }
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly reason: string };

export interface Disk {
  perform(operation: DiskOperation, answer: (result: DiskResult) => void): void;
  /** Gives back whatever it holds, once all that was asked for is answered. Nothing is synced that was not asked for. */
  close(done: () => void): void;
}
