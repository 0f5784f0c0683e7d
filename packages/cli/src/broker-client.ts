/** A client of `@pipit/client` for what the command line says: the same addresses, TLS and credentials as `pub` and `sub` take. */

import type { Duplex } from 'node:stream';
import {
  type Client,
  type ConnectOptions,
  connect,
  type Link,
  type LinkOwner,
  MqttError,
  type NodeConnectOptions,
  type Transport,
  tcp,
} from '@pipit/client';
import { CommandError, exitCodes, usageError } from './command-error.ts';
import { type ConnectionArguments, clientIdOf, loginOf, targetOf } from './connection-options.ts';
import { dial, type Target } from './dial.ts';

/** Throws a CommandError for options that do not go together. */
export function checkConnection(options: ConnectionArguments): void {
  if (options.protocolVersion === 3) throw usageError('this command speaks MQTT 5 and 3.1.1 (-V 5, -V 311).');
  targetOf(options);
  clientIdOf(options);
  loginOf(options);
}

/** Does not connect yet when it returns. Throws a CommandError for options that do not go together. */
export function clientOf(options: ConnectionArguments, settings: ConnectOptions = {}): Client {
  checkConnection(options);
  const version = options.protocolVersion === 5 ? 5 : 4;
  const target = targetOf(options);
  const mqtt = target.kind === 'tcp' && target.localAddress === undefined ? tcp : new StreamTransport(target);
  const clientId = clientIdOf(options);
  return connect(urlOf(target), {
    version,
    keepAliveSeconds: options.keepAlive,
    ...(clientId !== '' && { clientId }),
    ...loginOf(options),
    ...settings,
    transports: { mqtt },
  } satisfies NodeConnectOptions);
}

/** The same, connected. Later connections are tried again and again, the first is not. Rejects with a CommandError. */
export async function connectedClient(options: ConnectionArguments, settings: ConnectOptions = {}): Promise<Client> {
  const client = clientOf(options, settings);
  const failed = Promise.withResolvers<never>();
  const stop = client.onStatus(({ state, why }) => {
    if (state === 'waiting' || state === 'ended') {
      failed.reject(new CommandError(`Error: ${why.message.replace(/\.$/, '')}.`, exitCodes.failure));
    }
  });
  try {
    await Promise.race([client.connected(), failed.promise]);
    return client;
  } catch (error) {
    client.destroy();
    throw clientError(error);
  } finally {
    stop();
  }
}

/** What went wrong with a client, as a sentence and an exit code. */
export function clientError(error: unknown): unknown {
  if (!(error instanceof MqttError)) return error;
  return new CommandError(`Error: ${error.message.replace(/\.$/, '')}.`, exitCodes.failure);
}

/** Where the client's own transport looks; a StreamTransport knows where to go. */
function urlOf(target: Target): string {
  if (target.kind !== 'tcp') return 'mqtt://broker';
  const { host, port } = target;
  return `mqtt://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

class StreamTransport implements Transport {
  readonly #target: Target;

  constructor(target: Target) {
    this.#target = target;
  }

  open(_url: URL, owner: LinkOwner): Link {
    return new StreamLink(this.#target, owner);
  }
}

const closeTimeoutMs = 2_000;

/** A link over whatever `dial` opens. */
class StreamLink implements Link {
  #stream: Duplex | null = null;
  #isDestroyed = false;

  constructor(target: Target, owner: LinkOwner) {
    dial(target).then(
      (stream) => this.#opened(stream, owner),
      (error: Error) => owner.closed(error.message.replace(/^Error: /, '')),
    );
  }

  get unsentBytes(): number {
    return this.#stream?.writableLength ?? 0;
  }

  write(bytes: Uint8Array): boolean {
    this.#stream?.write(bytes);
    return this.unsentBytes === 0;
  }

  pause(): void {
    this.#stream?.pause();
  }

  resume(): void {
    this.#stream?.resume();
  }

  close(): void {
    const stream = this.#stream;
    this.#isDestroyed = stream === null;
    stream?.end();
    stream?.resume();
    setTimeout(() => stream?.destroy(), closeTimeoutMs).unref();
  }

  destroy(): void {
    this.#isDestroyed = true;
    this.#stream?.destroy();
  }

  #opened(stream: Duplex, owner: LinkOwner): void {
    let why = 'the broker closed the connection';
    this.#stream = stream;
    stream.on('data', (chunk: Uint8Array) => {
      owner.received(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.length));
    });
    stream.on('drain', () => owner.written());
    stream.on('error', (error) => {
      why = error.message;
    });
    stream.on('close', () => owner.closed(why));
    if (this.#isDestroyed) stream.destroy();
    else owner.opened();
  }
}
