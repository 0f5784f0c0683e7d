/**
 * What is due when: a heap of deadlines in virtual time, instead of timers.
 *
 * A deadline is one object for as long as its owner lives; it is armed, moved and disarmed in place. Keep alive is lazy: a
 * packet only stamps its connection, and the deadline looks at the stamp when it comes due.
 */

import type { State } from './state.ts';

/** A moment at which `due(state, owner)` is called. A function and its owner, so that no closure is made per connection. */
export class Deadline {
  /** Monotonic milliseconds; meaningful while armed. */
  at = 0;
  /** Place in the heap; -1: not armed. */
  slot = -1;
  private readonly owner: unknown;
  private readonly due: (state: State, owner: never) => void;

  private constructor(owner: unknown, due: (state: State, owner: never) => void) {
    this.owner = owner;
    this.due = due;
  }

  static of<Owner>(owner: Owner, due: (state: State, owner: Owner) => void): Deadline {
    return new Deadline(owner, due);
  }

  get isArmed(): boolean {
    return this.slot >= 0;
  }

  fire(state: State): void {
    this.due(state, this.owner as never);
  }
}

export class Deadlines {
  private readonly heap: Deadline[] = [];

  /** The earliest deadline; Infinity when there is none. */
  get next(): number {
    return this.heap[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  /** Arms, or moves when armed. An infinite time disarms. */
  arm(deadline: Deadline, at: number): void {
    if (at === Number.POSITIVE_INFINITY) {
      this.disarm(deadline);
      return;
    }
    deadline.at = at;
    if (deadline.slot < 0) {
      deadline.slot = this.heap.length;
      this.heap.push(deadline);
    }
    this.rise(deadline);
    this.sink(deadline);
  }

  disarm(deadline: Deadline): void {
    if (deadline.slot < 0) return;
    const last = this.heap.pop() as Deadline;
    if (last !== deadline) {
      this.put(last, deadline.slot);
      this.rise(last);
      this.sink(last);
    }
    deadline.slot = -1;
  }

  /** Takes the earliest deadline that is due, disarmed; undefined when none is. */
  take(now: number): Deadline | undefined {
    const first = this.heap[0];
    if (first === undefined || first.at > now) return undefined;
    this.disarm(first);
    return first;
  }

  private rise(deadline: Deadline): void {
    while (deadline.slot > 0) {
      const parent = this.heap[(deadline.slot - 1) >> 1] as Deadline;
      if (parent.at <= deadline.at) return;
      const slot = parent.slot;
      this.put(parent, deadline.slot);
      this.put(deadline, slot);
    }
  }

  private sink(deadline: Deadline): void {
    for (;;) {
      const left = deadline.slot * 2 + 1;
      let child = this.heap[left];
      if (child === undefined) return;
      const right = this.heap[left + 1];
      if (right !== undefined && right.at < child.at) child = right;
      if (child.at >= deadline.at) return;
      const slot = child.slot;
      this.put(child, deadline.slot);
      this.put(deadline, slot);
    }
  }

  private put(deadline: Deadline, slot: number): void {
    this.heap[slot] = deadline;
    deadline.slot = slot;
  }
}
