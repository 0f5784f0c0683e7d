/**
 * The topics of retained messages as a tree of numbered nodes, each with the number of the entry that is its value.
 *
 * A node is (parent, level), its children a list in the order in which they came. Whoever walks the tree between turns pins the
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
const columns = 6;

export const root = 0;
export const none = -1;

export class RetainedTree {
  private readonly nodes = new Rows(columns);
  private readonly children = new PairIndex(this.nodes, nodeParent, nodeLevel);
  private readonly levels = new Levels();
  /** How often each node is pinned. */
  private readonly pins = new Map<number, number>();

  constructor() {
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
    return this.levels.name(this.nodes.column(nodeLevel)[node] as number);
  }

  parent(node: number): number {
    return this.nodes.column(nodeParent)[node] as number;
  }

  entry(node: number): number {
    return this.nodes.column(nodeEntry)[node] as number;
  }

  /** Sets or, with -1, removes the value of a node; a node that leads nowhere then is gone. */
  setEntry(node: number, entry: number): void {
    this.nodes.column(nodeEntry)[node] = entry;
    if (entry < 0) this.prune(node);
  }

  child(node: number, level: number): number {
    return this.children.find(node, level);
  }

  firstChild(node: number): number {
    return this.nodes.column(nodeFirst)[node] as number;
  }

  /** The next child of the same parent, or -1. */
  next(node: number): number {
    return this.nodes.column(nodeNext)[node] as number;
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
    const nexts = this.nodes.column(nodeNext);
    const previouses = this.nodes.column(nodePrevious);
    const firsts = this.nodes.column(nodeFirst);
    const first = firsts[parent] as number;
    if (first < 0) {
      firsts[parent] = node;
      previouses[node] = node;
    } else {
      const last = previouses[first] as number;
      nexts[last] = node;
      previouses[node] = last;
      previouses[first] = node;
    }
    this.children.add(node);
    return node;
  }

  private clear(node: number, parent: number, level: number): void {
    const { nodes } = this;
    nodes.column(nodeParent)[node] = parent;
    nodes.column(nodeLevel)[node] = level;
    nodes.column(nodeEntry)[node] = none;
    nodes.column(nodeFirst)[node] = none;
    nodes.column(nodeNext)[node] = none;
    nodes.column(nodePrevious)[node] = none;
  }

  /** Frees nodes that lead nowhere any more, from here to the root. */
  private prune(from: number): void {
    let node = from;
    while (node !== root && this.entry(node) < 0 && this.firstChild(node) < 0 && !this.pins.has(node)) {
      const parent = this.parent(node);
      this.children.remove(node);
      this.unlink(node, parent);
      this.levels.unuse(this.nodes.column(nodeLevel)[node] as number);
      this.nodes.give(node);
      node = parent;
    }
  }

  private unlink(node: number, parent: number): void {
    const nexts = this.nodes.column(nodeNext);
    const previouses = this.nodes.column(nodePrevious);
    const firsts = this.nodes.column(nodeFirst);
    const next = nexts[node] as number;
    const previous = previouses[node] as number;
    const first = firsts[parent] as number;
    if (first === node) firsts[parent] = next;
    else nexts[previous] = next;
    if (next >= 0) previouses[next] = previous;
    else if (first !== node) previouses[first] = previous;
  }
}
