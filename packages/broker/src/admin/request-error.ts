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
