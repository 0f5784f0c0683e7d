/**
 * The line of messages that wait for one session.
 *
 * Every delivery of a session has a sequence number that rises for ever. Those that wait are a prefix in memory and, when there
 * is a store, a tail that is only there: while anything is only in the store, a new message goes there too, so that the line
 * never forks. Counts and bytes are known for both without loading. What is in flight is not here but in the session's window.
 *
 * Invariant: sequences in the prefix rise, and are all below `tailFirst` while the tail is not empty.
 */

import type { Deadline } from './deadlines.ts';
import type { Delivery } from './message.ts';
import type { StoredDelivery } from './ports.ts';
import type { Sweep } from './state.ts';

/** Looks through what a session has only in the store, and leaves it there; one at a time, while nobody is there to be sent it. */
export interface TailReader {
  /** Goes on with it. */
  readonly sweep: Sweep;
  /** How far it has looked: a sequence. */
  readonly after: number;
  /** What was taken out of the tail before is in every page until this batch lasts. */
  readonly gapBatch: number;
  /** More of the tail was read; `isEnd`: there is no more. */
  paged(page: readonly StoredDelivery[], isEnd: boolean): void;
  /** The session has a connection again, or is gone. */
  stop(): void;
}

/** What waits for all sessions together; what is in flight and kept to be sent again is part of it. */
export class QueueTotal {
  messagesMax: number;
  bytesMax: number;
  prefixBytesMax: number;
  messages = 0;
  bytes = 0;
  /** Of them, those that wait in memory. */
  prefixBytes = 0;
  /** Of wills that are not due yet. */
  willBytes = 0;

  constructor(
    messagesMax = Number.POSITIVE_INFINITY,
    bytesMax = Number.POSITIVE_INFINITY,
    prefixBytesMax = Number.POSITIVE_INFINITY,
  ) {
    this.messagesMax = messagesMax;
    this.bytesMax = bytesMax;
    this.prefixBytesMax = prefixBytesMax;
  }

  /** Room left; below 0 after a restart under lower limits. */
  get freeMessages(): number {
    return this.messagesMax - this.messages;
  }

  get freeBytes(): number {
    return this.bytesMax - this.bytes;
  }

  get freePrefixBytes(): number {
    return this.prefixBytesMax - this.prefixBytes;
  }

  add(bytes: number, messages = 1): void {
    this.messages += messages;
    this.bytes += bytes;
  }

  remove(bytes: number, messages = 1): void {
    this.messages -= messages;
    this.bytes -= bytes;
  }
}

export class Queue {
  private readonly total: QueueTotal;
  private items: Delivery[] = [];
  private head = 0;
  private prefixBytes = 0;
  /** Deliveries that are only in the store, and what they count for. */
  tailCount = 0;
  tailBytes = 0;
  /** How many of them came by a shared subscription, at most: after a restart nobody knows before they are read. */
  tailShared = 0;
  /** The last sequence that is, or was, in memory: paging goes on above it. */
  loadedThrough: number;
  /** The number of the page request under way; 0: none. */
  page = 0;
  /** When a page that failed is asked for again, how often it failed, and since when. */
  retry: Deadline | null = null;
  failures = 0;
  failingSince = 0;
  /** It was let grow over its limit, because the oldest, which are to be dropped for it, had to be read first. */
  isOver = false;
  /** The batch in which the newest delivery of the tail is made durable. */
  tailBatch = 0;
  /** The batch in which the last of what was taken out of the midst of the tail is: until it lasts, a page still has that. */
  gapBatch = 0;
  /** The earliest expiry among what waits in memory, or earlier. */
  private earliestExpiry = Number.POSITIVE_INFINITY;

  /** A queue of an earlier run: all of it is in the store, above `after`. */
  static stored(total: QueueTotal, count: number, bytes: number, after: number): Queue {
    const queue = new Queue(total, after);
    queue.tailCount = count;
    queue.tailBytes = bytes;
    total.add(bytes, count);
    return queue;
  }

  /** `after`: the last sequence given before it. */
  constructor(total: QueueTotal, after: number) {
    this.total = total;
    this.loadedThrough = after;
  }

  /** Messages waiting, the tail included. */
  get count(): number {
    return this.prefixCount + this.tailCount;
  }

  get bytes(): number {
    return this.prefixBytes + this.tailBytes;
  }

  get prefixCount(): number {
    return this.items.length - this.head;
  }

  /** Whether the next delivery stays in memory, under these limits of the prefix; of all prefixes it takes its part only. */
  takesInMemory(messagesMax: number, bytesMax: number): boolean {
    const isWithin = this.prefixCount < messagesMax && this.prefixBytes < bytesMax;
    return this.tailCount === 0 && isWithin && this.prefixBytes <= this.total.freePrefixBytes;
  }

  /** Whether more of the tail should be read: less than half of what may be in memory is. */
  isShort(messagesMax: number, bytesMax: number): boolean {
    return this.tailCount > 0 && this.prefixCount * 2 < messagesMax && this.prefixBytes * 2 < bytesMax;
  }

  push(delivery: Delivery): void {
    this.total.add(delivery.message.cost);
    this.append(delivery);
  }

  private append(delivery: Delivery): void {
    const { cost } = delivery.message;
    this.items.push(delivery);
    this.prefixBytes += cost;
    this.total.prefixBytes += cost;
    this.loadedThrough = Math.max(this.loadedThrough, delivery.sequence);
    if (delivery.message.expiresAt < this.earliestExpiry) this.earliestExpiry = delivery.message.expiresAt;
  }

  /** Counts a delivery that lives in the store alone, made durable by batch number `batch`. */
  pushTail(delivery: Delivery, batch: number): void {
    const { cost } = delivery.message;
    this.tailCount++;
    this.tailBytes += cost;
    if (delivery.group !== null) this.tailShared++;
    this.total.add(cost);
    this.tailBatch = batch;
  }

  peek(): Delivery | undefined {
    return this.items[this.head];
  }

  shift(): Delivery | undefined {
    const delivery = this.items[this.head];
    if (delivery === undefined) return undefined;
    const { cost } = delivery.message;
    this.head++;
    this.leave(cost);
    // Half of the array empty: close the gap, which keeps shifting at constant cost on average.
    if (this.head * 2 >= this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return delivery;
  }

  private leave(cost: number): void {
    this.prefixBytes -= cost;
    this.total.prefixBytes -= cost;
    this.total.remove(cost);
  }

  /** Moves a delivery read back from the tail to the end of the prefix. */
  load(delivery: Delivery): void {
    this.tailCount--;
    this.tailBytes -= delivery.message.cost;
    if (delivery.group !== null) this.tailShared--;
    this.append(delivery);
  }

  /** A delivery of the tail is there no more: it went elsewhere, or cannot be read. */
  takeOut(cost: number): void {
    this.tailCount--;
    this.tailBytes -= cost;
    this.total.remove(cost);
  }

  /** Takes out of memory everything that `leaves` says, in order. */
  extract(leaves: (delivery: Delivery) => boolean): Delivery[] {
    const out: Delivery[] = [];
    const stay: Delivery[] = [];
    for (let i = this.head; i < this.items.length; i++) {
      const delivery = this.items[i] as Delivery;
      (leaves(delivery) ? out : stay).push(delivery);
    }
    if (out.length === 0) return out;
    this.items = stay;
    this.head = 0;
    this.earliestExpiry = Number.POSITIVE_INFINITY;
    for (const { message } of out) this.leave(message.cost);
    for (const { message } of stay) this.earliestExpiry = Math.min(this.earliestExpiry, message.expiresAt);
    return out;
  }

  /** Takes out what has expired; looks only if something may have. */
  extractExpired(now: number): Delivery[] {
    return this.earliestExpiry > now ? [] : this.extract((delivery) => delivery.message.expiresAt <= now);
  }

  /** The store does not know the rest of the tail. How many that were. */
  loseTail(): number {
    const lost = this.tailCount;
    this.total.remove(this.tailBytes, lost);
    this.tailCount = 0;
    this.tailBytes = 0;
    return lost;
  }

  /** Its session has ended: nothing of it waits any more. */
  clear(): void {
    this.total.remove(this.bytes, this.count);
    this.total.prefixBytes -= this.prefixBytes;
    this.items = [];
    this.head = 0;
    this.prefixBytes = 0;
    this.tailCount = 0;
    this.tailBytes = 0;
  }

  *[Symbol.iterator](): Generator<Delivery> {
    for (let i = this.head; i < this.items.length; i++) yield this.items[i] as Delivery;
  }
}
