/** What the log has asked its disk for, and what goes on when the answer comes. */

import type { DiskOperation, DiskResult } from './disk.ts';

export interface Asked {
  readonly id: number;
  readonly operation: DiskOperation;
}

export class Operations {
  private readonly waiting = new Map<number, (result: DiskResult) => void>();
  private asked: Asked[] = [];
  private lastId = 0;

  ask(operation: DiskOperation, then: (result: DiskResult) => void): void {
    const id = ++this.lastId;
    this.waiting.set(id, then);
    this.asked.push({ id, operation });
  }

  done(id: number, result: DiskResult): void {
    const then = this.waiting.get(id);
    this.waiting.delete(id);
    then?.(result);
  }

  take(): readonly Asked[] {
    const { asked } = this;
    this.asked = [];
    return asked;
  }

  /** Nothing is asked for that was not answered. */
  get isIdle(): boolean {
    return this.waiting.size === 0;
  }
}

/** Why an operation did not do what it should; null when it did. */
export function failureOf(result: DiskResult): string | null {
  return result.kind === 'failed' ? result.reason : null;
}
