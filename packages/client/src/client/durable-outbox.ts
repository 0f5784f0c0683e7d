/**
 * Publishing through a store that outlives the process: stored first, then sent, forgotten when it has its answer.
 *
 * What an earlier run left is sent before anything of this one. A message whose client ends first stays stored.
 *
 * Loaded when a client has such a store. It imports nothing that runs, so that a bundler can leave it apart.
 */
import type { PublishProperties } from '@pipit/protocol';
import type { Outgoing, PublishResult } from '../core/call.ts';
import type { FailureKind, MqttError } from '../core/failure.ts';
import type { OutboxStore, StoredMessage } from './outbox-store.ts';

/** What the outbox needs of its client. */
export interface DurableOutboxOwner {
  /** Hands messages of an earlier run to the core, before any other. */
  restore(messages: readonly Outgoing[]): void;
  publish(message: Outgoing): void;
  /** A message that nobody waits for any more was not taken. */
  failed(error: unknown): void;
  now(): number;
  outgoing(stored: StoredMessage): Outgoing;
  failure(kind: FailureKind, message: string): MqttError;
}

export class DurableOutbox {
  /** Resolves when what an earlier run left is with the core. */
  readonly loaded: Promise<void>;
  readonly #store: OutboxStore;
  readonly #owner: DurableOutboxOwner;
  /** Of the message stored last; known once what was there is loaded. */
  #place = 0;

  constructor(store: OutboxStore, owner: DurableOutboxOwner) {
    this.#store = store;
    this.#owner = owner;
    this.loaded = this.#load();
    // Who publishes is told; until then a store that cannot be read is nobody's failure.
    this.loaded.catch(() => undefined);
  }

  /** Stores a message and hands it to the core. `until` as in PublishOptions. */
  publish(message: Outgoing, until: 'stored' | 'answered'): Promise<PublishResult> {
    // Given up while this was loaded.
    if (message.failure !== null) return Promise.reject(message.failure);
    const { promise, resolve, reject } = Promise.withResolvers<PublishResult>();
    let place = 0;
    let isStored = false;
    const isOver = (): boolean => until === 'stored' && isStored;
    message.resolve = (result) => {
      this.#store.remove(place);
      resolve(result);
    };
    message.reject = (failure) => {
      if (isStored && failure.kind !== 'ended') this.#store.remove(place);
      if (!isOver()) reject(failure);
      else if (failure.kind !== 'ended') this.#owner.failed(failure);
    };
    const store = async (): Promise<void> => {
      await this.loaded;
      place = ++this.#place;
      await this.#store.put(recordOf(message, place));
      isStored = true;
      // Given up while it was on its way to the disk.
      if (message.isSettled) return this.#store.remove(place);
      if (until === 'stored') resolve({ reasonCode: 0 });
      this.#owner.publish(message);
    };
    store().catch((error: unknown) => {
      reject(this.#owner.failure('outbox-full', `The message could not be stored: ${(error as Error).message}`));
    });
    return promise;
  }

  async close(): Promise<void> {
    await this.loaded.catch(() => undefined);
    await this.#store.close();
  }

  async #load(): Promise<void> {
    const stored = await this.#store.load();
    const messages = stored.map((each) => this.#restored(each));
    this.#place = stored.at(-1)?.place ?? 0;
    this.#owner.restore(messages);
  }

  #restored(stored: StoredMessage): Outgoing {
    const { place, expiresAt } = stored;
    const message = this.#owner.outgoing(stored);
    if (expiresAt !== null) message.expiresAt = this.#owner.now() + expiresAt - Date.now();
    message.resolve = () => this.#store.remove(place);
    message.reject = (failure) => {
      if (failure.kind === 'ended') return;
      this.#store.remove(place);
      this.#owner.failed(failure);
    };
    return message;
  }
}

function recordOf({ topic, payload, qos, retain, properties }: Outgoing, place: number): StoredMessage {
  const { messageExpiryInterval }: PublishProperties = properties ?? {};
  const expiresAt = messageExpiryInterval === undefined ? null : Date.now() + messageExpiryInterval * 1000;
  return { place, topic, payload, qos: qos === 2 ? 2 : 1, retain, properties, expiresAt };
}
