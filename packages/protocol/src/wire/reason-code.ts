/** Reason codes as one object and as a type, and the way back to the six CONNACK return codes of 3.1 and 3.1.1. */
import * as codes from './reason-codes.ts';

/** For whoever wants to list them or hand them on; where only some are used, the constants of reason-codes.ts are smaller. */
export const ReasonCode: Readonly<typeof codes> = Object.freeze({ ...codes });
export type ReasonCode = (typeof codes)[keyof typeof codes];

/**
 * The CONNACK return code of 3.1 and 3.1.1 for a 5.0 reason code; undefined when none fits: then the connection is
 * closed without a CONNACK.
 */
export function connackReturnCode(code: ReasonCode): 0 | 1 | 2 | 3 | 4 | 5 | undefined {
  switch (code) {
    case codes.Success:
      return 0;
    case codes.UnsupportedProtocolVersion:
      return 1;
    case codes.ClientIdentifierNotValid:
      return 2;
    case codes.ServerUnavailable:
    case codes.ServerBusy:
      return 3;
    case codes.BadUserNameOrPassword:
      return 4;
    case codes.NotAuthorized:
    case codes.Banned:
    case codes.BadAuthenticationMethod:
      return 5;
    default:
      return undefined;
  }
}
