/**
 * A store for scenarios: it keeps what was committed in memory, and answers at once, late (when nothing else happens), or late
 * with every other commit failing first. What was not committed is lost in a restart, as on a real disk.
 *
 * The fourth kind is the real log on a simulated disk: pages and restarts are answered by the log, and the double's own memory
 * is what they are compared with.
 */

import assert from 'node:assert/strict';
import {
  type Batch,
  type Core,
  type FetchRequest,
  type PageRequest,
  type StoredDelivery,
  type StoredMessage,
  type StoredState,
  storedCost,
} from '../../src/core/index.ts';
import { KeptState } from '../kept-state.ts';
import { LogBench } from '../store/log-bench.ts';

/** So small that cleaning has work in a scenario. */
const smallLog = { segmentBytes: 4_096, sparseSegmentBytes: 1_024, slackBytes: 4_096 };

export class StoreDouble {
  readonly kind: 'instant' | 'late' | 'failing' | 'log';
  private readonly log: LogBench | null;
  private readonly kept = new KeptState();
  private waitingCommit: Batch | null = null;
  private readonly waitingPages: PageRequest[] = [];
  private readonly waitingFetches: {
    readonly request: FetchRequest;
    readonly found: readonly (StoredMessage | null)[];
  }[] = [];
  private failures = 0;
  private isDamaged = false;
  private readonly lost = new Set<string>();
  /** Refuse every commit until it is set back. */
  isBroken = false;
  /** Answer nothing until it is set back. */
  isStalled = false;
  /** Answer pages and fetches only. */
  isCommitStalled = false;
  /** Answer no pages and no fetches. */
  isPagingStalled = false;
  /** Fail every page and every fetch. */
  isPagingBroken = false;
  /** Retained messages that cannot be read. */
  readonly unreadableTopics = new Set<string>();
  /** Messages that were fetched so far. */
  fetched = 0;
  /** Batches made to last, for looking at. */
  readonly committed: Batch[] = [];

  constructor(kind: StoreDouble['kind']) {
    this.kind = kind;
    this.log = kind === 'log' ? new LogBench(1, smallLog) : null;
  }

  commit(batch: Batch): void {
    assert.equal(this.waitingCommit, null, 'at most one commit is in flight');
    this.waitingCommit = batch;
  }

  page(request: PageRequest): void {
    this.waitingPages.push(request);
  }

  /** Answered later, with what lasts now. */
  fetch(request: FetchRequest): void {
    const kept = this.kept.fetch(request);
    const found = this.log === null ? kept : this.log.fetch(request.messages);
    assert.ok(typeof found !== 'string', String(found));
    if (!this.isDamaged) assert.deepEqual(found, kept);
    this.waitingFetches.push({ request, found });
  }

  /** Answers one thing that waits. False when nothing does. */
  answer(core: Core, now: number): boolean {
    if (this.isStalled) return false;
    const batch = this.isCommitStalled ? null : this.waitingCommit;
    if (batch !== null) {
      this.waitingCommit = null;
      const fails = this.isBroken || (this.kind === 'failing' && this.failures++ % 2 === 0);
      if (!fails) {
        this.kept.commit(batch);
        this.committed.push(batch);
        if (this.log !== null) assert.equal(this.log.commitBatch(batch), null);
      }
      core.committed(batch.number, fails ? 'the disk is full' : null, now);
      return true;
    }
    if (this.isPagingStalled) return false;
    return this.answerPage(core, now) || this.answerFetch(core, now);
  }

  private answerPage(core: Core, now: number): boolean {
    const request = this.waitingPages.shift();
    if (request === undefined) return false;
    if (this.isPagingBroken) {
      core.paged(request.number, null, 'unreadable', now);
      return true;
    }
    const page = this.kept.page(request);
    const unreadable = this.unreadable.get(request.key) ?? [];
    const isLost = ({ sequence }: StoredDelivery) => unreadable.includes(sequence);
    if (page.some(isLost) && !request.givesUp) {
      core.paged(request.number, null, 'unreadable', now);
      return true;
    }
    const deliveries = (this.log === null ? page : this.pageOfLog(this.log, request, page)).filter(
      (each) => !isLost(each),
    );
    const lost = page.filter(isLost).map(({ sequence, message }) => ({ sequence, cost: storedCost(message) }));
    core.paged(request.number, { deliveries, lost }, null, now);
    return true;
  }

  private answerFetch(core: Core, now: number): boolean {
    const fetch = this.waitingFetches.shift();
    if (fetch === undefined) return false;
    const { request } = fetch;
    if (this.isPagingBroken) {
      core.fetched(request.number, null, 'unreadable', now);
      return true;
    }
    const isLost = (topic: string) => this.unreadableTopics.has(topic);
    const isGone = (topic: string) => isLost(topic) || this.lost.has(topic);
    if (request.messages.some(({ topic }) => isLost(topic)) && !request.givesUp) {
      core.fetched(request.number, null, 'unreadable', now);
      return true;
    }
    // Damage is found when it is read.
    const read = this.log !== null && this.isDamaged ? this.log.fetch(request.messages) : fetch.found;
    assert.ok(typeof read !== 'string', String(read));
    const found = read.map((message) => (message !== null && isGone(message.topic) ? null : message));
    this.fetched += found.filter((message) => message !== null).length;
    core.fetched(request.number, found, null, now);
    return true;
  }

  /** A page of the log may be shorter, and leaves out what is in flight. */
  private pageOfLog(log: LogBench, request: PageRequest, page: StoredDelivery[]): readonly StoredDelivery[] {
    const found = log.page(request.key, request.incarnation, request.after, request.count);
    assert.ok(typeof found !== 'string', String(found));
    const waiting = page.filter(({ packetId }) => packetId === 0);
    assert.deepEqual(found, waiting.slice(0, found.length));
    assert.equal(found.length === 0, waiting.length === 0);
    return found;
  }

  /** Fetches not answered yet: the topics each asks for. */
  get fetchesWaiting(): string[][] {
    return this.waitingFetches.map(({ request: { messages } }) => messages.map(({ topic }) => topic));
  }

  /** Page requests not answered yet. */
  get pagesWaiting(): number {
    return this.waitingPages.length;
  }

  /** Damage: these sequences of a session can be read no more. */
  readonly unreadable = new Map<string, readonly number[]>();

  /** Damage: everything queued for this session above a sequence is gone. */
  lose(key: string, above: number): void {
    const queue = this.kept.sessions.get(key)?.queue;
    for (const sequence of [...(queue?.keys() ?? [])]) if (sequence > above) queue?.delete(sequence);
  }

  /** Damage: the retained message of this topic is gone. */
  loseRetained(topic: string): void {
    this.lost.add(topic);
    this.kept.retained.delete(topic);
  }

  /** Damage: a bit is wrong wherever this text stands in the log. */
  damage(text: string): void {
    assert.ok(this.log);
    const { disk } = this.log;
    for (const [name, { bytes }] of disk.files) {
      const at = Buffer.from(bytes).indexOf(text);
      if (at < 0) continue;
      disk.flipBit(name, at, 0);
      this.isDamaged = true;
    }
  }

  /** Keys of the sessions that last. */
  get sessionKeys(): string[] {
    return [...this.kept.sessions.keys()];
  }

  /** Sequences queued for a session, in flight included. */
  queued(key: string): number[] {
    return [...(this.kept.sessions.get(key)?.queue.keys() ?? [])];
  }

  /** Topics with a retained message. */
  get retainedTopics(): string[] {
    return [...this.kept.retained.keys()];
  }

  /** What a restart finds. Commits and pages under way are gone. */
  state(): StoredState {
    this.waitingCommit = null;
    this.waitingPages.length = 0;
    this.waitingFetches.length = 0;
    if (this.log !== null) {
      this.log.disk.losePower();
      this.log.restart();
      for (const { kind } of this.log.report.damage) assert.equal(kind, 'unfinished');
      return this.log.state;
    }
    return this.kept.load();
  }
}
