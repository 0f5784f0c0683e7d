/**
 * Topics we receive on, found by their bytes without making a string, each with the subscriptions that want it.
 *
 * Bounded: when the table is full all are forgotten and made again. A plan is good for one version of the interests.
 */
import { topicNameProblem } from '@pipit/protocol';
import type { Interest } from './interests.ts';
import { decodeField } from './text.ts';

const slotsCount = 8192;
const topicsMax = slotsCount / 2;
/** Slots looked at before the table is emptied: names chosen to collide cost a table, not every look-up. */
const probesMax = 64;
const seed = 0x5bd1e995 | 0;

export class ReceivedTopic {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly hash: number;
  plan: readonly Interest[] = [];
  /** The version of the interests that the plan was made for; -1: none. */
  planVersion = -1;

  constructor(name: string, bytes: Uint8Array, hash: number) {
    this.name = name;
    this.bytes = bytes;
    this.hash = hash;
  }

  /** Whether its name is bytes[start, end). */
  equals(bytes: Uint8Array, start: number, end: number): boolean {
    const own = this.bytes;
    let i = end - start;
    if (i !== own.length) return false;
    // From the end, where topics differ.
    while (i > 0 && own[i - 1] === bytes[start + i - 1]) i--;
    return i === 0;
  }
}

export class ReceivedTopics {
  #slots: (ReceivedTopic | null)[] = [];
  #count = 0;
  #last: ReceivedTopic | null = null;

  /** The topic whose name is bytes[start, end). Throws DecodeError on bad UTF-8; null when it is no legal topic name. */
  intern(bytes: Uint8Array, start: number, end: number): ReceivedTopic | null {
    if (this.#last?.equals(bytes, start, end)) return this.#last;
    let hash = seed;
    for (let at = start; at < end; at++) hash = Math.imul(hash ^ (bytes[at] as number), 0x01000193);
    if (this.#slots.length === 0) this.#slots = new Array<ReceivedTopic | null>(slotsCount).fill(null);
    let slot = hash & (slotsCount - 1);
    for (let probes = 0; probes < probesMax; probes++, slot = (slot + 1) & (slotsCount - 1)) {
      const topic = this.#slots[slot] as ReceivedTopic | null;
      if (topic === null) return this.#add(bytes, start, end, hash, slot);
      if (topic.hash === hash && topic.equals(bytes, start, end)) {
        this.#last = topic;
        return topic;
      }
    }
    this.#forget();
    return this.#add(bytes, start, end, hash, hash & (slotsCount - 1));
  }

  #add(bytes: Uint8Array, start: number, end: number, hash: number, slot: number): ReceivedTopic | null {
    const own = bytes.slice(start, end);
    const name = decodeField(own);
    if (topicNameProblem(name, Number.POSITIVE_INFINITY) !== undefined) return null;
    const topic = new ReceivedTopic(name, own, hash);
    if (this.#count >= topicsMax) {
      this.#forget();
      this.#slots[hash & (slotsCount - 1)] = topic;
    } else this.#slots[slot] = topic;
    this.#count++;
    this.#last = topic;
    return topic;
  }

  #forget(): void {
    this.#slots.fill(null);
    this.#count = 0;
  }
}
