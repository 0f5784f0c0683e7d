/** Payloads: bytes as they are, text as UTF-8, and anything else through a codec. */
import { decodeText, encodeText } from '../core/text.ts';

/** Turns values into payloads and back. Both may throw; what `decode` throws reaches whoever asked for the value. */
export interface Codec<Value> {
  /** 5.0: goes along as Content Type. */
  readonly contentType?: string;
  encode(value: Value): Uint8Array;
  decode(payload: Uint8Array): Value;
}

export const json: Codec<unknown> = {
  contentType: 'application/json',
  encode: (value) => {
    const text = JSON.stringify(value);
    if (text === undefined) throw new TypeError('There is no JSON for this value');
    return encodeText(text);
  },
  decode: (payload) => JSON.parse(decodeText(payload)) as unknown,
};

export const text: Codec<string> = {
  encode: encodeText,
  decode: (payload) => decodeText(payload),
};
