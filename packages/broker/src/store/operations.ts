/** What the log has asked its disk for, and what goes on when the answer comes. */

import type { DiskOperation, DiskResult } from './disk.ts';

export interface Asked {
  readonly id: number;
  readonly operation: DiskOperation;
}

/** While patient: a read that fails is tried again after so long, so often, and all together so often in a row. */
const waitMs = 250;
const attemptsMax = 4;
const waitsMax = 16;

export class Operations {
  private readonly waiting = new Map<number, (result: DiskResult) => void>();
  private asked: Asked[] = [];
  private lastId = 0;
  /**
   * Whether what fails to be read is tried again. At the start, where it would be taken for lost: a disk that comes back a moment
   * later has everything. One that never does costs seconds only, because in the end each read is tried once.
   */
  isPatient = false;
  private waits = 0;

  ask(operation: DiskOperation, then: (result: DiskResult) => void): void {
    const isRead = operation.kind === 'read' || operation.kind === 'list';
    if (isRead && this.isPatient) this.attempt(operation, then, 1);
    else this.askOnce(operation, then);
  }

  private attempt(operation: DiskOperation, then: (result: DiskResult) => void, attempt: number): void {
    this.askOnce(operation, (result) => {
      if (result.kind !== 'failed') {
        // It was worth waiting.
        if (attempt > 1) this.waits = 0;
        return then(result);
      }
      if (attempt === attemptsMax || this.waits === waitsMax) return then(result);
      this.waits++;
      this.askOnce({ kind: 'wait', ms: waitMs }, () => this.attempt(operation, then, attempt + 1));
    });
  }

  private askOnce(operation: DiskOperation, then: (result: DiskResult) => void): void {
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
