/** How a role says that a connection must end: thrown while handling a packet, caught where packets are read. */

import { ReasonCode } from '@pipit/protocol';

/** The peer did what the standard or this connection's terms forbid: the connection ends with this reason code. */
export class Violation extends Error {
  override readonly name = 'Violation';
  readonly reasonCode: number;

  constructor(reasonCode: number, message: string) {
    super(message);
    this.reasonCode = reasonCode;
  }
}

/** More User Properties than anybody needs are work for whoever gets them: refused where they come in. */
export function limitUserProperties(count: number, max: number): void {
  if (count > max) throw new Violation(ReasonCode.QuotaExceeded, `more than ${max} User Properties in one packet`);
}
