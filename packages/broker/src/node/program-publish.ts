/** What the broker's own program publishes, and what becomes of it when it is not accepted. */

import { encodeUtf8, type PublishProperties, type QoS, reasonCodeName } from '@pipit/protocol';
import type { LocalPublish } from '../core/index.ts';

export interface PublishOptions {
  /** Default 0. */
  readonly qos?: QoS;
  readonly retain?: boolean;
  readonly properties?: PublishProperties;
}

/** The broker did not take a message; `reasonCode` is MQTT's, 0x80 or above. */
export class PublishError extends Error {
  override readonly name = 'PublishError';
  readonly reasonCode: number;

  constructor(reasonCode: number) {
    super(`The message was not accepted: ${reasonCodeName(reasonCode)}`);
    this.reasonCode = reasonCode;
  }
}

/** A string is sent as UTF-8. */
export function localPublish(topic: string, payload: string | Uint8Array, options: PublishOptions): LocalPublish {
  const { qos = 0, retain = false, properties } = options;
  const bytes = typeof payload === 'string' ? encodeUtf8(payload) : payload;
  return { topic, payload: bytes, qos, retain, ...(properties !== undefined && { properties }) };
}
