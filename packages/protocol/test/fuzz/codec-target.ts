/** Every packet's decoder on anything, and the encoder on what the decoder made of it. */

import assert from 'node:assert/strict';
import {
  DecodeError,
  decodePacket,
  EncodeError,
  encodePacket,
  Framer,
  type Packet,
  PacketType,
  type ProtocolVersion,
  PublishFrame,
  packetTypeName,
  peekConnect,
  type Sender,
  viewOf,
} from '@pipit/protocol';
import fc from 'fast-check';
import { sender, version } from '../arbitrary.ts';
import { encoded } from './encoded.ts';
import { bytesOf, textOf } from './hex-text.ts';
import { mutate, mutation } from './mutation.ts';
import type { Features, Target } from './target.ts';

export interface CodecInput {
  readonly version: ProtocolVersion;
  readonly sender: Sender;
  readonly bytes: Uint8Array;
}

export interface KeptCodecInput {
  readonly version: ProtocolVersion;
  readonly sender: Sender;
  readonly bytes: string;
}

const whole = encoded.map(({ packet, ...rest }): CodecInput => ({ ...rest, bytes: packet }));
const garbage = fc.record({ version, sender, bytes: fc.uint8Array({ maxLength: 80 }) });

/** What `run` returns, or the error it may throw; any other is a failure. */
function outcome<T, E extends Error>(run: () => T, allowed: new (...args: never[]) => E): T | E {
  try {
    return run();
  } catch (error) {
    if (error instanceof allowed) return error;
    throw error;
  }
}

function checkDecoding(input: CodecInput, features: Features): void {
  const { bytes, version: v, sender: s } = input;
  const packet = outcome(() => decodePacket(bytes, 0, bytes.length, v, s), DecodeError);
  const type = packetTypeName((bytes[0] ?? 0) >> 4);
  if (packet instanceof DecodeError) {
    features.add(`refused ${type} ${packet.reasonCode.toString(16)}`);
    assert.ok(packet.offset >= 0 && packet.offset <= bytes.length, `the offset ${packet.offset} lies in the packet`);
    return;
  }
  features.add(`decoded ${type}`);
  checkEncoding(packet, input, features);
}

/** Some packets are tolerated that may not be sent; every other one comes back, in a form that is no longer and stays. */
function checkEncoding(packet: Packet, { bytes, version: v, sender: s }: CodecInput, features: Features): void {
  const encodedIn = packet.type === PacketType.Connect ? packet.version : v;
  const again = outcome(() => encodePacket(packet, encodedIn, s), EncodeError);
  if (again instanceof EncodeError) {
    features.add(`tolerated ${packetTypeName(packet.type)}`);
    return;
  }
  assert.ok(again.length <= bytes.length, 'the shortest form is no longer than the one that came');
  const back = decodePacket(again, 0, again.length, encodedIn, s);
  assert.deepEqual(back, packet);
  assert.deepEqual(encodePacket(back, encodedIn, s), again);
}

const frame = new PublishFrame();

/** The reader in place sees what the decoder sees, but for the text of the topic. */
function checkPublishFrame({ bytes, version: v, sender: s }: CodecInput): void {
  const framer = new Framer(0x1000_0004);
  framer.feed(bytes, viewOf(bytes), 0, bytes.length);
  if (outcome(() => framer.next(), DecodeError) !== true || framer.end !== bytes.length) return;
  if ((bytes[0] as number) >> 4 !== PacketType.Publish) return;
  const { view, start, body, end } = framer;
  const read = outcome(() => frame.read(bytes, view, start, body, end, v, s), DecodeError);
  const decoded = outcome(() => decodePacket(bytes, 0, bytes.length, v, s), DecodeError);
  if (read instanceof DecodeError) assert.deepEqual(decoded, read);
  else if (decoded instanceof DecodeError) {
    assert.match(decoded.message, /Topic [Nn]ame (contains a wildcard|is not valid UTF-8)/);
  } else {
    assert.ok(decoded.type === PacketType.Publish);
    assert.deepEqual(bytes.slice(frame.payloadStart, frame.end), decoded.payload);
    assert.deepEqual(
      [frame.qos, frame.dup, frame.retain, frame.packetId, frame.topicAlias],
      [decoded.qos, decoded.dup, decoded.retain, decoded.packetId, decoded.properties?.topicAlias ?? 0],
    );
  }
}

export const codecTarget: Target<CodecInput, KeptCodecInput> = {
  name: 'codec',
  weight: 2,
  arbitrary: (kept) => {
    const base = fc.oneof({ weight: 20, arbitrary: whole }, { weight: 2, arbitrary: fc.constantFrom(...kept) });
    const mutant = fc
      .tuple(base, mutation)
      .map(([each, how]) => ({ ...each, bytes: mutate(each.bytes, each.version, how) }));
    return fc.oneof({ weight: 20, arbitrary: mutant }, { weight: 1, arbitrary: garbage });
  },
  run: (input, features) => {
    checkDecoding(input, features);
    checkPublishFrame(input);
    peekConnect(input.bytes, 0, input.bytes.length);
  },
  keep: ({ bytes, ...rest }) => ({ ...rest, bytes: textOf(bytes) }),
  restore: ({ bytes, ...rest }) => ({ ...rest, bytes: bytesOf(bytes) }),
};
