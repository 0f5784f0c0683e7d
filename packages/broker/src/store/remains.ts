/** What damaged bytes seem to say: for a person who wants to know what was lost, never to be taken as true. */

import { viewOf } from '@pipit/protocol';
import { ByteReader } from './bytes.ts';
import type { Catalog } from './catalog.ts';
import { enterBody, findMark, frameType, headerBytes, mark } from './frame.ts';
import { type Facts, RecordType, readFacts } from './record.ts';

/** The facts of records that begin in these bytes and can be made out, whatever their checksums say. */
export function remainsOf(bytes: Uint8Array): Facts[] {
  const view = viewOf(bytes);
  const reader = new ByteReader(bytes, view);
  const found: Facts[] = [];
  for (let at = findMark(bytes, view, 0, bytes.length); at < bytes.length; ) {
    const next = findMark(bytes, view, at + 1, bytes.length);
    if (next - at > headerBytes && view.getUint32(at) === mark) {
      const facts = factsAt(reader, at, next);
      if (facts !== null) found.push(facts);
    }
    at = next;
  }
  return found;
}

function factsAt(reader: ByteReader, at: number, end: number): Facts | null {
  const type = frameType(reader.view, at);
  if (type === RecordType.Commit) return null;
  try {
    return readFacts(type, enterBody(reader, at, end));
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** What a record says, for a person. */
export function wordsOf(facts: Facts, catalog: Catalog): string {
  switch (facts.type) {
    case RecordType.Session:
      return `session ${facts.key}`;
    case RecordType.Message:
      return `a message for several (number ${facts.id})`;
    case RecordType.Retained:
      return `retained message of ${facts.topic}`;
    case RecordType.Unretained:
      return `the end of the retained message of ${facts.topic}`;
    default:
      return sessionWords(facts, catalog.sessions.get(facts.incarnation)?.key ?? `number ${facts.incarnation}`);
  }
}

function sessionWords(facts: Exclude<Facts, { type: 2 | 6 | 12 | 13 }>, key: string): string {
  switch (facts.type) {
    case RecordType.SessionEnded:
      return `the end of session ${key}`;
    case RecordType.Subscribed:
      return `subscription ${facts.name} of session ${key}`;
    case RecordType.Unsubscribed:
      return `the end of subscription ${facts.name} of session ${key}`;
    case RecordType.Queued:
      return `message ${facts.sequence} for session ${key}`;
    case RecordType.Sent:
      return `that message ${facts.sequence} for session ${key} was sent`;
    case RecordType.Settled:
      return `that message ${facts.sequence} for session ${key} was acknowledged or dropped`;
    case RecordType.Received:
      return `packet identifier ${facts.packetId} received from session ${key}`;
    case RecordType.Completed:
      return `packet identifier ${facts.packetId} of session ${key} released`;
  }
}
