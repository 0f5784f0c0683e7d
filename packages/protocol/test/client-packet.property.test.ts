/** The client's half of the codec does what the whole does. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ClientPacket,
  DecodeError,
  decodePacket,
  decodePublishProperties,
  decodeServerPacket,
  encodeClientPacket,
  encodePacket,
  Framer,
  PacketType,
  PublishFrame,
  type PublishPacket,
  viewOf,
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
      if (each.type === PacketType.Publish) {
        assert.throws(() => decodeServerPacket(bytes, 0, bytes.length, v), DecodeError);
        return;
      }
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

test('the properties of a PUBLISH are those of the whole packet', () => {
  fc.assert(
    fc.property(packet(5, 'server'), (each) => {
      fc.pre(each.type === PacketType.Publish);
      const bytes = encodePacket(each, 5, 'server');
      const framer = new Framer(bytes.length);
      framer.feed(bytes, viewOf(bytes), 0, bytes.length);
      assert.ok(framer.next());
      const frame = new PublishFrame();
      frame.read(bytes, viewOf(bytes), framer.start, framer.body, framer.end, 5, 'server');
      const whole = decodePacket(bytes, 0, bytes.length, 5, 'server') as PublishPacket;
      assert.deepEqual(
        decodePublishProperties(bytes, frame.propertiesStart, frame.propertiesEnd),
        whole.properties ?? {},
      );
    }),
  );
});

test('AUTH before 5.0 is not written', () => {
  const auth = { type: 15, reasonCode: 0x18, properties: { authenticationMethod: 'm' } } as const;
  assert.throws(() => encodeClientPacket(auth, 4), { name: 'EncodeError' });
});
