/**
 * All subscriptions of all sessions, as numbers: a tree of filter levels in typed arrays.
 *
 * A node is (parent, level); one open-addressing table finds a child by both, another finds a subscription by (session, node).
 * Level names are interned to numbers, so a node costs about 25 bytes, a subscription about 40, and nothing of it is an object
 * for the garbage collector to walk. Removing the last subscription below a node frees the node and its level name.
 *
 * Owns the filters; knows nothing of sessions but their numbers, which also stand for shared groups (see router.ts).
 */

import { hash, Levels, plus } from './levels.ts';
import { PairIndex, Rows } from './rows.ts';

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
    let node = from;
    while (node !== root && (nodes.column(nodeHead)[node] as number) < 0 && nodes.column(nodeChildren)[node] === 0) {
      const parent = nodes.column(nodeParent)[node] as number;
      this.children.remove(node);
      this.levels.unuse(nodes.column(nodeLevel)[node] as number);
      nodes.give(node);
      const childrenOf = nodes.column(nodeChildren);
      childrenOf[parent] = (childrenOf[parent] as number) - 1;
      node = parent;
    }
  }
}
