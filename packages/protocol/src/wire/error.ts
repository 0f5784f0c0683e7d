/** The two ways the codec says no. Both carry the 5.0 reason code that fits best, whatever the version. */
import type { ReasonCode } from './reason-code.ts';

/** The bytes are not a legal packet. `offset` counts from its first byte. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
  readonly reasonCode: ReasonCode;
  readonly offset: number;

  constructor(reasonCode: ReasonCode, message: string, offset: number) {
    super(message);
    this.reasonCode = reasonCode;
    this.offset = offset;
  }
}

/** The packet asked for is not legal: nothing was written. */
export class EncodeError extends Error {
  override readonly name = 'EncodeError';
  readonly reasonCode: ReasonCode;

  constructor(reasonCode: ReasonCode, message: string) {
    super(message);
    this.reasonCode = reasonCode;
  }
}
