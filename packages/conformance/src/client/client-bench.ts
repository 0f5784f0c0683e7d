/** What one run of a client case stands on: a scripted server, the client that dials it, and what the application got. */
import type { ConnackProperties, ConnectPacket, ProtocolVersion } from '@pipit/protocol';
import { PacketType } from '@pipit/protocol';
import { type LinkServer, listenForLinks } from '../link.ts';
import { expectTrue, Mismatch } from '../outcome.ts';
import { Peer } from '../peer.ts';
import type { ClientDriver, ClientSettings, ClientUnderTest, ReceivedMessage } from './client-under-test.ts';
import { WebSocketEnd } from './websocket-end.ts';

export interface ConnackWords {
  readonly sessionPresent?: boolean;
  readonly properties?: ConnackProperties;
}

export class ClientBench {
  readonly version: ProtocolVersion;
  readonly timeoutMs: number;
  readonly peers: Peer[] = [];
  /** What the application was handed, in order. */
  readonly received: ReceivedMessage[] = [];
  readonly #driver: ClientDriver;
  readonly #clients: ClientUnderTest[] = [];
  readonly #arrived: Peer[] = [];
  readonly #webSocketServers: LinkServer[] = [];
  #server: LinkServer | undefined;
  #wake: (() => void) | undefined;

  constructor(driver: ClientDriver, version: ProtocolVersion, timeoutMs: number) {
    this.#driver = driver;
    this.version = version;
    this.timeoutMs = timeoutMs;
  }

  /** Where the scripted server listens. */
  async port(): Promise<number> {
    this.#server ??= await listenForLinks((link) => {
      const peer = new Peer(this.version, 'server', this.timeoutMs);
      peer.link = link;
      this.peers.push(peer);
      this.#arrived.push(peer);
      this.#wake?.();
      return peer;
    });
    return this.#server.port;
  }

  /** Makes the client dial. */
  async dial(settings: Partial<ClientSettings> = {}): Promise<ClientUnderTest> {
    const url = `mqtt://127.0.0.1:${await this.port()}`;
    const version = this.version === 5 ? 5 : 4;
    const plain = { url, version, clientId: 'client', cleanStart: true, keepAliveSeconds: 60 } as const;
    const client = this.#driver({ ...plain, ...settings }, (message) => this.received.push(message));
    this.#clients.push(client);
    return client;
  }

  /** The server's end of the next connection; `within` milliseconds. */
  async link(): Promise<Peer> {
    const late = Date.now() + this.timeoutMs;
    while (this.#arrived.length === 0) {
      const left = late - Date.now();
      if (left <= 0) throw new Mismatch('a connection', 'none');
      await new Promise<void>((done) => {
        const timer = setTimeout(done, left);
        this.#wake = () => {
          clearTimeout(timer);
          done();
        };
      });
    }
    return this.#arrived.shift() as Peer;
  }

  /** The HTTP request with which the client begins when it is to use WebSocket. */
  async request(): Promise<string> {
    const whole = Promise.withResolvers<string>();
    const server = await listenForLinks((link) => {
      let text = '';
      return {
        received: (bytes) => {
          text += String.fromCharCode(...bytes);
          if (!text.includes('\r\n\r\n')) return;
          whole.resolve(text);
          link.cut();
        },
        ended: () => {},
      };
    });
    await this.dial({ url: `ws://127.0.0.1:${server.port}/mqtt` });
    const timer = setTimeout(() => whole.reject(new Mismatch('a request', 'none')), this.timeoutMs);
    return whole.promise.finally(() => {
      clearTimeout(timer);
      server.close();
    });
  }

  /** A client that dials by WebSocket, and both views of the server's end: packets, and frames. */
  async byWebSocket(): Promise<{ client: ClientUnderTest; peer: Peer; end: WebSocketEnd }> {
    const arrived = Promise.withResolvers<{ peer: Peer; end: WebSocketEnd }>();
    const server = await listenForLinks((link) => {
      const peer = new Peer(this.version, 'server', this.timeoutMs);
      const end = new WebSocketEnd(link, peer);
      peer.link = { send: (bytes) => end.frame(2, bytes), finish: () => link.finish(), cut: () => link.cut() };
      this.peers.push(peer);
      arrived.resolve({ peer, end });
      return end;
    });
    this.#webSocketServers.push(server);
    const client = await this.dial({ url: `ws://127.0.0.1:${server.port}/mqtt` });
    const timer = setTimeout(() => arrived.reject(new Mismatch('a connection', 'none')), this.timeoutMs);
    const { peer, end } = await arrived.promise.finally(() => clearTimeout(timer));
    return { client, peer, end };
  }

  /** The next connection, its CONNECT taken and answered. */
  async accept(words: ConnackWords = {}): Promise<{ peer: Peer; connect: ConnectPacket }> {
    const peer = await this.link();
    const connect = await peer.take(PacketType.Connect, 'CONNECT');
    this.welcome(peer, words);
    return { peer, connect };
  }

  welcome(peer: Peer, { sessionPresent = false, properties }: ConnackWords = {}): void {
    const list = properties === undefined || peer.version !== 5 ? {} : { properties };
    peer.send({ type: PacketType.Connack, sessionPresent, reasonCode: 0, ...list });
  }

  /** A client that has been accepted, and the server's end of its connection. */
  async connected(
    settings: Partial<ClientSettings> = {},
    words: ConnackWords = {},
  ): Promise<{ client: ClientUnderTest; peer: Peer }> {
    const client = await this.dial(settings);
    const { peer } = await this.accept(words);
    await this.accepted(client);
    return { client, peer };
  }

  /** Resolves when the client knows that it was accepted. */
  async accepted(client: ClientUnderTest): Promise<void> {
    await Promise.race([client.connected, this.#overdue()]);
  }

  /** Rejects when the client has taken too long to notice that it was accepted. */
  #overdue(): Promise<never> {
    return new Promise((_, reject) => {
      setTimeout(() => reject(new Mismatch('the client to be connected', 'it is not')), this.timeoutMs).unref();
    });
  }

  get durable(): Partial<ClientSettings> {
    return { cleanStart: false, ...(this.version === 5 && { sessionExpirySeconds: 600 }) };
  }

  /** Proves that the client has sent all it is going to: it answers a QoS 1 PUBLISH, and nothing besides is there. */
  async silence(peer: Peer, what = 'nothing more'): Promise<void> {
    peer.sendPublish('fence', 'fence', { qos: 1, packetId: 65_000 });
    await peer.takeAck(PacketType.Puback, 65_000);
    peer.expectNothing(what);
  }

  /** The client must close the connection, in 5.0 perhaps with DISCONNECT. */
  async closes(peer: Peer, what: string): Promise<void> {
    await peer.over(`the connection to be closed: ${what}`);
    const sent = peer.untaken.filter(({ type }) => type !== PacketType.Disconnect);
    expectTrue(sent.length === 0, `nothing but DISCONNECT: ${what}`, sent);
  }

  clear(): void {
    for (const client of this.#clients) client.destroy();
    for (const peer of this.peers) peer.cut();
    for (const server of [this.#server, ...this.#webSocketServers]) server?.close();
  }
}
