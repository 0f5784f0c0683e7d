/** The client's half of the codec does what the whole does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ClientPacket,
  DecodeError,
  decodePacket,
  decodeServerPacket,
  encodeClientPacket,
  encodePacket,
} from '@pipit/protocol';
import fc from 'fast-check';
import { packet, sent, version } from './arbitrary.ts';

test('what a client sends has the same bytes', () => {
  const ofClient = version.chain((v) => packet(v, 'client').map((each) => ({ v, each })));
  fc.assert(
    fc.property(ofClient, ({ v, each }) => {
      assert.deepEqual(encodeClientPacket(each as ClientPacket, v), encodePacket(each, v, 'client'));
    }),
  );
});

test('what a server sends is the same packet, and what a client sends is refused alike', () => {
  fc.assert(
    fc.property(sent, ({ packet: each, version: v, sender }) => {
      const bytes = encodePacket(each, v, sender);
      const outcome = (decode: () => unknown): unknown => {
        try {
          return decode();
        } catch (error) {
          assert.ok(error instanceof DecodeError);
          return [error.reasonCode, error.message, error.offset];
        }
      };
      assert.deepEqual(
        outcome(() => decodeServerPacket(bytes, 0, bytes.length, v)),
        outcome(() => decodePacket(bytes, 0, bytes.length, v, 'server')),
      );
    }),
  );
});

test('AUTH before 5.0 is not written', () => {
  const auth = { type: 15, reasonCode: 0x18, properties: { authenticationMethod: 'm' } } as const;
  assert.throws(() => encodeClientPacket(auth, 4), { name: 'EncodeError' });
});
