/** Legal packets of every version and side, as bytes. */

import { encodePacket, type ProtocolVersion, type Sender } from '@pipit/protocol';
import fc from 'fast-check';
import { packet } from '../arbitrary.ts';

export interface Encoded {
  readonly version: ProtocolVersion;
  readonly sender: Sender;
  readonly packet: Uint8Array;
}

export function encodedOf(version: ProtocolVersion, sender: Sender): fc.Arbitrary<Encoded> {
  return packet(version, sender).map((each) => ({ version, sender, packet: encodePacket(each, version, sender) }));
}

const versions = [3, 4, 5] as const;

export const encoded: fc.Arbitrary<Encoded> = fc.oneof(
  ...versions.flatMap((version) => [encodedOf(version, 'client'), encodedOf(version, 'server')]),
);
