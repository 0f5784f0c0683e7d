/** One subscriber of `pipit bench`: how long each message took, and whether any came twice or after a later one. */

import type { RecordableHistogram } from 'node:perf_hooks';
import type { Message } from '@pipit/client';
import { type BenchPlan, payloadBytesMin } from './bench-plan.ts';
import type { Board } from './board.ts';
import { addLatency } from './latencies.ts';
import type { SharedClock } from './shared-clock.ts';

/** What the subscribers of a thread have in common. */
export interface SubscriberOwner {
  readonly plan: BenchPlan;
  readonly board: Board;
  readonly clock: SharedClock;
  /** From when a message was due to its delivery. */
  readonly deliveries: RecordableHistogram;
  /** Deliveries are told to the publishers together, at the end of the turn. */
  readonly told: DeliveryCount;
}

export class BenchSubscriber {
  received = 0;
  /** Messages that came again, or after a later one of the same publisher. */
  misplaced = 0;
  readonly #owner: SubscriberOwner;
  /** By publisher, the first of which is `#first`: the number that is expected next. */
  readonly #next: Uint32Array;
  readonly #first: number;

  constructor(index: number, owner: SubscriberOwner) {
    const isPaired = owner.plan.delivery === 'pair';
    this.#owner = owner;
    this.#next = new Uint32Array(isPaired ? 1 : owner.plan.publishers);
    this.#first = isPaired ? index : 0;
  }

  readonly take = ({ payload }: Message): void => {
    if (payload.length < payloadBytesMin) return;
    const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
    const { board, clock, deliveries, told } = this.#owner;
    const publisher = view.getUint32(0);
    const dueAt = view.getFloat64(8);
    this.received++;
    this.#place(publisher - this.#first, view.getUint32(4));
    if (board.isMeasured(dueAt)) addLatency(deliveries, clock.now() - dueAt);
    told.add(publisher);
  };

  #place(publisher: number, sequence: number): void {
    const next = this.#next[publisher];
    if (next === undefined) return;
    if (sequence < next) this.misplaced++;
    else this.#next[publisher] = sequence + 1;
  }
}

/** Deliveries of a turn by publisher. */
export class DeliveryCount {
  readonly #board: Board;
  readonly #counts: Uint32Array;
  #touched: number[] = [];

  constructor(board: Board, publishers: number) {
    this.#board = board;
    this.#counts = new Uint32Array(publishers);
  }

  add(publisher: number): void {
    const count = this.#counts[publisher];
    if (count === undefined) return;
    if (this.#touched.length === 0) setImmediate(this.#tell);
    if (count === 0) this.#touched.push(publisher);
    this.#counts[publisher] = count + 1;
  }

  readonly #tell = (): void => {
    const touched = this.#touched;
    this.#touched = [];
    for (const publisher of touched) {
      this.#board.addDelivered(publisher, this.#counts[publisher] as number);
      this.#counts[publisher] = 0;
    }
  };
}
