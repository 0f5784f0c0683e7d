/**
 * The topics of retained messages as a tree of numbered nodes, each with the number of the entry that is its value.
 *
 * A node is (parent, level). Two ways lead through them: the children of a node, in the order in which they came, and the nodes of
 * a name, wherever they are: a name is often rarer than what a wildcard before it would have to look through. Whoever walks the tree between turns pins the
 * node it will go on from: a pinned node stays in its list when it leads nowhere any more, and goes when it is let go.
 */

import { Levels } from './levels.ts';
import { PairIndex, Rows } from './rows.ts';

const nodeParent = 0;
const nodeLevel = 1;
const nodeEntry = 2;
const nodeFirst = 3; // its first child
const nodeNext = 4; // child of the same parent
const nodePrevious = 5; // the first child's is the last one
const nodeChildCount = 6;
const nodeNamedNext = 7; // with the same name
const nodeNamedPrevious = 8;
const columns = 9;

export const root = 0;
export const none = -1;

export class RetainedTree {
  private readonly nodes = new Rows(columns);
  private readonly children: PairIndex;
  private readonly levels: Levels;
  /** How often each node is pinned. */
  private readonly pins = new Map<number, number>();

  /** `seed`: see PairIndex. */
  constructor(seed = 0) {
    this.levels = new Levels(seed);
    this.children = new PairIndex(this.nodes, nodeParent, nodeLevel, seed);
    this.nodes.take();
    this.clear(root, none, none);
  }

  /** Different level names. */
  get levelCount(): number {
    return this.levels.count;
  }

  /** Nodes that somebody will go on from. */
  get pinCount(): number {
    return this.pins.size;
  }

  /** The number of a level name, or -1 when no topic has it: then none that is here matches a filter with it. */
  level(name: string): number {
    return this.levels.find(name);
  }

  /** The node of a topic, or -1. */
  find(topic: string): number {
    let node = root;
    for (const name of topic.split('/')) {
      const level = this.levels.find(name);
      node = level < 0 ? none : this.children.find(node, level);
      if (node < 0) return none;
    }
    return node;
  }

  /** The node of a topic, which must be given an entry. */
  make(topic: string): number {
    let node = root;
    for (const name of topic.split('/')) {
      const level = this.levels.find(name);
      const child = level < 0 ? none : this.children.find(node, level);
      node = child < 0 ? this.append(node, name) : child;
    }
    return node;
  }

  topic(of: number): string {
    let topic = this.name(of);
    for (let node = this.parent(of); node !== root; node = this.parent(node)) topic = `${this.name(node)}/${topic}`;
    return topic;
  }

  name(node: number): string {
    return this.levels.name(this.levelOf(node));
  }

  parent(node: number): number {
    return this.nodes.get(node, nodeParent);
  }

  entry(node: number): number {
    return this.nodes.get(node, nodeEntry);
  }

  /** Sets or, with -1, removes the value of a node; a node that leads nowhere then is gone. */
  setEntry(node: number, entry: number): void {
    this.nodes.set(node, nodeEntry, entry);
    if (entry < 0) this.prune(node);
  }

  child(node: number, level: number): number {
    return this.children.find(node, level);
  }

  firstChild(node: number): number {
    return this.nodes.get(node, nodeFirst);
  }

  /** The next child of the same parent, or -1. */
  next(node: number): number {
    return this.nodes.get(node, nodeNext);
  }

  childCount(node: number): number {
    return this.nodes.get(node, nodeChildCount);
  }

  levelOf(node: number): number {
    return this.nodes.get(node, nodeLevel);
  }

  /** How many nodes have a name. */
  namedCount(level: number): number {
    return this.levels.uses(level);
  }

  firstNamed(level: number): number {
    return this.levels.head(level);
  }

  /** The next node of the same name, or -1. */
  nextNamed(node: number): number {
    return this.nodes.get(node, nodeNamedNext);
  }

  pin(node: number): void {
    this.pins.set(node, (this.pins.get(node) ?? 0) + 1);
  }

  unpin(node: number): void {
    const left = (this.pins.get(node) ?? 0) - 1;
    if (left > 0) this.pins.set(node, left);
    else {
      this.pins.delete(node);
      this.prune(node);
    }
  }

  private append(parent: number, name: string): number {
    const node = this.nodes.take();
    this.clear(node, parent, this.levels.use(name));
    const { nodes } = this;
    const first = nodes.get(parent, nodeFirst);
    if (first < 0) {
      nodes.set(parent, nodeFirst, node);
      nodes.set(node, nodePrevious, node);
    } else {
      const last = nodes.get(first, nodePrevious);
      nodes.set(last, nodeNext, node);
      nodes.set(node, nodePrevious, last);
      nodes.set(first, nodePrevious, node);
    }
    nodes.set(parent, nodeChildCount, nodes.get(parent, nodeChildCount) + 1);
    this.children.add(node);
    this.addNamed(node);
    return node;
  }

  private clear(node: number, parent: number, level: number): void {
    const { nodes } = this;
    nodes.set(node, nodeParent, parent);
    nodes.set(node, nodeLevel, level);
    nodes.set(node, nodeEntry, none);
    nodes.set(node, nodeFirst, none);
    nodes.set(node, nodeNext, none);
    nodes.set(node, nodePrevious, none);
    nodes.set(node, nodeChildCount, 0);
  }

  /** Frees nodes that lead nowhere any more, from here to the root. */
  private prune(from: number): void {
    let node = from;
    while (node !== root && this.entry(node) < 0 && this.firstChild(node) < 0 && !this.pins.has(node)) {
      const parent = this.parent(node);
      this.children.remove(node);
      this.unlink(node, parent);
      this.removeNamed(node);
      this.levels.unuse(this.levelOf(node));
      this.nodes.give(node);
      node = parent;
    }
  }

  private unlink(node: number, parent: number): void {
    const { nodes } = this;
    const next = nodes.get(node, nodeNext);
    const previous = nodes.get(node, nodePrevious);
    const first = nodes.get(parent, nodeFirst);
    nodes.set(parent, nodeChildCount, nodes.get(parent, nodeChildCount) - 1);
    if (first === node) nodes.set(parent, nodeFirst, next);
    else nodes.set(previous, nodeNext, next);
    if (next >= 0) nodes.set(next, nodePrevious, previous);
    else if (first !== node) nodes.set(first, nodePrevious, previous);
  }

  private addNamed(node: number): void {
    const { nodes } = this;
    const level = this.levelOf(node);
    const first = this.levels.head(level);
    nodes.set(node, nodeNamedNext, first);
    nodes.set(node, nodeNamedPrevious, none);
    if (first >= 0) nodes.set(first, nodeNamedPrevious, node);
    this.levels.setHead(level, node);
  }

  private removeNamed(node: number): void {
    const { nodes } = this;
    const next = nodes.get(node, nodeNamedNext);
    const previous = nodes.get(node, nodeNamedPrevious);
    if (previous >= 0) nodes.set(previous, nodeNamedNext, next);
    else this.levels.setHead(this.levelOf(node), next);
    if (next >= 0) nodes.set(next, nodeNamedPrevious, previous);
  }
}
