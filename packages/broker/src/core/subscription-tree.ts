/**
 * All subscriptions of all sessions, as numbers: a tree of filter levels in typed arrays.
 *
 * A node is (parent, level); one open-addressing table finds a child by both, another finds a subscription by (session, node).
 * Level names are interned to numbers, so a node costs about 25 bytes, a subscription about 40, and nothing of it is an object
 * for the garbage collector to walk. Removing the last subscription below a node frees the node and its level name.
 *
 * Owns the filters; knows nothing of sessions but their numbers, which also stand for shared groups (see router.ts).
 */

/** A growing table of numbered rows, one Int32Array a column, with freed rows used again. */
class Rows {
  private readonly columns: Int32Array[];
  private free = -1;
  private used = 0;

  constructor(columns: number) {
    this.columns = Array.from({ length: columns }, () => new Int32Array(16));
  }

  column(index: number): Int32Array {
    return this.columns[index] as Int32Array;
  }

  take(): number {
    const first = this.column(0);
    if (this.free >= 0) {
      const row = this.free;
      this.free = first[row] as number;
      return row;
    }
    if (this.used === first.length) {
      for (let i = 0; i < this.columns.length; i++) {
        const old = this.column(i);
        const grown = new Int32Array(old.length + Math.max(16, old.length >> 1));
        grown.set(old);
        this.columns[i] = grown;
      }
    }
    return this.used++;
  }

  give(row: number): void {
    this.column(0)[row] = this.free;
    this.free = row;
  }
}

/** Rows found by two of their columns: open addressing, holes closed on removal. */
class PairIndex {
  private slots = new Int32Array(64).fill(-1);
  private count = 0;
  private readonly rows: Rows;
  private readonly a: number;
  private readonly b: number;

  constructor(rows: Rows, a: number, b: number) {
    this.rows = rows;
    this.a = a;
    this.b = b;
  }

  find(a: number, b: number): number {
    const as = this.rows.column(this.a);
    const bs = this.rows.column(this.b);
    const slots = this.slots;
    const mask = slots.length - 1;
    for (let slot = hashPair(a, b) & mask; ; slot = (slot + 1) & mask) {
      const row = slots[slot] as number;
      if (row < 0 || (as[row] === a && bs[row] === b)) return row;
    }
  }

  add(row: number): void {
    if ((this.count + 1) * 3 > this.slots.length * 2) {
      const old = this.slots;
      this.slots = new Int32Array(old.length * 2).fill(-1);
      for (const each of old) if (each >= 0) this.place(each);
    }
    this.place(row);
    this.count++;
  }

  remove(row: number): void {
    const slots = this.slots;
    const mask = slots.length - 1;
    let hole = this.home(row);
    while (slots[hole] !== row) hole = (hole + 1) & mask;
    slots[hole] = -1;
    this.count--;
    for (let slot = (hole + 1) & mask; (slots[slot] as number) >= 0; slot = (slot + 1) & mask) {
      const home = this.home(slots[slot] as number);
      // Only a row that the hole now cuts off from its home slot moves into it.
      if (((slot - home) & mask) >= ((slot - hole) & mask)) {
        slots[hole] = slots[slot] as number;
        slots[slot] = -1;
        hole = slot;
      }
    }
  }

  private place(row: number): void {
    const mask = this.slots.length - 1;
    let slot = this.home(row);
    while ((this.slots[slot] as number) >= 0) slot = (slot + 1) & mask;
    this.slots[slot] = row;
  }

  private home(row: number): number {
    return (
      hashPair(this.rows.column(this.a)[row] as number, this.rows.column(this.b)[row] as number) &
      (this.slots.length - 1)
    );
  }
}

function hashPair(a: number, b: number): number {
  let hash = Math.imul(a ^ Math.imul(b, 0x9e3779b1), 0x85ebca6b);
  hash ^= hash >>> 13;
  return Math.imul(hash, 0xc2b2ae35) >>> 3;
}

const plus = 0;
const hash = 1;

/** Level names ↔ numbers, counted, so that a name goes when its last node goes. */
class Levels {
  private readonly numbers = new Map<string, number>([
    ['+', plus],
    ['#', hash],
  ]);
  private readonly names: string[] = ['+', '#'];
  private readonly uses: number[] = [1, 1];
  private readonly free: number[] = [];

  /** The number of a level name that occurs in some filter, or -1. */
  find(name: string): number {
    return this.numbers.get(name) ?? -1;
  }

  name(level: number): string {
    return this.names[level] as string;
  }

  use(name: string): number {
    let level = this.numbers.get(name);
    if (level === undefined) {
      level = this.free.pop() ?? this.names.length;
      this.numbers.set(name, level);
      this.names[level] = name;
      this.uses[level] = 0;
    }
    this.uses[level] = (this.uses[level] as number) + 1;
    return level;
  }

  unuse(level: number): void {
    const uses = (this.uses[level] as number) - 1;
    this.uses[level] = uses;
    if (uses > 0) return;
    this.numbers.delete(this.names[level] as string);
    this.names[level] = '';
    this.free.push(level);
  }
}

// Columns of a node.
const nodeParent = 0;
const nodeLevel = 1;
const nodeHead = 2; // its first subscription
const nodeChildren = 3; // how many nodes have it as parent

// Columns of a subscription.
const subNode = 0;
const subOwner = 1;
const subNext = 2; // on the same node
const subPrevious = 3;
const subOwnerNext = 4; // of the same owner
const subOwnerPrevious = 5;
const subOptions = 6;
const subIdentifier = 7;

const root = 0;

export class SubscriptionTree {
  private readonly nodes = new Rows(4);
  private readonly children = new PairIndex(this.nodes, nodeParent, nodeLevel);
  private readonly subs = new Rows(8);
  private readonly bySession = new PairIndex(this.subs, subOwner, subNode);
  private readonly levels = new Levels();
  private readonly pending: number[] = [];
  private readonly ownerHeads: number[] = [];
  /** Subscriptions held. */
  count = 0;

  constructor() {
    const node = this.nodes.take();
    this.nodes.column(nodeHead)[node] = -1;
    this.nodes.column(nodeParent)[node] = -1;
    this.nodes.column(nodeLevel)[node] = -1;
  }

  /**
   * Adds a subscription or replaces its options. `filter` must be valid and without a share name.
   * True when it is new.
   */
  put(owner: number, filter: string, options: number, identifier: number): boolean {
    const node = this.makeNode(filter);
    let sub = this.bySession.find(owner, node);
    const isNew = sub < 0;
    if (isNew) sub = this.link(owner, node);
    this.subs.column(subOptions)[sub] = options;
    this.subs.column(subIdentifier)[sub] = identifier;
    return isNew;
  }

  /** The number of a subscription, or -1. Numbers hold until it is removed. */
  find(owner: number, filter: string): number {
    const node = this.findNode(filter);
    return node < 0 ? -1 : this.bySession.find(owner, node);
  }

  options(sub: number): number {
    return this.subs.column(subOptions)[sub] as number;
  }

  identifier(sub: number): number {
    return this.subs.column(subIdentifier)[sub] as number;
  }

  owner(sub: number): number {
    return this.subs.column(subOwner)[sub] as number;
  }

  /** The filter's text, put together from its levels. */
  filter(sub: number): string {
    const parts: string[] = [];
    for (
      let node = this.subs.column(subNode)[sub] as number;
      node !== root;
      node = this.nodes.column(nodeParent)[node] as number
    ) {
      parts.push(this.levels.name(this.nodes.column(nodeLevel)[node] as number));
    }
    return parts.reverse().join('/');
  }

  remove(sub: number): void {
    const subs = this.subs;
    const node = subs.column(subNode)[sub] as number;
    const owner = subs.column(subOwner)[sub] as number;
    this.bySession.remove(sub);
    this.unlink(sub, subNext, subPrevious, (next) => {
      this.nodes.column(nodeHead)[node] = next;
    });
    this.unlink(sub, subOwnerNext, subOwnerPrevious, (next) => {
      this.ownerHeads[owner] = next;
    });
    subs.give(sub);
    this.count--;
    this.prune(node);
  }

  /** The first subscription of an owner, or -1; go on with `nextOf`. The newest comes first. */
  firstOf(owner: number): number {
    return this.ownerHeads[owner] ?? -1;
  }

  nextOf(sub: number): number {
    return this.subs.column(subOwnerNext)[sub] as number;
  }

  /** Appends the numbers of all subscriptions whose filter matches `topic` to `into`. */
  match(topic: string, into: number[]): void {
    const names = topic.split('/');
    const depth = names.length;
    const levels = new Array<number>(depth);
    for (let i = 0; i < depth; i++) levels[i] = this.levels.find(names[i] as string);
    // Wildcards in the first level do not match topics that begin with $ [MQTT-4.7.2-1].
    const isSystem = topic.charCodeAt(0) === 0x24;
    const pending = this.pending;
    pending.push(root, 0);
    while (pending.length > 0) {
      const at = pending.pop() as number;
      const node = pending.pop() as number;
      const wild = at > 0 || !isSystem;
      if (wild) this.collect(this.children.find(node, hash), into);
      if (at === depth) {
        this.collect(node, into);
        continue;
      }
      if (this.nodes.column(nodeChildren)[node] === 0) continue;
      const level = levels[at] as number;
      const exact = level < 0 ? -1 : this.children.find(node, level);
      if (exact >= 0) pending.push(exact, at + 1);
      const any = wild ? this.children.find(node, plus) : -1;
      if (any >= 0) pending.push(any, at + 1);
    }
  }

  private collect(node: number, into: number[]): void {
    if (node < 0) return;
    const next = this.subs.column(subNext);
    for (let sub = this.nodes.column(nodeHead)[node] as number; sub >= 0; sub = next[sub] as number) into.push(sub);
  }

  private link(owner: number, node: number): number {
    const sub = this.subs.take();
    const subs = this.subs;
    const onNode = this.nodes.column(nodeHead)[node] as number;
    const ofOwner = this.firstOf(owner);
    subs.column(subNode)[sub] = node;
    subs.column(subOwner)[sub] = owner;
    subs.column(subNext)[sub] = onNode;
    subs.column(subPrevious)[sub] = -1;
    subs.column(subOwnerNext)[sub] = ofOwner;
    subs.column(subOwnerPrevious)[sub] = -1;
    if (onNode >= 0) subs.column(subPrevious)[onNode] = sub;
    if (ofOwner >= 0) subs.column(subOwnerPrevious)[ofOwner] = sub;
    this.nodes.column(nodeHead)[node] = sub;
    while (this.ownerHeads.length <= owner) this.ownerHeads.push(-1);
    this.ownerHeads[owner] = sub;
    this.bySession.add(sub);
    this.count++;
    return sub;
  }

  /** Takes a subscription out of one of its two lists; `setHead` is called when it was the first. */
  private unlink(sub: number, nextColumn: number, previousColumn: number, setHead: (next: number) => void): void {
    const nexts = this.subs.column(nextColumn);
    const previouses = this.subs.column(previousColumn);
    const next = nexts[sub] as number;
    const previous = previouses[sub] as number;
    if (previous >= 0) nexts[previous] = next;
    else setHead(next);
    if (next >= 0) previouses[next] = previous;
  }

  private findNode(filter: string): number {
    let node = root;
    for (const name of filter.split('/')) {
      const level = this.levels.find(name);
      node = level < 0 ? -1 : this.children.find(node, level);
      if (node < 0) return -1;
    }
    return node;
  }

  private makeNode(filter: string): number {
    let node = root;
    for (const name of filter.split('/')) {
      const known = this.levels.find(name);
      let child = known < 0 ? -1 : this.children.find(node, known);
      if (child < 0) {
        child = this.nodes.take();
        this.nodes.column(nodeParent)[child] = node;
        this.nodes.column(nodeLevel)[child] = this.levels.use(name);
        this.nodes.column(nodeHead)[child] = -1;
        this.nodes.column(nodeChildren)[child] = 0;
        const childrenOf = this.nodes.column(nodeChildren);
        childrenOf[node] = (childrenOf[node] as number) + 1;
        this.children.add(child);
      }
      node = child;
    }
    return node;
  }

  /** Frees nodes that lead nowhere any more, from here to the root. */
  private prune(from: number): void {
    const { nodes } = this;
    const childrenOf = nodes.column(nodeChildren);
    let node = from;
    while (node !== root && (nodes.column(nodeHead)[node] as number) < 0 && childrenOf[node] === 0) {
      const parent = nodes.column(nodeParent)[node] as number;
      this.children.remove(node);
      this.levels.unuse(nodes.column(nodeLevel)[node] as number);
      nodes.give(node);
      childrenOf[parent] = (childrenOf[parent] as number) - 1;
      node = parent;
    }
  }
}
