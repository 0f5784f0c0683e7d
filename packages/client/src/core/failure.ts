/** Why a call of the client did not succeed: the one error class it rejects with. */
import { reasonCodeName, type UserProperty } from '@pipit/protocol';

/**
 * - `refused`: the server said no, and `reasonCode` says why.
 * - `not-allowed`: what was asked for is not legal MQTT, or not what the server of this connection takes; nothing was sent.
 * - `aborted`, `timed-out`: by the caller's signal or deadline. A message already sent may still arrive.
 * - `connection`: the connection was lost, and what was asked is not repeated by itself.
 * - `session-lost`: a QoS 2 message was on its way when the server forgot the session: it arrived or it did not.
 * - `set-aside`: the server ended the connection again and again over this message.
 * - `outbox-full`: there is no room to keep it until it can be sent.
 * - `ended`: the client was ended, or gave up, first.
 */
export type FailureKind =
  | 'refused'
  | 'not-allowed'
  | 'aborted'
  | 'timed-out'
  | 'connection'
  | 'session-lost'
  | 'set-aside'
  | 'outbox-full'
  | 'ended';

export class MqttError extends Error {
  override readonly name = 'MqttError';
  readonly kind: FailureKind;
  /** What the server gave as its reason, or what fits best of MQTT's codes; null when none does. */
  readonly reasonCode: number | null;
  readonly userProperties: readonly UserProperty[];

  constructor(
    kind: FailureKind,
    message: string,
    reasonCode: number | null = null,
    userProperties: readonly UserProperty[] = [],
  ) {
    super(message);
    this.kind = kind;
    this.reasonCode = reasonCode;
    this.userProperties = userProperties;
  }
}

/** What was asked for may not be sent; `reasonCode` is what a server would answer. */
export function notAllowed(problem: string, reasonCode: number | null = null): MqttError {
  return new MqttError('not-allowed', problem, reasonCode);
}

/** The value, if it is an integer within the bounds. Throws MqttError. */
export function checkedInteger(
  value: number,
  min: number,
  max: number,
  field: string,
  reasonCode: number | null = null,
): number {
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw notAllowed(`${field} must be an integer from ${min} to ${max}, not ${value}`, reasonCode);
}

/** The server's refusal of `what`, in its own words if it has any. */
export function refusal(
  what: string,
  reasonCode: number,
  properties: { readonly reasonString?: string; readonly userProperties?: readonly UserProperty[] } = {},
): MqttError {
  const { reasonString, userProperties } = properties;
  const words = reasonString === undefined ? '' : `: ${reasonString}`;
  return new MqttError(
    'refused',
    `${what} was refused: ${reasonCodeName(reasonCode)}${words}`,
    reasonCode,
    userProperties,
  );
}
