/**
 * Goes through the retained messages that match a filter, in steps between which anything may come and go.
 *
 * It walks only what can match. Of the nodes it has passed it remembers, for each wildcard, the child to go on from, and pins
 * it. It tells entries, not values, and leaves out what was stored after it began, because that was delivered live.
 */

import type { RetainedStore } from './retained.ts';
import { none, type RetainedTree, root } from './retained-tree.ts';

/** In place of the number of a level name. */
const anyLevel = -2;
const allLevels = -3;

/** The children of one node, from `child` on, which is pinned. `depth`: levels of the filter that led to them. */
interface Row {
  child: number;
  readonly depth: number;
  readonly isFirst: boolean;
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
      return this.visit(root, 0);
    }
    const row = this.rows[this.rows.length - 1];
    if (row === undefined) return null;
    const { child, depth, isFirst } = row;
    if (child < 0) {
      this.rows.pop();
      return none;
    }
    row.child = this.tree.next(child);
    if (row.child >= 0) this.tree.pin(row.child);
    const entry =
      isFirst && !this.isSystemToo && this.tree.name(child).startsWith('$') ? none : this.visit(child, depth); // [MQTT-4.7.2-1]
    this.tree.unpin(child);
    return entry;
  }

  /** It goes no further, and lets go of its place. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.isBegun = true;
    this.retained.cursors--;
    for (const { child } of this.rows.splice(0)) if (child >= 0) this.tree.unpin(child);
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

  private enter(parent: number, depth: number): void {
    const child = this.tree.firstChild(parent);
    if (child < 0) return;
    this.tree.pin(child);
    this.rows.push({ child, depth, isFirst: parent === root });
  }

  private value(node: number): number {
    const entry = this.tree.entry(node);
    return entry < 0 || this.retained.orderOf(entry) > this.order ? none : entry;
  }
}
