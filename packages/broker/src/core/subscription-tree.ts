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
  private readonly children: PairIndex;
  private readonly subs = new Rows(8);
  private readonly bySession: PairIndex;
  private readonly levels: Levels;
  private readonly pending: number[] = [];
  private readonly ownerHeads: number[] = [];
  /** Subscriptions held. */
  count = 0;

  /** `seed`: see PairIndex. */
  constructor(seed = 0) {
    this.levels = new Levels(seed);
    this.children = new PairIndex(this.nodes, nodeParent, nodeLevel, seed);
    this.bySession = new PairIndex(this.subs, subOwner, subNode, seed);
    const node = this.nodes.take();
    this.nodes.set(node, nodeHead, -1);
    this.nodes.set(node, nodeParent, -1);
    this.nodes.set(node, nodeLevel, -1);
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
    this.subs.set(sub, subOptions, options);
    this.subs.set(sub, subIdentifier, identifier);
    return isNew;
  }

  /** The number of a subscription, or -1. Numbers hold until it is removed. */
  find(owner: number, filter: string): number {
    const node = this.findNode(filter);
    return node < 0 ? -1 : this.bySession.find(owner, node);
  }

  options(sub: number): number {
    return this.subs.get(sub, subOptions);
  }

  identifier(sub: number): number {
    return this.subs.get(sub, subIdentifier);
  }

  /** Of one that was removed, and whose number nobody has now: nobody's. */
  owner(sub: number): number {
    return this.subs.get(sub, subOwner);
  }

  /** The filter's text, put together from its levels. */
  filter(sub: number): string {
    const parts: string[] = [];
    for (let node = this.subs.get(sub, subNode); node !== root; node = this.nodes.get(node, nodeParent)) {
      parts.push(this.levels.name(this.nodes.get(node, nodeLevel)));
    }
    return parts.reverse().join('/');
  }

  remove(sub: number): void {
    const subs = this.subs;
    const node = subs.get(sub, subNode);
    const owner = subs.get(sub, subOwner);
    this.bySession.remove(sub);
    this.unlink(sub, subNext, subPrevious, (next) => {
      this.nodes.set(node, nodeHead, next);
    });
    this.unlink(sub, subOwnerNext, subOwnerPrevious, (next) => {
      this.ownerHeads[owner] = next;
    });
    subs.set(sub, subOwner, -1);
    subs.give(sub);
    this.count--;
    this.prune(node);
  }

  /** The first subscription of an owner, or -1; go on with `nextOf`. The newest comes first. */
  firstOf(owner: number): number {
    return this.ownerHeads[owner] ?? -1;
  }

  nextOf(sub: number): number {
    return this.subs.get(sub, subOwnerNext);
  }

  /** Appends the numbers of all subscriptions whose filter matches `topic` to `into`. How many nodes it has looked at. */
  match(topic: string, into: number[]): number {
    const names = topic.split('/');
    const depth = names.length;
    const levels = new Array<number>(depth);
    for (let i = 0; i < depth; i++) levels[i] = this.levels.find(names[i] as string);
    // Wildcards in the first level do not match topics that begin with $ [MQTT-4.7.2-1].
    const isSystem = topic.charCodeAt(0) === 0x24;
    const pending = this.pending;
    let visits = 0;
    pending.push(root, 0);
    while (pending.length > 0) {
      visits++;
      const at = pending.pop() as number;
      const node = pending.pop() as number;
      const wild = at > 0 || !isSystem;
      if (wild) this.collect(this.children.find(node, hash), into);
      if (at === depth) {
        this.collect(node, into);
        continue;
      }
      if (this.nodes.get(node, nodeChildren) === 0) continue;
      const level = levels[at] as number;
      const exact = level < 0 ? -1 : this.children.find(node, level);
      if (exact >= 0) pending.push(exact, at + 1);
      const any = wild ? this.children.find(node, plus) : -1;
      if (any >= 0) pending.push(any, at + 1);
    }
    return visits;
  }

  private collect(node: number, into: number[]): void {
    if (node < 0) return;
    const { subs } = this;
    for (let sub = this.nodes.get(node, nodeHead); sub >= 0; sub = subs.get(sub, subNext)) into.push(sub);
  }

  private link(owner: number, node: number): number {
    const sub = this.subs.take();
    const subs = this.subs;
    const onNode = this.nodes.get(node, nodeHead);
    const ofOwner = this.firstOf(owner);
    subs.set(sub, subNode, node);
    subs.set(sub, subOwner, owner);
    subs.set(sub, subNext, onNode);
    subs.set(sub, subPrevious, -1);
    subs.set(sub, subOwnerNext, ofOwner);
    subs.set(sub, subOwnerPrevious, -1);
    if (onNode >= 0) subs.set(onNode, subPrevious, sub);
    if (ofOwner >= 0) subs.set(ofOwner, subOwnerPrevious, sub);
    this.nodes.set(node, nodeHead, sub);
    while (this.ownerHeads.length <= owner) this.ownerHeads.push(-1);
    this.ownerHeads[owner] = sub;
    this.bySession.add(sub);
    this.count++;
    return sub;
  }

  /** Takes a subscription out of one of its two lists; `setHead` is called when it was the first. */
  private unlink(sub: number, nextColumn: number, previousColumn: number, setHead: (next: number) => void): void {
    const { subs } = this;
    const next = subs.get(sub, nextColumn);
    const previous = subs.get(sub, previousColumn);
    if (previous >= 0) subs.set(previous, nextColumn, next);
    else setHead(next);
    if (next >= 0) subs.set(next, previousColumn, previous);
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
        this.nodes.set(child, nodeParent, node);
        this.nodes.set(child, nodeLevel, this.levels.use(name));
        this.nodes.set(child, nodeHead, -1);
        this.nodes.set(child, nodeChildren, 0);
        this.nodes.set(node, nodeChildren, this.nodes.get(node, nodeChildren) + 1);
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
    while (node !== root && nodes.get(node, nodeHead) < 0 && nodes.get(node, nodeChildren) === 0) {
      const parent = nodes.get(node, nodeParent);
      this.children.remove(node);
      this.levels.unuse(nodes.get(node, nodeLevel));
      nodes.give(node);
      nodes.set(parent, nodeChildren, nodes.get(parent, nodeChildren) - 1);
      node = parent;
    }
  }
}
