/**
 * A listener: what listens on one address, opened, held back, handed over to other settings and closed.
 *
 * What becomes of the sockets that it accepts is for its arrivals to say. It does not know what links are used for.
 */

import { chmod } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { isDeepStrictEqual } from 'node:util';
import { Arrivals, type Judgement, type Reception } from './arrivals.ts';
import type { ClientTrust } from './client-trust.ts';
import { listenError } from './listen-error.ts';
import type { ListenerOptions } from './listener-options.ts';
import { defaultHost, hostAndPort, listenerUrl } from './listener-options.ts';
import { removeStale } from './socket-file.ts';
import { shareReads } from './stream-link.ts';

export class Listener {
  readonly type: ListenerOptions['type'];
  /** `mqtts://0.0.0.0:8883`, with the actual port once it is open. */
  url: string;
  /** Null for a Unix socket. */
  port: number | null = null;
  readonly #options: ListenerOptions;
  readonly #reception: Reception;
  readonly #server: Server;
  readonly #arrivals: Arrivals;
  /** Undoes what was done to the server for the sake of shared reads. */
  #unshare: () => void = () => {};

  #isOpen = false;
  /** Sockets that wait until it is released; null: none has to. */
  #held: Socket[] | null = null;
  /** The server is its own, and not another listener's that took over. */
  #hasServer = true;
  /** Whose server it takes over. */
  #previous: Listener | null;

  /** Opens a listener; a held one lets sockets wait until it is released. Rejects with ListenError. */
  static async open(options: ListenerOptions, reception: Reception, isHeld = false): Promise<Listener> {
    const listener = new Listener(options, reception);
    if (isHeld) listener.#held = [];
    await listener.#open();
    return listener;
  }

  private constructor(options: ListenerOptions, reception: Reception, previous: Listener | null = null) {
    this.type = options.type;
    this.url = listenerUrl(options, null);
    this.#options = options;
    this.#reception = reception;
    this.#arrivals = new Arrivals(options, reception, previous === null ? undefined : previous.#arrivals);
    this.#previous = previous;
    const settings = { allowHalfOpen: true, noDelay: true, pauseOnConnect: this.#arrivals.takesPaused };
    this.#server = previous === null ? createServer(settings) : previous.#server;
    if (previous === null) this.#server.on('connection', (socket) => this.#accepted(socket));
  }

  /** What has come so far and what comes from now on is let in. */
  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const socket of held) if (!socket.destroyed) this.#arrivals.accept(socket);
  }

  /** What it was opened with. */
  get options(): ListenerOptions {
    return this.#options;
  }

  /** A listener with other settings for what this one listens on, once it has `takeOver` called. Throws ListenError. */
  succeeded(options: ListenerOptions): Listener {
    return new Listener(options, this.#reception, this);
  }

  /** From now on new sockets come here; what is still shaking hands goes on where it is. True when the settings are others. */
  takeOver(): boolean {
    const previous = this.#previous;
    if (previous === null) return false;
    this.#previous = null;
    const server: Server & { pauseOnConnect?: boolean } = this.#server;
    server.removeAllListeners('connection').removeAllListeners('error');
    // Node looks at it for every socket.
    server.pauseOnConnect = this.#arrivals.takesPaused;
    server.on('connection', (socket) => this.#accepted(socket));
    previous.#unshare();
    this.port = previous.port;
    previous.#isOpen = false;
    previous.#hasServer = false;
    const options = this.#options;
    if (options.type === 'unix' && options.mode !== undefined) chmod(options.path, options.mode).catch(ignore);
    this.#opened();
    return !isDeepStrictEqual(previous.#options, options);
  }

  /** Whose client certificates count here; null: none are asked for. */
  get trust(): ClientTrust | null {
    return this.#arrivals.trust;
  }

  /** For one that is not open any more: what is still shaking hands is judged by this when it is done. */
  judge(judgement: Judgement): void {
    this.#arrivals.judge = judgement;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Sockets accepted that are not links yet. */
  get pending(): number {
    return this.#arrivals.pending;
  }

  async #open(): Promise<void> {
    const options = this.#options;
    if (options.type === 'unix') {
      await removeStale(options.path);
      await this.#listen(options.path, (server) => server.listen({ path: options.path }));
      if (options.mode !== undefined) await chmod(options.path, options.mode);
    } else {
      const { host = defaultHost, port } = options;
      await this.#listen(hostAndPort(host, port), (server) => server.listen({ host, port }));
      const address = this.#server.address();
      if (typeof address === 'object' && address !== null) this.port = address.port;
    }
    this.#opened();
  }

  #opened(): void {
    this.url = listenerUrl(this.#options, this.port);
    this.#arrivals.url = this.url;
    const { sharedBuffer } = this.#arrivals;
    if (sharedBuffer !== null) this.#unshare = shareReads(this.#server, sharedBuffer);
    this.#isOpen = true;
    this.#server.on('error', (error) => this.#reception.turnedAway(this.url, '', `accept failed: ${error.message}`));
  }

  /** Frees the port, and drops what is still shaking hands. Links stay. */
  close(): void {
    this.#isOpen = false;
    if (this.#hasServer) this.#server.close();
    for (const socket of this.#held ?? []) socket.destroy();
    this.#arrivals.drop();
  }

  #accepted(socket: Socket): void {
    if (this.#held === null) return this.#arrivals.accept(socket);
    socket.on('error', ignore);
    this.#held.push(socket);
  }

  #listen(what: string, listen: (server: Server) => void): Promise<void> {
    const server = this.#server;
    return new Promise((done, failed) => {
      const refuse = (error: Error): void => failed(listenError(what, error));
      server.once('error', refuse);
      server.once('listening', () => {
        server.removeListener('error', refuse);
        done();
      });
      try {
        listen(server);
      } catch (error) {
        refuse(error as Error);
      }
    });
  }
}

function ignore(): void {
  // The 'close' that follows says all there is to know.
}
