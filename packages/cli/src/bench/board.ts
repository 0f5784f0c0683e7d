/**
 * What the threads of `pipit bench` tell each other while they run, in shared memory: no message between threads for a message
 * of MQTT. Each thread writes its own totals; what was delivered of a publisher's messages is counted by whoever got them.
 */

const totalsOfThread = 3;

export class Board {
  readonly buffers: BoardBuffers;
  readonly #delivered: Int32Array;
  readonly #totals: Float64Array;
  readonly #measured: Float64Array;

  static for(publishers: number, threads: number): Board {
    const board = new Board({
      delivered: new SharedArrayBuffer(publishers * 4),
      totals: new SharedArrayBuffer(threads * totalsOfThread * 8),
      measured: new SharedArrayBuffer(16),
    });
    board.measure(Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
    return board;
  }

  constructor(buffers: BoardBuffers) {
    this.buffers = buffers;
    this.#delivered = new Int32Array(buffers.delivered);
    this.#totals = new Float64Array(buffers.totals);
    this.#measured = new Float64Array(buffers.measured);
  }

  /** What was due from then to then is measured; ms of the shared clock. */
  measure(from: number, to: number): void {
    this.#measured[0] = from;
    this.#measured[1] = to;
  }

  isMeasured(dueAt: number): boolean {
    return dueAt >= (this.#measured[0] as number) && dueAt < (this.#measured[1] as number);
  }

  /** Deliveries of a publisher's messages, modulo 2 ** 32. */
  deliveredOf(publisher: number): number {
    return Atomics.load(this.#delivered, publisher);
  }

  addDelivered(publisher: number, count: number): void {
    Atomics.add(this.#delivered, publisher, count);
    Atomics.notify(this.#delivered, publisher);
  }

  /** Resolves when it is no longer `seen`. */
  async deliveredBeyond(publisher: number, seen: number): Promise<void> {
    await Atomics.waitAsync(this.#delivered, publisher, seen).value;
  }

  /** Of one thread since the beginning. */
  tell(thread: number, { sent, acknowledged, received }: Totals): void {
    this.#totals.set([sent, acknowledged, received], thread * totalsOfThread);
  }

  /** Of all threads. */
  totals(): Totals {
    const sums = [0, 0, 0];
    this.#totals.forEach((value, i) => {
      sums[i % totalsOfThread] = (sums[i % totalsOfThread] as number) + value;
    });
    const [sent = 0, acknowledged = 0, received = 0] = sums;
    return { sent, acknowledged, received };
  }
}

export interface BoardBuffers {
  readonly delivered: SharedArrayBuffer;
  readonly totals: SharedArrayBuffer;
  readonly measured: SharedArrayBuffer;
}

/** Messages. With QoS 0 what was handed to the system counts as acknowledged. */
export interface Totals {
  readonly sent: number;
  readonly acknowledged: number;
  readonly received: number;
}
