/**
 * One append: records that cleaning moves, the changes of a batch, and the commit record that makes them count.
 */

import type { Change, StoredMessage } from '../core/index.ts';
import { ByteWriter } from './bytes.ts';
import type { Catalog } from './catalog.ts';
import * as record from './record.ts';
import { type Commit, type Facts, RecordType } from './record.ts';

const bufferBytes = 256 * 1024;
/** A buffer that had to grow beyond this is not kept. */
const bufferBytesKept = 8 * 1024 * 1024;

/** A whole record as it stands somewhere else. */
export interface Move {
  readonly facts: Facts;
  readonly frame: Uint8Array;
}

export interface WrittenRecord {
  readonly facts: Facts;
  /** From the start of the append. */
  readonly offset: number;
  readonly length: number;
}

export interface Append {
  readonly bytes: Uint8Array;
  readonly records: readonly WrittenRecord[];
  readonly lastId: number;
}

type Terms = Pick<Commit, 'batch' | 'wall' | 'clock' | 'segment' | 'previousSegment' | 'previousEnd'>;

/** Writes appends one at a time: what it returned is overwritten by the next. */
export class BatchWriter {
  private writer = new ByteWriter(bufferBytes);
  private readonly catalog: Catalog;
  private records: WrittenRecord[] = [];
  private lastId = 0;
  /** How often the batch needs each message. */
  private readonly uses = new Map<number, number>();
  /** Sessions that begin or end in the batch. */
  private readonly alive = new Map<number, boolean>();
  private readonly incarnations = new Map<string, number>();
  private readonly written = new Set<number>();

  constructor(catalog: Catalog) {
    this.catalog = catalog;
  }

  write(moves: readonly Move[], changes: readonly Change[], terms: Terms): Append {
    if (this.writer.bytes.length > bufferBytesKept) this.writer = new ByteWriter(bufferBytes);
    const { writer } = this;
    writer.length = 0;
    this.records = [];
    this.lastId = this.catalog.lastId;
    for (const { facts, frame } of moves) {
      const offset = writer.length;
      writer.raw(frame);
      this.records.push({ facts, offset, length: frame.length });
    }
    this.writeChanges(changes);
    const { records, lastId } = this;
    record.writeCommit(writer, { ...terms, lastId, records: records.length, bytes: writer.length });
    return { bytes: writer.bytes.subarray(0, writer.length), records, lastId };
  }

  private writeChanges(changes: readonly Change[]): void {
    for (const set of [this.uses, this.alive, this.incarnations, this.written]) set.clear();
    for (const change of changes) {
      const message = messageOf(change);
      if (message !== null) this.uses.set(message.id, (this.uses.get(message.id) ?? 0) + 1);
    }
    for (const change of changes) this.writeChange(change);
  }

  private writeChange(change: Change): void {
    const incarnation = this.incarnationOf(change);
    // What belongs to a session that is not known, or ended, means nothing.
    if (incarnation === null) return;
    const { writer } = this;
    const message = messageOf(change);
    if (message !== null) this.sawId(message.id);
    const isInline = message === null || this.uses.get(message.id) === 1;
    if (message !== null && !isInline && !this.written.has(message.id)) {
      this.written.add(message.id);
      const start = writer.length;
      this.add(record.writeMessage(writer, message), start);
    }
    const offset = writer.length;
    this.add(this.writeRecord(writer, change, incarnation, isInline), offset);
  }

  private writeRecord(writer: ByteWriter, change: Change, incarnation: number, isInline: boolean): Facts {
    switch (change.kind) {
      case 'session':
        this.sawId(Math.max(incarnation, change.session.will?.message.id ?? 0));
        return record.writeSession(writer, change.session);
      case 'session-ended':
        return record.writeShort(writer, { type: RecordType.SessionEnded, incarnation });
      case 'subscribed':
        return record.writeSubscribed(writer, incarnation, change.subscription);
      case 'unsubscribed': {
        const name = record.subscriptionName(change.filter, change.shareName);
        return record.writeShort(writer, { type: RecordType.Unsubscribed, incarnation, name });
      }
      case 'queued':
        return record.writeQueued(writer, incarnation, change.delivery, isInline);
      case 'sent': {
        const { sequence, packetId, released } = change;
        return record.writeShort(writer, { type: RecordType.Sent, incarnation, sequence, packetId, released });
      }
      case 'settled': {
        const { sequence } = change;
        const first = this.catalog.sessions.get(incarnation)?.entries.first ?? 0;
        const floor = first <= sequence ? first : 0;
        return record.writeShort(writer, { type: RecordType.Settled, incarnation, sequence, floor });
      }
      case 'received':
        return record.writeShort(writer, { type: RecordType.Received, incarnation, packetId: change.packetId });
      case 'completed':
        return record.writeShort(writer, { type: RecordType.Completed, incarnation, packetId: change.packetId });
      case 'retained':
        return record.writeRetained(writer, change, isInline);
      case 'unretained':
        return record.writeShort(writer, { type: RecordType.Unretained, topic: change.topic });
    }
  }

  private add(facts: Facts, offset: number): void {
    this.records.push({ facts, offset, length: this.writer.length - offset });
  }

  /** The session the change is about, 0 when it is about none; null when that session is not alive at this point of the batch. */
  private incarnationOf(change: Change): number | null {
    switch (change.kind) {
      case 'retained':
      case 'unretained':
        return 0;
      case 'session': {
        const { key, incarnation } = change.session;
        this.alive.set(incarnation, true);
        this.incarnations.set(key, incarnation);
        return incarnation;
      }
      case 'subscribed':
      case 'unsubscribed': {
        const incarnation = this.incarnations.get(change.key) ?? this.catalog.sessionOf(change.key)?.incarnation;
        return incarnation !== undefined && this.isAlive(incarnation) ? incarnation : null;
      }
      default: {
        const { kind, incarnation } = change;
        if (!this.isAlive(incarnation)) return null;
        if (kind === 'session-ended') this.alive.set(incarnation, false);
        return incarnation;
      }
    }
  }

  private isAlive(incarnation: number): boolean {
    return this.alive.get(incarnation) ?? this.catalog.sessions.has(incarnation);
  }

  private sawId(id: number): void {
    if (id > this.lastId) this.lastId = id;
  }
}

/** The message that the change's record needs, and may share with others. */
function messageOf(change: Change): StoredMessage | null {
  if (change.kind === 'queued') return change.delivery.message;
  return change.kind === 'retained' ? change.message : null;
}
