/**
 * One publisher of `pipit bench`. Closed loop: so many messages are under way as the window lets be; a message is under way until it
 * was acknowledged and all its copies were delivered. Open loop: whoever drives it says when each message is due.
 */

import type { RecordableHistogram } from 'node:perf_hooks';
import type { Client } from '@pipit/client';
import { type BenchPlan, copiesOf, topicOf } from './bench-plan.ts';
import type { Board } from './board.ts';
import { addLatency } from './latencies.ts';
import type { SharedClock } from './shared-clock.ts';

/** What the publishers of a thread have in common. */
export interface PublisherOwner {
  readonly plan: BenchPlan;
  readonly board: Board;
  readonly clock: SharedClock;
  /** From when a message was due to its acknowledgement. */
  readonly acknowledgements: RecordableHistogram;
  failed(error: unknown): void;
}

export class BenchPublisher {
  sent = 0;
  acknowledged = 0;
  readonly #client: Client;
  readonly #index: number;
  readonly #owner: PublisherOwner;
  readonly #topic: string;
  readonly #copies: number;
  readonly #payload: Uint8Array;
  readonly #view: DataView;
  readonly #options: { readonly qos: 0 | 1 | 2 };
  /** When the messages that wait for their acknowledgement were due: they are acknowledged in order [MQTT-4.6.0-2]. */
  #due: number[] = [];
  #firstDue = 0;
  #isClosedLoop = false;
  /** Deliveries that are not waited for any more. */
  #givenUp = 0;
  #deliveredBefore = 0;
  #isWaiting = false;

  constructor(client: Client, index: number, owner: PublisherOwner) {
    const { plan } = owner;
    this.#client = client;
    this.#index = index;
    this.#owner = owner;
    this.#topic = topicOf(plan, index);
    this.#copies = copiesOf(plan);
    this.#payload = new Uint8Array(plan.payloadBytes);
    this.#view = new DataView(this.#payload.buffer);
    this.#view.setUint32(0, index);
    this.#options = { qos: plan.qos };
  }

  /** Publishes a message that was due then. */
  publish(dueAt: number): void {
    this.#view.setUint32(4, this.sent++);
    this.#view.setFloat64(8, dueAt);
    this.#due.push(dueAt);
    this.#client.publish(this.#topic, this.#payload, this.#options).then(this.#answered, this.#owner.failed);
  }

  /** Begins the closed loop. */
  start(): void {
    this.#isClosedLoop = true;
    this.#fill();
  }

  stop(): void {
    this.#isClosedLoop = false;
  }

  /** To be called now and then: copies that nothing was heard of since the last call count as lost, so that the loop goes on. */
  giveUpLost(): void {
    const delivered = this.#owner.board.deliveredOf(this.#index);
    const isStuck = delivered === this.#deliveredBefore && this.sent === this.acknowledged && this.#copiesUnderWay > 0;
    this.#deliveredBefore = delivered;
    if (!isStuck) return;
    this.#givenUp += this.#copiesUnderWay;
    this.#fill();
  }

  get #copiesUnderWay(): number {
    // Modulo 2 ** 32, as deliveries are counted.
    return (this.sent * this.#copies - this.#givenUp - this.#owner.board.deliveredOf(this.#index)) | 0;
  }

  get #underWay(): number {
    const unacknowledged = this.sent - this.acknowledged;
    return this.#copies === 0
      ? unacknowledged
      : Math.max(unacknowledged, Math.ceil(this.#copiesUnderWay / this.#copies));
  }

  readonly #answered = (): void => {
    this.acknowledged++;
    const dueAt = this.#due[this.#firstDue++] as number;
    if (this.#firstDue > 1024 && this.#firstDue * 2 > this.#due.length) {
      this.#due = this.#due.slice(this.#firstDue);
      this.#firstDue = 0;
    }
    const { board, clock, acknowledgements } = this.#owner;
    if (this.#options.qos > 0 && board.isMeasured(dueAt)) addLatency(acknowledgements, clock.now() - dueAt);
    this.#fill();
  };

  #fill(): void {
    if (!this.#isClosedLoop) return;
    const { plan, clock } = this.#owner;
    for (let room = plan.window - this.#underWay; room > 0; room--) this.publish(clock.now());
    if (this.#copies > 0) this.#awaitDeliveries();
  }

  #awaitDeliveries(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    const { board } = this.#owner;
    board.deliveredBeyond(this.#index, board.deliveredOf(this.#index)).then(() => {
      this.#isWaiting = false;
      this.#fill();
    }, this.#owner.failed);
  }
}
