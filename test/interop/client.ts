/** What every client under test is asked to do, whoever wrote it, and what it is told about messages. */

export const transports = ['TCP', 'TLS', 'WebSocket', 'secure WebSocket', 'Unix'] as const;
export type Transport = (typeof transports)[number];

export const versions = ['3.1', '3.1.1', '5.0'] as const;
export type Version = (typeof versions)[number];

export type QoS = 0 | 1 | 2;

/** Where and how to reach the broker: a port of 127.0.0.1, and `/mqtt` on it; or the path of a Unix socket. */
export interface Endpoint {
  readonly transport: Transport;
  readonly version: Version;
  readonly address: number | string;
}

export interface Message {
  readonly topic: string;
  readonly payload: string;
  readonly qos: QoS;
  readonly retain: boolean;
}

export interface Subscription {
  readonly filters: readonly string[];
  readonly qos: QoS;
  /** The client id of a session that outlives the connection; without it the session is new and ends with it. */
  readonly durableId?: string;
  readonly will?: Message;
}

/** Whether the broker said it had the session; undefined where the client does not tell. */
export type SessionPresent = boolean | undefined;

/** A client that is connected and subscribed. */
export interface Subscriber {
  readonly inbox: Inbox;
  readonly sessionPresent: SessionPresent;
  /** Ends the connection, in whatever way. */
  end(): Promise<void>;
}

/** A subscriber with a process of its own, which can be killed without a word to the broker. */
export interface Victim extends Subscriber {
  kill(): Promise<void>;
}

/** What a client may lack, besides transports. */
export type Feature = 'retained' | 'will' | 'session' | 'shared';

export interface Client {
  readonly name: string;
  /** The program or library and its version. */
  readonly description: string;
  /** What it cannot do, each with the reason that the matrix prints. */
  readonly lacks: Readonly<Partial<Record<Transport | Feature, string>>>;
  /** Connects, publishes in order, waits until the broker has acknowledged everything, and disconnects. */
  publish(endpoint: Endpoint, messages: readonly Message[]): Promise<void>;
  /** Done when the broker has granted every filter. */
  subscribe(endpoint: Endpoint, subscription: Subscription): Promise<Subscriber>;
  /** Subscribes, then disconnects with DISCONNECT. */
  visit(endpoint: Endpoint, subscription: Subscription): Promise<SessionPresent>;
  subscribeAlone(endpoint: Endpoint, subscription: Subscription): Promise<Victim>;
  /** Ends what the client runs. */
  stop(): Promise<void>;
}

const deadlineMs = 20_000;

/** What was promised, or an error that says what did not happen in time. */
export async function inTime<T>(what: () => string, promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`not within ${deadlineMs} ms: ${what()}`)), deadlineMs);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** The messages of one subscriber, in the order received. */
export class Inbox {
  readonly messages: Message[] = [];
  #waiting: (() => void)[] = [];

  add(message: Message): void {
    this.messages.push(message);
    for (const look of this.#waiting) look();
  }

  /** Waits until messages of that topic, or of topics that begin with it, have come. */
  async until(topic: string, count = 1): Promise<void> {
    const has = () => this.messages.filter((message) => message.topic.startsWith(topic)).length;
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = () => {
      if (has() >= count) resolve();
    };
    this.#waiting.push(look);
    look();
    try {
      await inTime(() => `${count} messages of ${topic}; there are ${has()} of ${this.messages.length}`, promise);
    } finally {
      this.#waiting = this.#waiting.filter((other) => other !== look);
    }
  }
}
