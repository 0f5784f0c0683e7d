/**
 * The port to what keeps unsent messages while the process or the page is gone. In Node `outboxFolder`; for browsers there is none yet
 * (it would be IndexedDB), but `connect` takes one of the application's own there, too.
 *
 * It keeps messages of QoS 1 and 2 from before they are sent until they are answered. It knows no packet identifiers: what is
 * found after a restart is sent as new, so a QoS 2 message that was on its way then may arrive twice.
 */
import type { PublishProperties } from '@pipit/protocol';

export interface StoredMessage {
  /** Its number: rising, never given twice in one store. */
  readonly place: number;
  readonly topic: string;
  readonly payload: Uint8Array;
  readonly qos: 1 | 2;
  readonly retain: boolean;
  readonly properties: PublishProperties | null;
  /** Wall-clock milliseconds at which it has expired; null: never. */
  readonly expiresAt: number | null;
}

export interface OutboxStore {
  /** What was put and not removed, in order. Called once, before anything else. Rejects when it cannot be read at all. */
  load(): Promise<readonly StoredMessage[]>;
  /** Resolves when the message outlives the process; rejects when it does not. In order: none resolves before an earlier one. */
  put(message: StoredMessage): Promise<void>;
  /** The message has its answer. It may be forgotten at any time from now on. */
  remove(place: number): void;
  /** Resolves when all is written. Nothing is called after it. */
  close(): Promise<void>;
}
