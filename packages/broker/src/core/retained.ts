/**
 * Retained messages in a tree of topic levels, and the cursor that replays them to one subscription.
 *
 * A wildcard lookup walks only what can match, so its cost follows the matches. The cursor holds its place between turns: Map
 * iterators go on correctly when entries come and go. It reads each value when its turn comes and skips what was published
 * after the subscription began, because that was delivered live.
 */

import type { QoS } from '@pipit/protocol';
import type { Deadline } from './deadlines.ts';
import type { Message } from './message.ts';

class RetainedNode {
  readonly parent: RetainedNode | null;
  readonly level: string;
  children: Map<string, RetainedNode> | null = null;
  entry: RetainedEntry | null = null;

  constructor(parent: RetainedNode | null, level: string) {
    this.parent = parent;
    this.level = level;
  }
}

export interface RetainedEntry {
  readonly message: Message;
  /** Rises with every retained message stored. */
  readonly order: number;
  readonly deadline: Deadline | null;
}

export class RetainedStore {
  private readonly root = new RetainedNode(null, '');
  /** The order of the latest entry. */
  order = 0;
  count = 0;
  bytes = 0;

  get(topic: string): RetainedEntry | null {
    let node: RetainedNode | undefined = this.root;
    for (const level of topic.split('/')) {
      node = node.children?.get(level);
      if (node === undefined) return null;
    }
    return node.entry;
  }

  /** Stores or replaces. Returns the entry that was there. */
  put(message: Message, deadline: Deadline | null): RetainedEntry | null {
    let node = this.root;
    for (const level of message.topic.name.split('/')) {
      node.children ??= new Map();
      let child = node.children.get(level);
      if (child === undefined) {
        child = new RetainedNode(node, level);
        node.children.set(level, child);
      }
      node = child;
    }
    const old = node.entry;
    node.entry = { message, order: ++this.order, deadline };
    this.count += old === null ? 1 : 0;
    this.bytes += message.cost - (old?.message.cost ?? 0);
    return old;
  }

  /** Returns the entry that was there. */
  delete(topic: string): RetainedEntry | null {
    let node: RetainedNode | undefined = this.root;
    for (const level of topic.split('/')) {
      node = node.children?.get(level);
      if (node === undefined) return null;
    }
    const old = node.entry;
    if (old === null) return null;
    node.entry = null;
    this.count--;
    this.bytes -= old.message.cost;
    for (let at: RetainedNode = node; at.parent !== null && at.entry === null && at.children === null; at = at.parent) {
      at.parent.children?.delete(at.level);
      if (at.parent.children?.size === 0) at.parent.children = null;
    }
    return old;
  }

  /** A cursor over what matches `filter` (valid, no share name) and is stored now. */
  cursor(filter: string, options: ReplayOptions): RetainedCursor {
    return new RetainedCursor(this.root, filter, this.order, options);
  }

  *[Symbol.iterator](): Generator<Message> {
    const cursor = new RetainedCursor(this.root, '#', this.order, {
      qos: 0,
      identifiers: null,
      clientId: null,
      isSystemToo: true,
    });
    for (let step = cursor.next(); step !== 'end'; step = cursor.next()) if (step !== null) yield step;
  }
}

export interface ReplayOptions {
  readonly qos: QoS;
  readonly identifiers: readonly number[] | null;
  /** Set for a No Local subscription: what this client published is left out. */
  readonly clientId: string | null;
  /** Let a wildcard in the first level match `$` topics too: for going through everything, never for a client. */
  readonly isSystemToo?: boolean;
}

interface Step {
  readonly node: RetainedNode;
  /** Levels of the filter that lead to the node. */
  readonly depth: number;
}

export class RetainedCursor {
  /** Those of the subscription it is for; may be replaced while it goes on. */
  options: ReplayOptions;
  readonly filter: string;
  private readonly levels: readonly string[];
  /** Entries stored later were delivered live. */
  private readonly order: number;
  private readonly pending: Step[];
  private readonly iterators: {
    readonly children: Iterator<RetainedNode>;
    readonly depth: number;
    readonly isRoot: boolean;
  }[] = [];

  constructor(root: RetainedNode, filter: string, order: number, options: ReplayOptions) {
    this.filter = filter;
    this.levels = filter.split('/');
    this.order = order;
    this.options = options;
    this.pending = [{ node: root, depth: 0 }];
  }

  /** One step: a message to send, null when the step found none, 'end' when nothing is left. */
  next(): Message | null | 'end' {
    const step = this.pending.pop();
    if (step !== undefined) return this.visit(step.node, step.depth);
    const top = this.iterators[this.iterators.length - 1];
    if (top === undefined) return 'end';
    const child = top.children.next();
    if (child.done === true) this.iterators.pop();
    else if (!this.isHidden(child.value, top.isRoot)) this.pending.push({ node: child.value, depth: top.depth });
    return null;
  }

  private visit(node: RetainedNode, depth: number): Message | null {
    const level = this.levels[depth];
    if (level === undefined) return this.value(node);
    if (level === '#' || level === '+') {
      const isRoot = node.parent === null;
      if (node.children !== null) {
        const next = level === '#' ? depth : depth + 1;
        this.iterators.push({ children: node.children.values(), depth: next, isRoot });
      }
      // `a/#` matches `a` itself, and under # every node's own value counts [MQTT-4.7.1-2].
      return level === '#' && !isRoot ? this.value(node) : null;
    }
    const child = node.children?.get(level);
    if (child !== undefined) this.pending.push({ node: child, depth: depth + 1 });
    return null;
  }

  private isHidden(node: RetainedNode, isRoot: boolean): boolean {
    return isRoot && this.options.isSystemToo !== true && node.level.startsWith('$');
  }

  private value(node: RetainedNode): Message | null {
    const { entry } = node;
    if (entry === null || entry.order > this.order) return null;
    if (this.options.clientId !== null && entry.message.publisher === this.options.clientId) return null;
    return entry.message;
  }
}
