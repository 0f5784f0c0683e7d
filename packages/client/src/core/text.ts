/**
 * MQTT's text (section 1.5.4) by the coders of the platform: no surrogate, no overlong form, and U+FEFF stays where it is. U+0000,
 * which they let pass, is refused here. They are the same wherever the client runs, and hold no state: as pure as what is written out
 * in `@pipit/protocol` for places that have none, and nothing to load.
 */
import { DecodeError } from '@pipit/protocol';
import * as ReasonCode from '@pipit/protocol/reason-codes';
import { notAllowed } from './failure.ts';

declare const TextEncoder: new () => { encode(text: string): Uint8Array<ArrayBuffer> };
declare const TextDecoder: new (
  label: 'utf-8',
  options: { readonly fatal: true; readonly ignoreBOM: true },
) => { decode(bytes: Uint8Array): string };

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }); // [MQTT-1.5.4-1] [MQTT-1.5.4-3]

/** The bytes of any text; a lone surrogate becomes U+FFFD, as everywhere on the web. */
export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/** A payload: text as UTF-8, bytes as they are. Throws MqttError for what is neither: a caller without types may hand in anything. */
export function payloadBytes(payload: string | Uint8Array): Uint8Array {
  if (ArrayBuffer.isView(payload)) return payload;
  if (typeof payload === 'string') return encodeText(payload);
  throw notAllowed('A payload is text or bytes');
}

/** The text of bytes, which may contain U+0000. Throws TypeError when they are not UTF-8. */
export function decodeText(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** The bytes of a text field of a packet, without their length. Throws MqttError, naming the field, for what may not be in one. */
export function encodeField(text: string, field: string): Uint8Array {
  const isText = typeof text === 'string' && text.isWellFormed() && !text.includes('\0'); // [MQTT-1.5.4-1] [MQTT-1.5.4-2]
  const bytes = isText ? encodeText(text) : null;
  if (bytes !== null && bytes.length <= 0xffff) return bytes;
  throw notAllowed(`${field} must be text without U+0000 or a lone surrogate, of at most 65,535 bytes`);
}

/** The text of a field of a packet. Throws DecodeError. */
export function decodeField(bytes: Uint8Array): string {
  try {
    const text = decodeText(bytes);
    if (!text.includes('\0')) return text; // [MQTT-1.5.4-2]
  } catch {
    // Not UTF-8.
  }
  throw new DecodeError(ReasonCode.MalformedPacket, 'a text is not valid UTF-8', 0);
}
