/** Why a listener could not be opened: one sentence for the person who configured it, never a stack trace. */
export class ListenError extends Error {
  override readonly name = 'ListenError';
}

const sentences: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is already in use',
  EACCES: 'may not be opened by this user',
  EADDRNOTAVAIL: 'is not an address of this machine',
  ENOTFOUND: 'is not a known host',
  EAI_AGAIN: 'could not be looked up',
  ENOENT: 'lies in a folder that does not exist',
  ENAMETOOLONG: 'is too long for a socket',
  ERR_SOCKET_BAD_PORT: 'is not a port: it has to be 0 to 65535',
};

/** `what` is an address or a path as it was configured. */
export function listenError(what: string, error: { code?: string; message?: string }): ListenError {
  const sentence = sentences[error.code ?? ''] ?? `cannot be opened: ${error.message}`;
  return new ListenError(`${what} ${sentence}.`, { cause: error });
}
