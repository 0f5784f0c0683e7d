/**
 * An outbox in a folder: an append-only log in segments, one write and one sync for all that was put in a turn.
 *
 *     record:  length of the body (4) · CRC-32 of the body (4) · body
 *     body:    1 (put)    · place (8) · expiry (8) · the message as a PUBLISH packet of 5.0
 *              2 (remove) · place (8)
 *
 * A segment goes when none of its messages is wanted any more. At the start what is wanted is written into a new segment and the
 * old ones go, but for those that could not be read to their end: they are renamed `.damaged` and stay. Numbers are
 * big-endian doubles. One process at a time: the file `lock` names it.
 */
import fs from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { decodePacket, encodePacket, PacketType, type PublishPacket, viewOf } from '@pipit/protocol';
import type { OutboxStore, StoredMessage } from '../client/outbox-store.ts';

export interface OutboxFolderOptions {
  /** `fsync` (the default): a message is on the disk before it is sent. `os`: it survives the process, not a power cut. */
  readonly durability?: 'fsync' | 'os';
  /** A segment of so many bytes is followed by the next. Default 4 MB. */
  readonly segmentBytes?: number;
}

const headerBytes = 8;
const put = 1;
const remove = 2;
const namePattern = /^outbox-(\d+)\.log$/;
/** Messages lie in packets that have identifiers; this one means nothing. */
const anyPacketId = 1;

/** Keeps unsent messages in a folder, which is made if it is not there. */
export function outboxFolder(path: string, options: OutboxFolderOptions = {}): OutboxStore {
  return new OutboxFolder(path, options);
}

interface Segment {
  readonly path: string;
  readonly file: fs.FileHandle;
  bytes: number;
  /** Messages in it that are wanted. */
  wanted: number;
}

interface Waiting {
  readonly record: Uint8Array;
  /** Null: a removal, for which nobody waits. */
  readonly message: StoredMessage | null;
  readonly done: () => void;
  readonly failed: (error: Error) => void;
}

class OutboxFolder implements OutboxStore {
  readonly #path: string;
  readonly #isSynced: boolean;
  readonly #segmentBytes: number;
  readonly #segmentOf = new Map<number, Segment>();
  /** The one that is written to, and those before it. */
  #segment: Segment | null = null;
  readonly #full: Segment[] = [];
  #number = 0;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | null = null;
  #isLocked = false;

  constructor(path: string, { durability = 'fsync', segmentBytes = 4 * 1024 * 1024 }: OutboxFolderOptions) {
    this.#path = path;
    this.#isSynced = durability === 'fsync';
    this.#segmentBytes = segmentBytes;
  }

  async load(): Promise<readonly StoredMessage[]> {
    await fs.mkdir(this.#path, { recursive: true });
    await this.#lock();
    const names = (await fs.readdir(this.#path)).filter((name) => namePattern.test(name));
    const numbers = names.map((name) => Number(namePattern.exec(name)?.[1])).sort((a, b) => a - b);
    const wanted = new Map<number, StoredMessage>();
    const whole = new Map<number, boolean>();
    for (const number of numbers) {
      whole.set(number, readSegment(await fs.readFile(this.#nameOf(number)), wanted));
      this.#number = number;
    }
    const messages = [...wanted.values()].sort((a, b) => a.place - b.place);
    await this.#write(messages.map((message) => ({ ...nobody, record: putRecord(message), message })));
    for (const number of numbers) {
      if (whole.get(number)) await fs.rm(this.#nameOf(number));
      else await fs.rename(this.#nameOf(number), `${this.#nameOf(number)}.damaged`);
    }
    await this.#syncFolder();
    return messages;
  }

  put(message: StoredMessage): Promise<void> {
    return new Promise((done, failed) => {
      this.#enqueue({ record: putRecord(message), message, done, failed });
    });
  }

  remove(place: number): void {
    const segment = this.#segmentOf.get(place);
    if (segment === undefined) return;
    this.#segmentOf.delete(place);
    segment.wanted--;
    this.#enqueue({ ...nobody, record: removeRecord(place), message: null });
  }

  async close(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
    await this.#segment?.file.close();
    this.#segment = null;
    if (this.#isLocked) await fs.rm(join(this.#path, 'lock'), { force: true });
    this.#isLocked = false;
  }

  #enqueue(waiting: Waiting): void {
    this.#waiting.push(waiting);
    this.#writing ??= this.#writeAll();
  }

  /** Writes until nothing waits: what comes while a write is under way is the next one. */
  async #writeAll(): Promise<void> {
    // What is put in the same turn goes along.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0);
      try {
        await this.#write(batch);
        for (const { done } of batch) done();
      } catch (error) {
        for (const { failed } of batch) failed(error as Error);
      }
    }
    this.#writing = null;
  }

  async #write(batch: readonly Waiting[]): Promise<void> {
    const segment = await this.#open();
    const bytes = Buffer.concat(batch.map(({ record }) => record));
    const at = segment.bytes;
    try {
      for (let written = 0; written < bytes.length; ) {
        written += (await segment.file.write(bytes, written, bytes.length - written, at + written)).bytesWritten;
      }
      if (this.#isSynced && batch.some(({ message }) => message !== null)) await segment.file.datasync();
    } catch (error) {
      // Half a batch must not stand before a whole one.
      await segment.file.truncate(at).catch(() => undefined);
      throw error;
    }
    segment.bytes += bytes.length;
    for (const { message } of batch) {
      if (message === null) continue;
      segment.wanted++;
      this.#segmentOf.set(message.place, segment);
    }
    if (segment.bytes >= this.#segmentBytes) {
      this.#segment = null;
      this.#full.push(segment);
    }
    await this.#removeUnwanted();
  }

  async #removeUnwanted(): Promise<void> {
    // Oldest first, and only those: a removal in a later segment is what keeps a message of an older one from coming back.
    while (this.#full[0]?.wanted === 0) {
      const segment = this.#full.shift() as Segment;
      await segment.file.close();
      await fs.rm(segment.path, { force: true });
    }
  }

  async #open(): Promise<Segment> {
    if (this.#segment !== null) return this.#segment;
    this.#number++;
    const path = this.#nameOf(this.#number);
    const file = await fs.open(path, 'w');
    await this.#syncFolder();
    this.#segment = { path, file, bytes: 0, wanted: 0 };
    return this.#segment;
  }

  #nameOf(number: number): string {
    return join(this.#path, `outbox-${String(number).padStart(8, '0')}.log`);
  }

  async #syncFolder(): Promise<void> {
    if (!this.#isSynced) return;
    const folder = await fs.open(this.#path, 'r');
    // Some file systems do not sync folders; then their entries last without it.
    await folder.sync().catch(() => undefined);
    await folder.close();
  }

  /** Throws while another living process has the folder. One that died has it no more. */
  async #lock(): Promise<void> {
    const path = join(this.#path, 'lock');
    for (;;) {
      try {
        await fs.writeFile(path, String(process.pid), { flag: 'wx' });
        this.#isLocked = true;
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const holder = Number(await fs.readFile(path, 'utf8').catch(() => ''));
      if (holder > 0 && isAlive(holder)) throw new Error(`The outbox in ${this.#path} is in use by process ${holder}`);
      await fs.rm(path, { force: true });
    }
  }
}

const nobody = { done: (): void => undefined, failed: (): void => undefined };

function isAlive(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Brings `wanted` up to date with a segment; false when it could not be read to its end. */
function readSegment(bytes: Buffer, wanted: Map<number, StoredMessage>): boolean {
  let at = 0;
  while (at + headerBytes <= bytes.length) {
    const end = at + headerBytes + bytes.readUInt32BE(at);
    if (end > bytes.length) return false;
    const body = bytes.subarray(at + headerBytes, end);
    if (crc32(body) !== bytes.readUInt32BE(at + 4)) return false;
    const place = body.readDoubleBE(1);
    if (body[0] === remove) wanted.delete(place);
    else wanted.set(place, messageOf(body, place));
    at = end;
  }
  return at === bytes.length;
}

function messageOf(body: Buffer, place: number): StoredMessage {
  const expiry = body.readDoubleBE(9);
  const packet = decodePacket(body, 17, body.length, 5, 'client') as PublishPacket;
  const { topic, payload, qos, retain, properties = null } = packet;
  const expiresAt = expiry === Number.POSITIVE_INFINITY ? null : expiry;
  return { place, topic, payload: new Uint8Array(payload), qos: qos as 1 | 2, retain, properties, expiresAt };
}

/** Throws EncodeError for a message that is no legal packet. */
function putRecord({ place, topic, payload, qos, retain, properties, expiresAt }: StoredMessage): Uint8Array {
  const words = properties === null ? {} : { properties };
  const packet = { type: PacketType.Publish, topic, payload, qos, retain, dup: false, packetId: anyPacketId, ...words };
  const bytes = encodePacket(packet, 5, 'client');
  const record = recordOf(put, place, 8 + bytes.length);
  viewOf(record).setFloat64(headerBytes + 9, expiresAt ?? Number.POSITIVE_INFINITY);
  record.set(bytes, headerBytes + 17);
  return sealed(record);
}

function removeRecord(place: number): Uint8Array {
  return sealed(recordOf(remove, place, 0));
}

function recordOf(type: number, place: number, moreBytes: number): Uint8Array {
  const record = new Uint8Array(headerBytes + 9 + moreBytes);
  const view = viewOf(record);
  view.setUint32(0, record.length - headerBytes);
  view.setUint8(headerBytes, type);
  view.setFloat64(headerBytes + 1, place);
  return record;
}

function sealed(record: Uint8Array): Uint8Array {
  viewOf(record).setUint32(4, crc32(record.subarray(headerBytes)));
  return record;
}
