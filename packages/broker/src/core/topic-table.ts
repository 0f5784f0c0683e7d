/**
 * Topics interned from their bytes: one object per topic name, found by hash without making a string.
 *
 * A topic carries the routing plan made for it (see router.ts). The table is bounded in topics and bytes: when it is full all
 * are forgotten and made again on demand. Messages that refer to a forgotten topic keep it alive; only its plan is stale.
 */

import { copyBytes, decodeUtf8, encodeUtf8, hashBytes, sameBytes, topicNameProblem, viewOf } from '@pipit/protocol';
import type { Plan } from './router.ts';

/** Below `$SYS`, where only the broker publishes. */
export function isSystemTopic(name: string): boolean {
  return name === '$SYS' || name.startsWith('$SYS/');
}

export class Topic {
  readonly name: string;
  /** The name as it goes on the wire: two bytes of length, then its UTF-8. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly hash: number;
  readonly isSystem: boolean;
  plan: Plan | null = null;

  constructor(name: string, bytes: Uint8Array, hash: number) {
    this.name = name;
    this.bytes = bytes;
    this.view = viewOf(bytes);
    this.hash = hash;
    this.isSystem = isSystemTopic(name);
  }

  /** Whether this is the topic whose UTF-8 is view[start, end). */
  equals(view: DataView, start: number, end: number): boolean {
    const length = end - start;
    return length === this.bytes.length - 2 && sameBytes(this.view, 2, view, start, length);
  }
}

/** What a topic costs beside its name, roughly. */
const topicOverheadBytes = 512;
/** Slots looked at before the table is emptied instead: names chosen to collide cost a table, not every look-up from then on. */
const probesMax = 256;
const tableBytesMax = 64 * 1024 * 1024;

export class TopicTable {
  private slots: (Topic | null)[] = new Array<Topic | null>(256).fill(null);
  private count = 0;
  private bytes = 0;
  topicsMax: number;
  levelsMax: number;
  /** Of a name. */
  bytesMax = 65_535;
  private readonly seed: number;
  private readonly emptied: () => void;

  /** `emptied` is called when all topics were forgotten because the table was full. `seed`: what nobody outside knows. */
  constructor(topicsMax: number, levelsMax: number, seed: number, emptied: () => void) {
    this.topicsMax = topicsMax;
    this.levelsMax = levelsMax;
    this.seed = seed;
    this.emptied = emptied;
  }

  /** The topic whose UTF-8 is bytes[start, end); null when the name is not a legal topic. Throws DecodeError on bad UTF-8. */
  intern(bytes: Uint8Array, view: DataView, start: number, end: number): Topic | null {
    const hash = hashBytes(view, start, end, this.seed);
    const known = this.find(hash, view, start, end);
    if (known != null) return known;
    const name = decodeUtf8(bytes, start, end);
    if (end - start > this.bytesMax) return null;
    if (topicNameProblem(name, this.levelsMax) !== undefined) return null;
    return this.add(new Topic(name, wireOf(bytes, view, start, end), hash), known === undefined);
  }

  /** Null: it is not there; undefined: nor is there a place for it near its hash. */
  private find(hash: number, view: DataView, start: number, end: number): Topic | null | undefined {
    const mask = this.slots.length - 1;
    let probes = 0;
    for (let slot = hash & mask; probes < probesMax; slot = (slot + 1) & mask, probes++) {
      const topic = this.slots[slot] as Topic | null;
      if (topic === null) return null;
      if (topic.hash === hash && topic.equals(view, start, end)) return topic;
    }
    return undefined;
  }

  /** The same from a string; null when it is not a legal topic name. */
  internName(name: string): Topic | null {
    if (topicNameProblem(name, this.levelsMax) !== undefined) return null;
    const text = encodeUtf8(name);
    return this.intern(text, viewOf(text), 0, text.length);
  }

  /**
   * The interned topic, or one outside the table: for names that come by the million and once, and for those that today's limits
   * would refuse.
   */
  borrow(name: string): Topic {
    const text = encodeUtf8(name);
    const { length } = text;
    const hash = hashBytes(viewOf(text), 0, length, this.seed);
    const known = this.find(hash, viewOf(text), 0, length);
    return known ?? new Topic(name, wireOf(text, viewOf(text), 0, length), hash);
  }

  private add(topic: Topic, isCrowded: boolean): Topic {
    const cost = topic.bytes.length * 2 + topicOverheadBytes;
    if (isCrowded || this.count >= this.topicsMax || this.bytes + cost > tableBytesMax) {
      this.slots = new Array<Topic | null>(256).fill(null);
      this.count = 0;
      this.bytes = 0;
      this.emptied();
    } else if (this.count * 2 >= this.slots.length) {
      const old = this.slots;
      this.slots = new Array<Topic | null>(old.length * 2).fill(null);
      for (const each of old) if (each !== null) this.place(each);
    }
    this.place(topic);
    this.count++;
    this.bytes += cost;
    return topic;
  }

  private place(topic: Topic): void {
    const mask = this.slots.length - 1;
    let slot = topic.hash & mask;
    while (this.slots[slot] !== null) slot = (slot + 1) & mask;
    this.slots[slot] = topic;
  }
}

/** The name as it goes on the wire. */
function wireOf(bytes: Uint8Array, view: DataView, start: number, end: number): Uint8Array {
  const wire = new Uint8Array(end - start + 2);
  const wireView = viewOf(wire);
  wireView.setUint16(0, end - start);
  copyBytes(wire, wireView, 2, bytes, view, start, end - start);
  return wire;
}
