/**
 * Goes through the retained messages that match a filter, in steps between which anything may come and go.
 *
 * It walks only what can match: down from the root or, when a name behind a wildcard is rarer than what that wildcard stands for,
 * down from all nodes of that name whose way up fits. Of the nodes it has passed it remembers, for each wildcard, the one to go on
 * from, and pins it. It tells entries, not values, and leaves out what was stored after it began, because that was delivered live.
 */

import type { RetainedStore } from './retained.ts';
import { none, type RetainedTree, root } from './retained-tree.ts';

/** In place of the number of a level name. */
const anyLevel = -2;
const allLevels = -3;

/** Nodes side by side from `node` on, which is pinned: children of one parent, or all of one name. `depth`: levels of the filter that led to them. */
interface Row {
  node: number;
  readonly depth: number;
  readonly isNamed: boolean;
}

export class RetainedCursor {
  private readonly retained: RetainedStore;
  private readonly tree: RetainedTree;
  /** By number; -1 for a name that no topic has. */
  private readonly levels: readonly number[];
  private readonly order: number;
  /** Let a wildcard in the first level match `$` topics too. */
  private readonly isSystemToo: boolean;
  private readonly rows: Row[] = [];
  private isBegun = false;
  private isClosed = false;

  /** Not for others than the store itself. */
  constructor(retained: RetainedStore, filter: string, isSystemToo: boolean) {
    this.retained = retained;
    this.tree = retained.tree;
    this.order = retained.order;
    this.isSystemToo = isSystemToo;
    // A number given to another name later leads to entries of a later order only.
    this.levels = filter
      .split('/')
      .map((name) => (name === '#' ? allLevels : name === '+' ? anyLevel : this.tree.level(name)));
    // A name that occurs in no topic: there is nothing to look for.
    if (this.levels.includes(none)) this.isBegun = true;
    retained.cursors++;
  }

  /** One step: the number of an entry; -1 when it found none; null when nothing is left. */
  next(): number | null {
    if (!this.isBegun) {
      this.isBegun = true;
      return this.begin();
    }
    const row = this.rows[this.rows.length - 1];
    if (row === undefined) return null;
    const { node, depth, isNamed } = row;
    if (node < 0) {
      this.rows.pop();
      return none;
    }
    row.node = isNamed ? this.tree.nextNamed(node) : this.tree.next(node);
    if (row.node >= 0) this.tree.pin(row.node);
    const fits = isNamed ? this.fitsUpwards(node, depth) : !this.isHidden(node);
    const entry = fits ? this.visit(node, depth) : none;
    this.tree.unpin(node);
    return entry;
  }

  /** It goes no further, and lets go of its place. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.isBegun = true;
    this.retained.cursors--;
    for (const { node } of this.rows.splice(0)) if (node >= 0) this.tree.unpin(node);
  }

  /** Follows names down from a node as far as they go, at once: they are few. */
  private visit(from: number, fromDepth: number): number {
    let node = from;
    let depth = fromDepth;
    for (;;) {
      const level = this.levels[depth];
      if (level === undefined) return this.value(node);
      if (level === anyLevel || level === allLevels) {
        this.enter(node, level === allLevels ? depth : depth + 1);
        // `a/#` matches `a` itself, and under # every node's own value counts [MQTT-4.7.1-2].
        return level === allLevels && node !== root ? this.value(node) : none;
      }
      node = this.tree.child(node, level);
      depth++;
      if (node < 0) return none;
    }
  }

  /** Goes down from the root, or finds where it is shorter to begin. */
  private begin(): number {
    const { tree, levels } = this;
    const wild = levels.findIndex((level) => level < 0);
    let rarest = -1;
    for (let at = wild + 1; wild >= 0 && at < levels.length; at++) {
      const isRarer = rarest < 0 || this.count(at) < this.count(rarest);
      if ((levels[at] as number) >= 0 && isRarer) rarest = at;
    }
    if (rarest < 0) return this.visit(root, 0);
    let node = root;
    for (let at = 0; at < wild && node >= 0; at++) node = tree.child(node, levels[at] as number);
    if (node < 0) return none;
    if (this.count(rarest) >= this.widthBelow(node, wild)) return this.visit(node, wild);
    this.walk(tree.firstNamed(levels[rarest] as number), rarest + 1, true);
    return none;
  }

  /** How many nodes the wildcards in a row from `at` on stand for, if the first child of each is like the others. */
  private widthBelow(from: number, at: number): number {
    const { tree, levels } = this;
    let node = from;
    let width = 1;
    for (let depth = at; node >= 0 && (levels[depth] ?? 0) < 0; depth++) {
      width *= tree.childCount(node);
      node = tree.firstChild(node);
    }
    return width;
  }

  private count(at: number): number {
    return this.tree.namedCount(this.levels[at] as number);
  }

  /** Whether so many levels of the filter lead from the root to this node. */
  private fitsUpwards(from: number, depth: number): boolean {
    const { tree, levels } = this;
    let node = from;
    for (let at = depth - 1; at >= 0; at--) {
      if (node === root) return false;
      const level = levels[at] as number;
      if (level >= 0 ? tree.levelOf(node) !== level : this.isHidden(node)) return false;
      node = tree.parent(node);
    }
    return node === root;
  }

  /** Wildcards in the first level do not match topics that begin with $ [MQTT-4.7.2-1]. */
  private isHidden(node: number): boolean {
    return !this.isSystemToo && this.tree.parent(node) === root && this.tree.name(node).startsWith('$');
  }

  private enter(parent: number, depth: number): void {
    this.walk(this.tree.firstChild(parent), depth, false);
  }

  private walk(node: number, depth: number, isNamed: boolean): void {
    if (node < 0) return;
    this.tree.pin(node);
    this.rows.push({ node, depth, isNamed });
  }

  private value(node: number): number {
    const entry = this.tree.entry(node);
    return entry < 0 || this.retained.orderOf(entry) > this.order ? none : entry;
  }
}
