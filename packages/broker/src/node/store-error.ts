/** Why a store could not be opened: one sentence for the person who runs the broker, never a stack trace. */
export class StoreError extends Error {
  override readonly name: string = 'StoreError';
}

const sentences: Readonly<Record<string, string>> = {
  EACCES: 'this user may not write there',
  EPERM: 'this user may not write there',
  EROFS: 'the file system is read-only',
  ENOTDIR: 'a part of the path is not a directory',
  EEXIST: 'there is a file of that name',
  ENOENT: 'a part of the path does not exist and cannot be made',
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
};

/** `error` is what the file system said about the directory. */
export function storeError(directory: string, error: NodeJS.ErrnoException): StoreError {
  const sentence = sentences[error.code ?? ''] ?? error.message;
  return new StoreError(`The store in ${directory} cannot be opened: ${sentence}.`, { cause: error });
}
