/** How a role says that a connection must end: thrown while handling a packet, caught where packets are read. */

import { ReasonCode, type UserProperty, utf8Length } from '@pipit/protocol';
import type { LimitName, Limits } from './limits.ts';

/** The peer did what the standard or this connection's terms forbid: the connection ends with this reason code. */
export class Violation extends Error {
  override readonly name = 'Violation';
  readonly reasonCode: number;
  /** The limit that was passed, if it was one. */
  readonly limit: LimitName | null;

  constructor(reasonCode: number, message: string, limit: LimitName | null = null) {
    super(message);
    this.reasonCode = reasonCode;
    this.limit = limit;
  }
}

/** More User Properties than anybody needs are work for whoever gets them: refused where they come in. */
export function limitUserProperties(limits: Limits, count: number, bytes: number): void {
  const { userPropertiesMax, userPropertyBytesMax } = limits;
  const quota = ReasonCode.QuotaExceeded;
  if (count > userPropertiesMax) {
    throw new Violation(quota, `more than ${userPropertiesMax} User Properties in one packet`, 'userPropertiesMax');
  }
  if (bytes <= userPropertyBytesMax) return;
  const reason = `more than ${userPropertyBytesMax} bytes of User Properties in one packet`;
  throw new Violation(quota, reason, 'userPropertyBytesMax');
}

/** The same of properties that are decoded. */
export function limitDecodedProperties(limits: Limits, properties: readonly UserProperty[] | undefined): void {
  if (properties === undefined || properties.length === 0) return;
  let bytes = 0;
  // As they were on the wire: an identifier, and two texts with their lengths.
  for (const [name, value] of properties) bytes += 5 + utf8Length(name) + utf8Length(value);
  limitUserProperties(limits, properties.length, bytes);
}

/** Which limit a topic name or filter is beyond; null: none. */
export function topicLimit(limits: Limits, topic: string): LimitName | null {
  if (topic.length * 3 > limits.topicBytesMax && utf8Length(topic) > limits.topicBytesMax) return 'topicBytesMax';
  let levels = 1;
  for (let at = topic.indexOf('/'); at >= 0; at = topic.indexOf('/', at + 1)) levels++;
  return levels > limits.topicLevelsMax ? 'topicLevelsMax' : null;
}
