/** How a role says that a connection must end: thrown while handling a packet, caught where packets are read. */

/** The peer did what the standard or this connection's terms forbid: the connection ends with this reason code. */
export class Violation extends Error {
  override readonly name = 'Violation';
  readonly reasonCode: number;

  constructor(reasonCode: number, message: string) {
    super(message);
    this.reasonCode = reasonCode;
  }
}
