/**
 * Clients that are libraries. A small program in the library's language, the driver, does what it reads from standard
 * input and says on standard output how it went and what arrived: one JSON object a line, of the types below.
 */
import { Child } from './child.ts';
import {
  type Client,
  type Endpoint,
  Inbox,
  inTime,
  type Message,
  type SessionPresent,
  type Subscriber,
  type Subscription,
  type Victim,
} from './client.ts';

/** `end` ends the connection of the `subscribe` whose id is `subscriber`. */
export type Command = { readonly id: number } & (
  | { readonly do: 'publish'; readonly endpoint: Endpoint; readonly messages: readonly Message[] }
  | { readonly do: 'subscribe' | 'visit'; readonly endpoint: Endpoint; readonly subscription: Subscription }
  | { readonly do: 'end'; readonly subscriber: number }
);

export type Told =
  | { readonly done: number; readonly sessionPresent?: boolean }
  | { readonly failed: number; readonly why: string }
  | { readonly subscriber: number; readonly message: Message };

type Work<C> = C extends unknown ? Omit<C, 'id'> : never;

interface Pending {
  readonly resolve: (sessionPresent: SessionPresent) => void;
  readonly reject: (error: Error) => void;
}

export class DrivenClient implements Client {
  readonly name: string;
  readonly description: string;
  readonly lacks: Client['lacks'];
  readonly #command: readonly string[];
  readonly #drivers: Driver[] = [];

  /** `command`: what starts the driver. */
  constructor(name: string, description: string, lacks: Client['lacks'], command: readonly string[]) {
    this.name = name;
    this.description = description;
    this.lacks = lacks;
    this.#command = command;
  }

  async publish(endpoint: Endpoint, messages: readonly Message[]): Promise<void> {
    await this.#shared().run({ do: 'publish', endpoint, messages }).done;
  }

  subscribe(endpoint: Endpoint, subscription: Subscription): Promise<Subscriber> {
    return this.#shared().subscribe(endpoint, subscription);
  }

  visit(endpoint: Endpoint, subscription: Subscription): Promise<SessionPresent> {
    return this.#shared().run({ do: 'visit', endpoint, subscription }).done;
  }

  async subscribeAlone(endpoint: Endpoint, subscription: Subscription): Promise<Victim> {
    const driver = this.#start();
    const subscriber = await driver.subscribe(endpoint, subscription);
    return { ...subscriber, end: () => driver.kill(), kill: () => driver.kill() };
  }

  async stop(): Promise<void> {
    await Promise.all(this.#drivers.map((driver) => driver.kill()));
  }

  #shared(): Driver {
    return this.#drivers[0] ?? this.#start();
  }

  #start(): Driver {
    const driver = new Driver(this.name, this.#command);
    this.#drivers.push(driver);
    return driver;
  }
}

class Driver {
  readonly #name: string;
  readonly #child: Child;
  readonly #pending = new Map<number, Pending>();
  readonly #inboxes = new Map<number, Inbox>();
  #lastId = 0;

  constructor(name: string, command: readonly string[]) {
    this.#name = name;
    this.#child = new Child(command, { line: (line) => this.#told(JSON.parse(line) as Told) });
    void this.#child.failure().then((error) => {
      for (const { reject } of this.#pending.values()) reject(error);
    });
  }

  run(work: Work<Command>): { id: number; done: Promise<SessionPresent> } {
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<SessionPresent>();
    this.#pending.set(id, { resolve, reject });
    this.#child.write(`${JSON.stringify({ ...work, id })}\n`);
    return { id, done: inTime(() => `${this.#name}: ${JSON.stringify(work)}`, promise) };
  }

  async subscribe(endpoint: Endpoint, subscription: Subscription): Promise<Subscriber> {
    const inbox = new Inbox();
    const { id, done } = this.run({ do: 'subscribe', endpoint, subscription });
    this.#inboxes.set(id, inbox);
    const end = async () => void (await this.run({ do: 'end', subscriber: id }).done);
    return { inbox, sessionPresent: await done, end };
  }

  async kill(): Promise<void> {
    await this.#child.kill('SIGKILL');
  }

  #told(told: Told): void {
    if ('message' in told) {
      this.#inboxes.get(told.subscriber)?.add(told.message);
      return;
    }
    const id = 'done' in told ? told.done : told.failed;
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if ('done' in told) pending?.resolve(told.sessionPresent);
    else pending?.reject(new Error(`${this.#name}: ${told.why}`));
  }
}
