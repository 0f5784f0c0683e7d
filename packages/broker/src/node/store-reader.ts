/**
 * Looks into a store without changing anything, also while a broker writes to it: the state is that of one moment, and the broker
 * does not notice. For tools; a broker loads its store by itself.
 */

import fs from 'node:fs/promises';
import { resolve } from 'node:path';
import { filterMatches } from '@pipit/protocol';
import { type StoredDelivery, type StoredSession, type StoredSubscription, storedCost } from '../core/index.ts';
import type { Catalog, CatalogSession } from '../store/catalog.ts';
import { LogContents, type LogReport, type Opened } from '../store/contents.ts';
import type { Entry } from '../store/entries.ts';
import type { Retained } from '../store/load.ts';
import { remainsOf, wordsOf } from '../store/remains.ts';
import { segmentNumber } from '../store/segments.ts';
import type { Damage } from '../store/set-aside.ts';
import { DirectoryLock } from './directory-lock.ts';
import { SnapshotDisk } from './snapshot-disk.ts';
import { StoreError } from './store-error.ts';

/** Records read at once: so many, and so many bytes, but one at least. */
const chunkCount = 500;
const chunkBytes = 4 * 1024 * 1024;
const remainsBytesMax = 16 * 1024 * 1024;

export interface SessionSummary {
  readonly session: StoredSession;
  readonly subscriptions: readonly StoredSubscription[];
  /** Packet identifiers of QoS 2 messages that came and were not released. */
  readonly received: readonly number[];
  /** Messages for it: how many, how many of them were sent and not acknowledged, and what they count for (`queueBytesMax`). */
  readonly queued: number;
  readonly inFlight: number;
  readonly queuedBytes: number;
}

export interface SegmentSummary {
  readonly file: string;
  readonly bytes: number;
  /** Bytes of records in it that still count. */
  readonly liveBytes: number;
}

/** A message and whom it waits for. */
export interface SharedMessage {
  readonly deliveries: readonly { readonly key: string; readonly delivery: StoredDelivery }[];
  /** It is retained too, until a time of its own. */
  readonly retained: Retained | null;
}

/**
 * Reads the store in a directory. Rejects with a StoreError when there is none, or it cannot be read at all; never for damage,
 * which is in the report. `close` it.
 */
export async function readStore(directory: string): Promise<StoreReader> {
  const path = resolve(directory);
  await mustHoldStore(path);
  const processId = await DirectoryLock.holder(path);
  const disk = new SnapshotDisk(path);
  const contents = new LogContents();
  const pump = (): void => {
    for (const { id, operation } of contents.operations.take()) {
      disk.perform(operation, (result) => {
        contents.operations.done(id, result);
        pump();
      });
    }
  };
  const opened = await new Promise<Opened | string>((done) => {
    contents.open((found, reason) => done(found ?? reason));
    pump();
  });
  if (typeof opened !== 'string') return new StoreReader(path, processId, contents, opened, disk, pump);
  await new Promise<void>((done) => disk.close(done));
  throw new StoreError(`The store in ${path} cannot be read: ${opened}.`);
}

/** Rejects with a StoreError when nothing in the directory is of a store. */
export async function mustHoldStore(directory: string): Promise<void> {
  const names = await fs.readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw new StoreError(`The store in ${directory} cannot be read: ${error.message}.`, { cause: error });
  });
  const isStore = names.some((name) => segmentNumber(name) !== null || name === 'lock' || name === 'quarantine');
  if (!isStore) throw new StoreError(`There is no store in ${directory}.`);
}

export class StoreReader {
  readonly directory: string;
  /** The process that has the directory in use; null: none. */
  readonly processId: number | null;
  readonly report: LogReport;
  /** Times of the last commit, in milliseconds: by the wall, and by the clock of the records. Null: nothing was committed. */
  readonly lastCommit: { readonly wall: number; readonly clock: number } | null;
  readonly segments: readonly SegmentSummary[];
  readonly sessions: readonly SessionSummary[];
  readonly #contents: LogContents;
  readonly #disk: SnapshotDisk;
  readonly #pump: () => void;

  /** Made by `readStore`. */
  constructor(
    directory: string,
    processId: number | null,
    contents: LogContents,
    { state, report, recovered }: Opened,
    disk: SnapshotDisk,
    pump: () => void,
  ) {
    this.directory = directory;
    this.processId = processId;
    this.report = report;
    this.lastCommit = recovered.commit === null ? null : { wall: recovered.commit.wall, clock: recovered.commit.clock };
    this.segments = [...contents.segments].map(({ file, bytes, live }) => ({ file, bytes, liveBytes: live }));
    this.sessions = [...state.sessions]
      .map(({ session, subscriptions, inFlight, received, waiting }) => ({
        session,
        subscriptions,
        received,
        queued: inFlight.length + waiting.count,
        inFlight: inFlight.length,
        queuedBytes: inFlight.reduce((sum, { message }) => sum + storedCost(message), waiting.bytes),
      }))
      .sort((a, b) => compare(a.session.key, b.session.key));
    this.#contents = contents;
    this.#disk = disk;
    this.#pump = pump;
  }

  /** Retained topics, in order, without reading their messages. */
  topics(filter = '#'): string[] {
    const all = [...this.#contents.catalog.retained].map(([topic]) => topic);
    return all.filter((topic) => filter === '#' || filterMatches(filter, topic)).sort(compare);
  }

  /** What is retained for these topics, and until when; what is damaged is left out. */
  async *retained(topics: Iterable<string>): AsyncGenerator<Retained & { readonly topic: string }> {
    const { catalog, loader } = this.#contents;
    const bytesOf = (topic: string): number => {
      const place = catalog.retained.get(topic);
      return place === null ? 0 : place.length + (catalog.messagePlace(place.messageId)?.length ?? 0);
    };
    for (const chunk of chunks(topics, bytesOf)) {
      const found = await this.#ask<readonly (Retained | null)[]>((done) => loader.retained(chunk, done));
      for (const [index, topic] of chunk.entries()) {
        const each = found[index] ?? null;
        if (each !== null) yield { topic, ...each };
      }
    }
  }

  /** Who set what is retained for this topic; null: nobody in particular, or it is not known. */
  principalOf(topic: string): string | null {
    return this.#contents.catalog.retained.principalOf(topic);
  }

  /** The messages for a session, in their order; what is damaged is left out. */
  async *queue(key: string): AsyncGenerator<StoredDelivery> {
    const session = this.#contents.catalog.sessionOf(key);
    if (session === undefined) return;
    for await (const { delivery } of this.#deliveries(entriesOf(session))) yield delivery;
  }

  /** As `queue`, without messages that wait for others too: those come with `sharedMessages`. */
  async *ownQueue(key: string): AsyncGenerator<StoredDelivery> {
    const { catalog } = this.#contents;
    const session = catalog.sessionOf(key);
    if (session === undefined) return;
    for await (const { delivery } of this.#deliveries(ownEntriesOf(session, catalog))) yield delivery;
  }

  /** Topics whose message waits for nobody else. */
  ownTopics(topics: readonly string[]): string[] {
    const { catalog } = this.#contents;
    return topics.filter((topic) => catalog.messageReferences(catalog.retained.get(topic)?.messageId ?? 0) < 2);
  }

  /** Messages that are stored once and wait for several, or are retained too. */
  async *sharedMessages(): AsyncGenerator<SharedMessage> {
    const { catalog } = this.#contents;
    const queued = new Map<number, QueueEntry[]>();
    for (const { session } of this.sessions) {
      for (const each of entriesOf(catalog.sessionOf(session.key) as CatalogSession)) {
        const { messageId } = each.entry;
        if (catalog.messageReferences(messageId) < 2) continue;
        const found = queued.get(messageId);
        if (found === undefined) queued.set(messageId, [each]);
        else found.push(each);
      }
    }
    const topics = new Map<number, string>();
    for (const [topic, { messageId }] of catalog.retained) topics.set(messageId, topic);
    for (const id of [...queued.keys()].sort((a, b) => a - b)) {
      const deliveries: { key: string; delivery: StoredDelivery }[] = [];
      for await (const each of this.#deliveries(queued.get(id) ?? [])) deliveries.push(each);
      const topic = topics.get(id);
      let retained: Retained | null = null;
      for await (const each of this.retained(topic === undefined ? [] : [topic])) retained = each;
      yield { deliveries, retained };
    }
  }

  /** What a damaged range seems to have held, in words; to be taken with care. Empty for what cannot be read. */
  async remains({ file, from, to }: Damage): Promise<string[]> {
    const length = Math.min(to - from, remainsBytesMax);
    const bytes = await new Promise<Uint8Array | null>((done) =>
      this.#disk.perform({ kind: 'read', file, at: from, length }, (result) =>
        done(result.kind === 'read' ? result.bytes : null),
      ),
    );
    return bytes === null ? [] : remainsOf(bytes).map((facts) => wordsOf(facts, this.#contents.catalog));
  }

  async close(): Promise<void> {
    await new Promise<void>((done) => this.#disk.close(done));
  }

  async *#deliveries(wanted: Iterable<QueueEntry>): AsyncGenerator<{ key: string; delivery: StoredDelivery }> {
    for (const chunk of chunks(wanted, ({ entry }) => entry.cost)) {
      const sessionOf = (index: number): CatalogSession => (chunk[index] as QueueEntry).session;
      const entries = chunk.map(({ entry }) => entry);
      const found = await this.#ask<readonly (StoredDelivery | null)[]>((done) =>
        this.#contents.loader.deliveries(entries, sessionOf, done),
      );
      for (const [index, delivery] of found.entries()) {
        if (delivery !== null) yield { key: sessionOf(index).key ?? '', delivery };
      }
    }
  }

  #ask<Value>(ask: (done: (value: Value | null, error: string | null) => void) => void): Promise<Value> {
    return new Promise((done, failed) => {
      ask((value, error) => {
        if (value !== null) done(value);
        else failed(new StoreError(`The store in ${this.directory} cannot be read: ${error ?? 'unknown'}.`));
      });
      this.#pump();
    });
  }
}

interface QueueEntry {
  readonly session: CatalogSession;
  readonly entry: Entry;
}

function* entriesOf(session: CatalogSession): Generator<QueueEntry> {
  for (const entry of session.entries.above(Number.NEGATIVE_INFINITY)) yield { session, entry };
}

function* ownEntriesOf(session: CatalogSession, catalog: Catalog): Generator<QueueEntry> {
  for (const each of entriesOf(session)) if (catalog.messageReferences(each.entry.messageId) < 2) yield each;
}

function* chunks<Item>(items: Iterable<Item>, bytesOf: (item: Item) => number): Generator<Item[]> {
  let chunk: Item[] = [];
  let bytes = 0;
  for (const item of items) {
    chunk.push(item);
    bytes += bytesOf(item);
    if (chunk.length < chunkCount && bytes < chunkBytes) continue;
    yield chunk;
    chunk = [];
    bytes = 0;
  }
  if (chunk.length > 0) yield chunk;
}

/** By code units, the same on every machine. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
