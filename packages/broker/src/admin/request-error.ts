/** A request that cannot be answered as asked: its status and a sentence for who asked. */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly statusCode: number;

  constructor(statusCode: number, message: string) {
    super(message);
    this.statusCode = statusCode;
  }
}

export function notFound(what: string): RequestError {
  return new RequestError(404, `${what} is not there.`);
}

/** How long the disk may take. */
const lastingMsMax = 30_000;

/** What was done and is to last: rejects with a RequestError (503) when that takes too long. It is not undone then. */
export async function lasting<Value>(done: Promise<Value>): Promise<Value> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const error = new RequestError(503, 'It is done, and not on the disk yet: the store fails, or is slow.');
  const timer = setTimeout(() => reject(error), lastingMsMax);
  try {
    return await Promise.race([done, late]);
  } finally {
    clearTimeout(timer);
  }
}
