/** A log on a simulated disk, driven to the end of what it was asked; restarts included. */

import assert from 'node:assert/strict';
import type {
  Batch,
  Change,
  FetchRequest,
  StoredDelivery,
  StoredMessage,
  StoredPage,
  StoredState,
} from '../../src/core/index.ts';
import type { LogReport } from '../../src/store/contents.ts';
import { type Answer, Log, type LogOptions } from '../../src/store/log.ts';
import type { Damage } from '../../src/store/set-aside.ts';
import { Prng } from '../sim/prng.ts';
import { type Shown, showStored } from './shown.ts';
import { SimulatedDisk } from './simulated-disk.ts';

/** Small enough that cleaning has work. */
export const smallLog = { segmentBytes: 16_384, sparseSegmentBytes: 4_096, slackBytes: 32_768 };
export const seedCount = Number(process.env['PIPIT_SEEDS'] ?? 12);

/** A bench of each seed; `PIPIT_SEEDS` makes it long. */
export function eachSeed(body: (bench: LogBench, where: string) => void, options = smallLog): void {
  for (let seed = 1; seed <= seedCount; seed++) body(new LogBench(seed, options), `seed ${seed}`);
}

export class LogBench {
  readonly prng: Prng;
  readonly disk: SimulatedDisk;
  /** Of the next start. */
  options: Partial<LogOptions>;
  log: Log;
  state: StoredState;
  report: LogReport;
  /** Damage found while running. */
  readonly damage: Damage[] = [];
  private readonly answers: Answer[] = [];
  private number = 0;
  private pages = 0;

  private readonly implementation: typeof Log;

  constructor(seed: number, options: Partial<LogOptions> = {}, implementation: typeof Log = Log) {
    this.implementation = implementation;
    this.prng = new Prng(seed);
    this.disk = new SimulatedDisk(this.prng);
    this.options = options;
    this.log = new implementation(options);
    ({ state: this.state, report: this.report } = this.start());
  }

  /** A new log on what the disk holds. It must start, whatever that is. */
  restart(): void {
    this.beginRestart();
    this.endRestart();
  }

  endRestart(): void {
    ({ state: this.state, report: this.report } = this.start());
  }

  /** Has to be driven, step by step, by whoever may cut it off. */
  beginRestart(): void {
    this.log = new this.implementation(this.options);
    this.answers.length = 0;
  }

  /** What `beginRestart` began is done, and not taken yet. */
  get isStarted(): boolean {
    this.turn();
    return this.answers.some(({ kind }) => kind === 'loaded');
  }

  private start(): { state: StoredState; report: LogReport } {
    const loaded = this.until((answer) => answer.kind === 'loaded' || answer.kind === 'not-loaded');
    assert.equal(loaded.kind, 'loaded');
    return loaded as Extract<Answer, { kind: 'loaded' }>;
  }

  /** Begins a commit. */
  begin(changes: readonly Change[]): Batch {
    const number = ++this.number;
    const batch = { number, wall: 1_000_000 + number, clock: 1_000_000 + number, changes };
    this.log.commit(batch);
    return batch;
  }

  /** Commits to the end; the reason of a failure, or null. */
  commit(changes: readonly Change[]): string | null {
    return this.awaitCommit(this.begin(changes));
  }

  commitBatch(batch: Batch): string | null {
    this.log.commit(batch);
    return this.awaitCommit(batch);
  }

  private awaitCommit({ number }: Batch): string | null {
    const answer = this.until((each) => each.kind === 'committed' && each.number === number);
    return (answer as Extract<Answer, { kind: 'committed' }>).error;
  }

  page(key: string, incarnation: number, after = 0, count = 1_000_000): readonly StoredDelivery[] | string {
    const page = this.pageOrLoss(key, incarnation, after, count);
    return typeof page === 'string' ? page : page.deliveries;
  }

  /** With what is lost of it. */
  pageOrLoss(key: string, incarnation: number, after = 0, count = 1_000_000, givesUp = false): StoredPage | string {
    const number = ++this.pages;
    this.log.page({ number, key, incarnation, after, count, givesUp });
    const answer = this.until((each) => each.kind === 'paged' && each.number === number);
    const { page, error } = answer as Extract<Answer, { kind: 'paged' }>;
    return page ?? (error as string);
  }

  fetch(messages: FetchRequest['messages'], givesUp = false): readonly (StoredMessage | null)[] | string {
    const number = ++this.pages;
    this.log.fetch({ number, messages, givesUp });
    const answer = this.until((each) => each.kind === 'fetched' && each.number === number);
    const { messages: found, error } = answer as Extract<Answer, { kind: 'fetched' }>;
    return found ?? (error as string);
  }

  /** What was loaded, in a form that compares; queues are paged, retained messages fetched. */
  shown(): Shown {
    return showStored(this.state, this);
  }

  /** Every retained message that was loaded, some at a time. */
  readonly fetchAll = (wanted: FetchRequest['messages']): StoredMessage[] => {
    const all: StoredMessage[] = [];
    while (all.length < wanted.length) {
      const some = wanted.slice(all.length, all.length + 1 + this.prng.below(20));
      const found = this.fetch(some);
      assert.ok(typeof found !== 'string', String(found));
      for (const message of found) all.push(message ?? assert.fail('a retained message is not there'));
    }
    return all;
  };

  /** Everything that waits for a session, page after page. */
  readonly pageAll = (key: string, incarnation: number): StoredDelivery[] => {
    const all: StoredDelivery[] = [];
    for (;;) {
      const page = this.page(key, incarnation, all.at(-1)?.sequence ?? 0, 1 + this.prng.below(20));
      assert.ok(typeof page !== 'string', String(page));
      if (page.length === 0) return all;
      all.push(...page);
    }
  };

  /** Lets everything come to rest, cleaning too. */
  rest(): void {
    while (this.step());
  }

  /** One operation of the disk; false when nothing is left to do. */
  step(): boolean {
    this.turn();
    return this.disk.step();
  }

  /** Takes the answer that came, if it came. */
  taken(is: (answer: Answer) => boolean): Answer | undefined {
    this.turn();
    const index = this.answers.findIndex(is);
    return index < 0 ? undefined : this.answers.splice(index, 1)[0];
  }

  private turn(): void {
    const { log } = this;
    const { operations, answers } = log.take();
    for (const { id, operation } of operations) this.disk.perform(operation, (result) => log.done(id, result));
    for (const answer of answers) {
      if (answer.kind === 'damaged') this.damage.push(answer.damage);
      else this.answers.push(answer);
    }
  }

  private until(is: (answer: Answer) => boolean): Answer {
    for (;;) {
      const answer = this.taken(is);
      if (answer !== undefined) return answer;
      assert.ok(this.disk.step(), 'nothing is under way, and the answer has not come');
    }
  }
}
