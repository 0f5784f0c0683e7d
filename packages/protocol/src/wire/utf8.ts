/**
 * MQTT's UTF-8 (section 1.5.4), strict both ways: no surrogates, no overlong forms, nothing above U+10FFFF, no U+0000;
 * U+FEFF stays where it is. Written out because the platform's decoders replace, strip or are not everywhere.
 */
import { DecodeError, EncodeError } from './error.ts';
import * as ReasonCode from './reason-codes.ts';

/** How many UTF-8 bytes the text takes. Throws EncodeError, naming `field`, on a lone surrogate or U+0000. */
export function utf8Length(text: string, field = 'Text'): number {
  let length = text.length;
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x80) {
      if (unit === 0) throw new EncodeError(ReasonCode.MalformedPacket, `${field} contains U+0000`); // [MQTT-1.5.4-2]
    } else if (unit < 0x800) {
      length += 1;
    } else {
      length += 2;
      if ((unit & 0xf800) === 0xd800) {
        // A pair is two units and four bytes: its second half adds nothing.
        if (!isPair(unit, text.charCodeAt(index + 1))) {
          throw new EncodeError(ReasonCode.MalformedPacket, `${field} contains a lone surrogate`); // [MQTT-1.5.4-1]
        }
        index += 1;
      }
    }
  }
  return length;
}

function isPair(high: number, low: number): boolean {
  return (high & 0xfc00) === 0xd800 && (low & 0xfc00) === 0xdc00;
}

/** The text in UTF-8, in an array of its own. Throws as utf8Length does. */
export function encodeUtf8(text: string): Uint8Array {
  const bytes = new Uint8Array(utf8Length(text));
  writeUtf8(text, bytes, 0);
  return bytes;
}

/** Writes text that utf8Length has measured, and so accepted, at an offset. */
export function writeUtf8(text: string, bytes: Uint8Array, offset: number): void {
  let at = offset;
  for (let index = 0; index < text.length; index++) {
    let code = text.charCodeAt(index);
    if (code < 0x80) {
      bytes[at++] = code;
      continue;
    }
    if (code < 0x800) {
      bytes[at++] = 0xc0 | (code >> 6);
    } else {
      if ((code & 0xf800) === 0xd800) {
        code = 0x10000 + ((code & 0x3ff) << 10) + (text.charCodeAt(++index) & 0x3ff);
        bytes[at++] = 0xf0 | (code >> 18);
        bytes[at++] = 0x80 | ((code >> 12) & 0x3f);
      } else {
        bytes[at++] = 0xe0 | (code >> 12);
      }
      bytes[at++] = 0x80 | ((code >> 6) & 0x3f);
    }
    bytes[at++] = 0x80 | (code & 0x3f);
  }
}

/**
 * Whether bytes[start, end) is a legal MQTT string. With `nullAllowed` U+0000 may occur: the rule for a payload that
 * its Payload Format Indicator calls text.
 */
export function isUtf8(bytes: Uint8Array, start: number, end: number, nullAllowed = false): boolean {
  let at = start;
  while (at < end) {
    const byte = bytes[at] as number;
    if (byte < 0x80) {
      if (byte === 0 && !nullAllowed) return false;
      at += 1;
    } else {
      const length = sequenceLength(bytes, at, end);
      if (length === 0) return false;
      at += length;
    }
  }
  return true;
}

/** The length of the multi-byte sequence at `at`: 2 to 4, or 0 when it is not a legal one that ends before `end`. */
function sequenceLength(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at] as number;
  if (first < 0xc2 || first > 0xf4) return 0;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (at + length > end) return 0;
  const second = bytes[at + 1] as number;
  if ((second & 0xc0) !== 0x80) return 0;
  // The second byte is where overlong forms, surrogates and code points above U+10FFFF show.
  if (first === 0xe0 && second < 0xa0) return 0;
  if (first === 0xed && second > 0x9f) return 0;
  if (first === 0xf0 && second < 0x90) return 0;
  if (first === 0xf4 && second > 0x8f) return 0;
  if (length > 2 && ((bytes[at + 2] as number) & 0xc0) !== 0x80) return 0;
  if (length > 3 && ((bytes[at + 3] as number) & 0xc0) !== 0x80) return 0;
  return length;
}

/**
 * The text of bytes[start, end). Throws DecodeError (0x81) when they are not a legal MQTT string. With `nullAllowed` U+0000 may
 * occur, as in a payload that is text.
 */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number, nullAllowed = false): string {
  const text = utf8Text(bytes, start, end, nullAllowed);
  if (text === undefined) throw new DecodeError(ReasonCode.MalformedPacket, 'Text is not valid UTF-8', 0);
  return text;
}

/** As decodeUtf8, but undefined when the bytes are not legal. */
export function utf8Text(bytes: Uint8Array, start: number, end: number, nullAllowed = false): string | undefined {
  let at = start;
  while (at < end && bytes[at] !== 0 && (bytes[at] as number) < 0x80) at += 1;
  if (at === end) return textOfUnits(bytes.subarray(start, end));
  if (!isUtf8(bytes, at, end, nullAllowed)) return undefined;
  const units = new Uint16Array(end - start);
  units.set(bytes.subarray(start, at));
  const length = decodeUnits(bytes, at, end, units, at - start);
  return textOfUnits(units.subarray(0, length));
}

/** Writes the UTF-16 units of legal UTF-8 from `length` on and returns how many units there are then. */
function decodeUnits(bytes: Uint8Array, start: number, end: number, units: Uint16Array, length: number): number {
  let at = start;
  let count = length;
  while (at < end) {
    const first = bytes[at++] as number;
    if (first < 0x80) {
      units[count++] = first;
    } else if (first < 0xe0) {
      units[count++] = ((first & 0x1f) << 6) | ((bytes[at++] as number) & 0x3f);
    } else if (first < 0xf0) {
      const second = (bytes[at++] as number) & 0x3f;
      units[count++] = ((first & 0x0f) << 12) | (second << 6) | ((bytes[at++] as number) & 0x3f);
    } else {
      const high = ((first & 0x07) << 18) | (((bytes[at++] as number) & 0x3f) << 12);
      const code = high | (((bytes[at++] as number) & 0x3f) << 6) | ((bytes[at++] as number) & 0x3f);
      units[count++] = 0xd7c0 + (code >> 10); // 0xd800 with the 0x10000 of the code point already taken off
      units[count++] = 0xdc00 | (code & 0x3ff);
    }
  }
  return count;
}

const unitsPerCall = 4096; // arguments of one call live on the stack

function textOfUnits(units: Uint8Array | Uint16Array): string {
  if (units.length <= unitsPerCall) return Reflect.apply(String.fromCharCode, undefined, units) as string;
  let text = '';
  for (let at = 0; at < units.length; at += unitsPerCall) {
    text += Reflect.apply(String.fromCharCode, undefined, units.subarray(at, at + unitsPerCall)) as string;
  }
  return text;
}

/**
 * Whether the text has characters the standard advises against (section 1.5.4): control characters U+0001 to U+001F
 * and U+007F to U+009F, or Unicode non-characters. They are legal; a strict server may refuse them.
 */
export function hasUnwantedCharacters(text: string): boolean {
  for (let index = 0; index < text.length; index++) {
    const unit = text.charCodeAt(index);
    if (unit < 0x20 || (unit >= 0x7f && unit <= 0x9f)) return true;
    if ((unit >= 0xfdd0 && unit <= 0xfdef) || unit >= 0xfffe) return true;
    // U+nFFFE and U+nFFFF of the other planes: a low surrogate DFFE or DFFF behind a high one that ends in six ones.
    if (unit >= 0xdffe && unit <= 0xdfff && (text.charCodeAt(index - 1) & 0xfc3f) === 0xd83f) return true;
  }
  return false;
}
