import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DecodeError, EncodeError } from './error.ts';
import { decodeUtf8, encodeUtf8, hasUnwantedCharacters, isUtf8, utf8Length, utf8Text } from './utf8.ts';

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** What the platform makes of the bytes; undefined when it refuses them. */
function platformText(bytes: Uint8Array): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

function* sequences(): Generator<Uint8Array> {
  const edges = [0x7f, 0x80, 0xbf, 0xc0];
  for (let first = 0; first < 256; first++) {
    yield Uint8Array.of(first);
    for (let second = 0; second < 256; second++) {
      yield Uint8Array.of(first, second);
      if (first < 0xe0) continue;
      for (const third of edges) {
        yield Uint8Array.of(first, second, third);
        if (first < 0xf0) continue;
        for (const fourth of edges) yield Uint8Array.of(first, second, third, fourth);
      }
    }
  }
}

test('every one- and two-byte sequence, and longer ones at every edge, as the platform decodes them; but no U+0000', () => {
  let count = 0;
  for (const bytes of sequences()) {
    const expected = platformText(bytes);
    const legal = expected !== undefined && !bytes.includes(0);
    assert.equal(isUtf8(bytes, 0, bytes.length), legal, bytes.join());
    assert.equal(isUtf8(bytes, 0, bytes.length, true), expected !== undefined, bytes.join());
    assert.equal(utf8Text(bytes, 0, bytes.length), legal ? expected : undefined);
    count += 1;
  }
  assert.ok(count > 150_000);
});

test('every code point but U+0000 and the surrogates goes to bytes and back [MQTT-1.5.4-1] [MQTT-1.5.4-2]', () => {
  const encoder = new TextEncoder();
  let text = '';
  for (let code = 1; code <= 0x10ffff; code++) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    text += String.fromCodePoint(code);
    if (text.length < 60_000 && code !== 0x10ffff) continue;
    const bytes = encodeUtf8(text);
    assert.deepEqual(bytes, encoder.encode(text));
    assert.equal(utf8Length(text), bytes.length);
    assert.equal(decodeUtf8(bytes, 0, bytes.length), text);
    text = '';
  }
});

test('U+FEFF stays where it is [MQTT-1.5.4-3]', () => {
  const bytes = Uint8Array.of(0xef, 0xbb, 0xbf, 0x61, 0xef, 0xbb, 0xbf);
  assert.equal(decodeUtf8(bytes, 0, bytes.length), '\uFEFFa\uFEFF');
  assert.deepEqual(encodeUtf8('\uFEFFa\uFEFF'), bytes);
});

test('a lone surrogate and U+0000 are not encoded', () => {
  for (const text of ['\uD800', 'a\uDC00', '\uD800a', '\uDC00\uD800', 'ab\uDBFF', '\0', 'a\0b']) {
    assert.throws(() => utf8Length(text), EncodeError);
    assert.throws(() => encodeUtf8(text), EncodeError);
  }
});

test('what is not legal is a Malformed Packet', () => {
  const refused = (error: unknown) => error instanceof DecodeError && error.reasonCode === 0x81;
  for (const bytes of [Uint8Array.of(0xff), Uint8Array.of(0x61, 0x00)]) {
    assert.throws(() => decodeUtf8(bytes, 0, bytes.length), refused);
  }
});

test('only the range asked for is read', () => {
  const bytes = Uint8Array.of(0xff, 0xc3, 0xa9, 0x61, 0xc3);
  assert.equal(decodeUtf8(bytes, 1, 4), 'éa');
  assert.equal(decodeUtf8(bytes, 2, 2), '');
  assert.equal(isUtf8(bytes, 1, 4), true);
  assert.equal(isUtf8(bytes, 1, 2), false);
  assert.equal(isUtf8(bytes, 1, 5), false);
});

test('unwanted characters are controls and non-characters', () => {
  const unwanted = [0x01, 0x1f, 0x7f, 0x80, 0x9f, 0xfdd0, 0xfdef, 0xfffe, 0xffff, 0x1fffe, 0x1ffff, 0xffffe, 0x10ffff];
  const wanted = [0x20, 0x7e, 0xa0, 0xfdcf, 0xfdf0, 0xfffd, 0xfeff, 0x1fffd, 0x20000, 0x10fffd, 0x103fe];
  for (const code of unwanted)
    assert.equal(hasUnwantedCharacters(`a${String.fromCodePoint(code)}`), true, code.toString(16));
  for (const code of wanted)
    assert.equal(hasUnwantedCharacters(`a${String.fromCodePoint(code)}`), false, code.toString(16));
  assert.equal(hasUnwantedCharacters(''), false);
});
