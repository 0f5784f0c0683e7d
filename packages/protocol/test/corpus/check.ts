/** The corpus once through the codec with nothing but the language: for places without a test runner. */
import { DecodeError, decodePacket, EncodeError, encodePacket } from '@pipit/protocol';
import type { Case } from './case.ts';
import { hexOf } from './case.ts';
import { corpus } from './index.ts';

/** How many cases there are, and the ids of those that fail. */
export function runCorpus(): { cases: number; failed: string[] } {
  const cases = Object.values(corpus).flat();
  return { cases: cases.length, failed: cases.filter((each) => !passes(each)).map((each) => each.id) };
}

function passes(each: Case): boolean {
  const { bytes, version, sender, packet, refused, canonical } = each;
  try {
    const decoded = decodePacket(bytes, 0, bytes.length, version, sender);
    if (refused !== undefined || packet === undefined) return false;
    const again = canonical ? encodePacket(decoded, version, sender) : undefined;
    return (
      again === undefined ||
      (hexOf(again) === hexOf(bytes) && hexOf(encodePacket(packet, version, sender)) === hexOf(bytes))
    );
  } catch (error) {
    return error instanceof DecodeError && error.reasonCode === refused && isRefused(each);
  }
}

function isRefused({ packet, version, sender }: Case): boolean {
  if (packet === undefined) return true;
  try {
    encodePacket(packet, version, sender);
    return false;
  } catch (error) {
    return error instanceof EncodeError;
  }
}
