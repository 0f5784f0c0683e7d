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

export class Queue {
  private items: Delivery[] = [];
  private head = 0;
  private prefixBytes = 0;
  /** Deliveries that are only in the store, and what they count for. */
  tailCount = 0;
  tailBytes = 0;
  /** The last sequence that is, or was, in memory: paging goes on above it. */
  loadedThrough = 0;
  /** The number of the page request under way; 0: none. */
  page = 0;
  /** When a page that failed is asked for again: one deadline, however often it failed. */
  retry: Deadline | null = null;
  /** The batch in which the newest delivery of the tail is made durable. */
  tailBatch = 0;
  /** The earliest expiry among what waits in memory, or earlier. */
  private earliestExpiry = Number.POSITIVE_INFINITY;

  /** A queue of an earlier run: all of it is in the store, above `after`. */
  static stored(count: number, bytes: number, after: number): Queue {
    const queue = new Queue();
    queue.tailCount = count;
    queue.tailBytes = bytes;
    queue.loadedThrough = after;
    return queue;
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

  /** Whether the next delivery stays in memory, under these limits of the prefix. */
  takesInMemory(messagesMax: number, bytesMax: number): boolean {
    return this.tailCount === 0 && this.prefixCount < messagesMax && this.prefixBytes < bytesMax;
  }

  push(delivery: Delivery): void {
    this.items.push(delivery);
    this.prefixBytes += delivery.message.cost;
    this.loadedThrough = delivery.sequence;
    if (delivery.message.expiresAt < this.earliestExpiry) this.earliestExpiry = delivery.message.expiresAt;
  }

  /** Counts a delivery that lives in the store alone, made durable by batch number `batch`. */
  pushTail(delivery: Delivery, batch: number): void {
    this.tailCount++;
    this.tailBytes += delivery.message.cost;
    this.tailBatch = batch;
  }

  peek(): Delivery | undefined {
    return this.items[this.head];
  }

  shift(): Delivery | undefined {
    const delivery = this.items[this.head];
    if (delivery === undefined) return undefined;
    this.head++;
    this.prefixBytes -= delivery.message.cost;
    // Half of the array empty: close the gap, which keeps shifting at constant cost on average.
    if (this.head * 2 >= this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return delivery;
  }

  /** Moves a delivery read back from the tail to the end of the prefix. */
  load(delivery: Delivery): void {
    this.tailCount--;
    this.tailBytes -= delivery.message.cost;
    this.push(delivery);
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
    for (const delivery of out) this.prefixBytes -= delivery.message.cost;
    for (const { message } of stay) this.earliestExpiry = Math.min(this.earliestExpiry, message.expiresAt);
    return out;
  }

  /** Takes out what has expired; looks only if something may have. */
  extractExpired(now: number): Delivery[] {
    return this.earliestExpiry > now ? [] : this.extract((delivery) => delivery.message.expiresAt <= now);
  }

  /** The store lost the rest of the tail. How many that were. */
  loseTail(): number {
    const lost = this.tailCount;
    this.tailCount = 0;
    this.tailBytes = 0;
    return lost;
  }

  *[Symbol.iterator](): Generator<Delivery> {
    for (let i = this.head; i < this.items.length; i++) yield this.items[i] as Delivery;
  }
}
