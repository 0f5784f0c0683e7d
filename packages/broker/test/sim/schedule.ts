/** What happens when, in virtual milliseconds. What is due at the same time happens in the order in which it was planned. */

interface Plan {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class Schedule {
  private readonly heap: Plan[] = [];
  private planned = 0;
  now: number;

  constructor(now: number) {
    this.now = now;
  }

  /** When the next thing happens; Infinity: nothing is planned. */
  get next(): number {
    return this.heap[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  at(time: number, run: () => void): void {
    const { heap } = this;
    heap.push({ at: Math.max(time, this.now), order: this.planned++, run });
    for (let child = heap.length - 1; child > 0; ) {
      const parent = (child - 1) >> 1;
      if (!this.isBefore(child, parent)) break;
      this.swap(child, parent);
      child = parent;
    }
  }

  /** Moves the clock to the next plan and carries it out. */
  step(): void {
    const { heap } = this;
    const first = heap[0] as Plan;
    const last = heap.pop() as Plan;
    if (heap.length > 0) {
      heap[0] = last;
      this.sink();
    }
    this.now = first.at;
    first.run();
  }

  private sink(): void {
    const { heap } = this;
    for (let parent = 0; ; ) {
      let child = parent * 2 + 1;
      if (child >= heap.length) return;
      if (child + 1 < heap.length && this.isBefore(child + 1, child)) child++;
      if (!this.isBefore(child, parent)) return;
      this.swap(child, parent);
      parent = child;
    }
  }

  private isBefore(i: number, j: number): boolean {
    const a = this.heap[i] as Plan;
    const b = this.heap[j] as Plan;
    return a.at < b.at || (a.at === b.at && a.order < b.order);
  }

  private swap(i: number, j: number): void {
    const { heap } = this;
    const other = heap[i] as Plan;
    heap[i] = heap[j] as Plan;
    heap[j] = other;
  }
}
