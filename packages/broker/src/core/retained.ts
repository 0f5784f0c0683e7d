/**
 * Retained messages: which there are, where their values are, and what they may take. retained-cursor.ts goes through them.
 *
 * An entry is a number: its topic is a place in a tree (retained-tree.ts), its value is a message in memory or, when there is a
 * store, one that is only there: *cold*. What was restored is cold until somebody asks for it, and what was published goes cold,
 * oldest first, when more is in memory than may be; but never before it lasts. An entry's order tells whether it is still the
 * one that somebody remembers: every value has its own.
 */

import type { Deadline } from './deadlines.ts';
import type { Message } from './message.ts';
import { nobody, Principals } from './principals.ts';
import { RetainedCursor } from './retained-cursor.ts';
import { none, RetainedTree } from './retained-tree.ts';
import { Rows } from './rows.ts';

const entryNode = 0;
const entryCost = 1;
const entryNewer = 2; // in memory, the next in line to go cold
const entryOlder = 3;
const entryOwner = 4; // the number of the principal that set it last
const columns = 5;
// Wide columns.
const entryOrder = 0;
const entryId = 1;
const wideColumns = 2;

/** What each level of a topic may take in the tree. */
const levelBytes = 48;
/** What a message in memory takes beside its bytes, roughly: it, its topic and their views. */
const inMemoryOverheadBytes = 1024;
/** In the columns of the line: in no line. */
const unlined = -2;
/** Level names there may be: a Map takes not many more. */
const levelNamesMax = 16_000_000;

export class RetainedStore {
  readonly tree: RetainedTree;
  private readonly rows = new Rows(columns, wideColumns);
  private readonly values: (Message | null)[] = [];
  /** When entries that expire do so. */
  readonly deadlines = new Map<number, Deadline>();
  /** What may be in memory, counted in `bytesInMemory`; Infinity: all of it. */
  bytesInMemoryMax: number;
  private oldest = none;
  private newest = none;
  /** The order of the latest entry. */
  order = 0;
  /** The latest order in a batch that was sealed, and in one that lasts. */
  private sealedOrder = 0;
  private lastingOrder = 0;
  count = 0;
  /** What they count for against their limit: as in a queue, and for each level of the topic. */
  bytes = 0;
  /** The same of those that may go cold and are in memory. */
  bytesInMemory = 0;
  /** Cursors that were not closed. */
  cursors = 0;
  private readonly principals: Principals;

  /** `seed`: see PairIndex. */
  constructor(bytesInMemoryMax = Number.POSITIVE_INFINITY, seed = 0, principals = new Principals()) {
    this.tree = new RetainedTree(seed);
    this.bytesInMemoryMax = bytesInMemoryMax;
    this.principals = principals;
  }

  /** The entry of a topic, or -1. */
  find(topic: string): number {
    const node = this.tree.find(topic);
    return node < 0 ? none : this.tree.entry(node);
  }

  /** Whether the message fits beside all others within these limits. */
  hasRoom(message: Message, messagesMax: number, bytesMax: number): boolean {
    const old = this.find(message.topic.name);
    const cost = costIn(message.topic.name, message.cost);
    if (old >= 0) return this.bytes + cost - this.cost(old) <= bytesMax;
    return this.count < messagesMax && this.bytes + cost <= bytesMax && this.tree.levelCount < levelNamesMax;
  }

  /** What a principal would have retained if it had this message, too. */
  wouldHave(principal: string, message: Message): { readonly messages: number; readonly bytes: number } {
    const holdings = this.principals.find(principal);
    const { name } = message.topic;
    const cost = costIn(name, message.cost);
    if (holdings === undefined) return { messages: 1, bytes: cost };
    const old = this.find(name);
    const isItsOwn = old >= 0 && this.rows.get(old, entryOwner) === holdings.number;
    const { retainedMessages, retainedBytes } = holdings;
    if (isItsOwn) return { messages: retainedMessages, bytes: retainedBytes + cost - this.cost(old) };
    return { messages: retainedMessages + 1, bytes: retainedBytes + cost };
  }

  /** Stores or replaces: a message that is owned. Returns the entry. */
  put(message: Message, principal: string | null = null): number {
    const entry = this.place(message.topic.name, message.id, message.cost);
    this.own(entry, principal);
    this.values[entry] = message;
    if (this.bytesInMemoryMax !== Number.POSITIVE_INFINITY && !message.topic.isSystem) {
      this.line(entry);
      this.cool();
    }
    return entry;
  }

  /** Notes one that is in the store, under this id; `cost` as of its message. Returns the entry. */
  restore(topic: string, id: number, cost: number, principal: string | null = null): number {
    const entry = this.place(topic, id, cost);
    this.own(entry, principal);
    return entry;
  }

  delete(entry: number): void {
    this.unline(entry);
    this.disown(entry);
    this.count--;
    this.bytes -= this.cost(entry);
    this.values[entry] = null;
    this.deadlines.delete(entry);
    this.tree.setEntry(this.node(entry), none);
    this.rows.setWide(entry, entryOrder, 0);
    this.rows.give(entry);
    if (this.values.length > this.rows.used) this.values.length = this.rows.used;
  }

  // ── What is known of an entry

  topic(entry: number): string {
    return this.tree.topic(this.node(entry));
  }

  /** Rises with every message stored; 0 for an entry that is gone. */
  orderOf(entry: number): number {
    return entry < this.rows.used ? this.rows.wide(entry, entryOrder) : 0;
  }

  /** The id of the message in the store. */
  id(entry: number): number {
    return this.rows.wide(entry, entryId);
  }

  cost(entry: number): number {
    return this.rows.get(entry, entryCost);
  }

  /** Null: it is cold. */
  value(entry: number): Message | null {
    return this.values[entry] ?? null;
  }

  /** Monotonic milliseconds; Infinity: not in this life. */
  expiresAt(entry: number): number {
    return this.deadlines.get(entry)?.at ?? Number.POSITIVE_INFINITY;
  }

  // ── Memory

  /** A cold value was read: it stays while there is room. */
  warm(entry: number, message: Message): void {
    if (this.bytesInMemory + this.weight(entry) > this.bytesInMemoryMax || this.value(entry) !== null) return;
    this.values[entry] = message;
    this.line(entry);
  }

  /** Everything stored so far is in the batch that was sealed now, or in an earlier one. */
  sealed(): void {
    this.sealedOrder = this.order;
  }

  /** The batch that was sealed last lasts. */
  lasts(): void {
    this.lastingOrder = this.sealedOrder;
    this.cool();
  }

  private cool(): void {
    while (this.bytesInMemory > this.bytesInMemoryMax && this.oldest >= 0) {
      const entry = this.oldest;
      if (this.orderOf(entry) > this.lastingOrder) return;
      this.unline(entry);
      this.values[entry] = null;
    }
  }

  private weight(entry: number): number {
    return this.cost(entry) + inMemoryOverheadBytes;
  }

  private line(entry: number): void {
    const { rows } = this;
    rows.set(entry, entryNewer, none);
    this.rows.set(entry, entryOlder, this.newest);
    if (this.newest >= 0) rows.set(this.newest, entryNewer, entry);
    else this.oldest = entry;
    this.newest = entry;
    this.bytesInMemory += this.weight(entry);
  }

  private unline(entry: number): void {
    const { rows } = this;
    const newer = rows.get(entry, entryNewer);
    if (newer === unlined) return;
    const older = rows.get(entry, entryOlder);
    if (older >= 0) rows.set(older, entryNewer, newer);
    else this.oldest = newer;
    if (newer >= 0) rows.set(newer, entryOlder, older);
    else this.newest = older;
    rows.set(entry, entryNewer, unlined);
    this.bytesInMemory -= this.weight(entry);
  }

  // ── Places

  private node(entry: number): number {
    return this.rows.get(entry, entryNode);
  }

  /** An entry for this value, in the place of what was there. */
  private place(topic: string, id: number, messageCost: number): number {
    const node = this.tree.make(topic);
    let entry = this.tree.entry(node);
    if (entry < 0) {
      entry = this.rows.take();
      this.rows.set(entry, entryNode, node);
      this.rows.set(entry, entryCost, 0);
      this.rows.set(entry, entryNewer, unlined);
      this.rows.set(entry, entryOwner, nobody);
      this.tree.setEntry(node, entry);
      this.count++;
    } else {
      this.unline(entry);
      this.disown(entry);
    }
    const cost = costIn(topic, messageCost);
    this.bytes += cost - this.cost(entry);
    this.rows.set(entry, entryCost, cost);
    this.rows.setWide(entry, entryOrder, ++this.order);
    this.rows.setWide(entry, entryId, id);
    this.values[entry] = null;
    return entry;
  }

  private own(entry: number, principal: string | null): void {
    if (principal !== null) this.rows.set(entry, entryOwner, this.principals.retains(principal, this.cost(entry)));
  }

  private disown(entry: number): void {
    const owner = this.rows.get(entry, entryOwner);
    if (owner === nobody) return;
    this.principals.released(owner, this.cost(entry));
    this.rows.set(entry, entryOwner, nobody);
  }

  /** A cursor over what matches `filter` (valid, no share name) and is stored now. To be closed. */
  cursor(filter: string): RetainedCursor {
    return new RetainedCursor(this, filter, false);
  }

  /** All of it, system topics too. Nothing may be stored or deleted meanwhile. */
  *[Symbol.iterator](): Generator<{ readonly topic: string; readonly entry: number; readonly value: Message | null }> {
    const cursor = new RetainedCursor(this, '#', true);
    for (let entry = cursor.next(); entry !== null; entry = cursor.next())
      if (entry >= 0) yield { topic: this.topic(entry), entry, value: this.value(entry) };
    cursor.close();
  }
}

function costIn(topic: string, messageCost: number): number {
  let levels = 1;
  for (let at = topic.indexOf('/'); at >= 0; at = topic.indexOf('/', at + 1)) levels++;
  return messageCost + levels * levelBytes;
}
