/**
 * Clients that are two command-line programs, one that publishes and one that subscribes, with the flags of
 * mosquitto_pub and mosquitto_sub. What differs between them is in a `Dialect`.
 */
import { Child, type ChildOptions, Permits } from './child.ts';
import {
  type Client,
  type Endpoint,
  Inbox,
  inTime,
  type Message,
  type SessionPresent,
  type Subscription,
  type Victim,
} from './client.ts';

export interface Dialect {
  readonly name: string;
  readonly description: string;
  readonly lacks: Client['lacks'];
  readonly publish: readonly string[];
  /** With the flags that make it print every message, and that it has subscribed. */
  readonly subscribe: readonly string[];
  /** The flag with which it leaves as soon as it has subscribed; without one it leaves on SIGTERM. */
  readonly leave?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The flags that lead to an endpoint. */
  address(endpoint: Endpoint): string[];
  version(endpoint: Endpoint): string;
  /** More flags of the subscribing program. */
  subscribeFlags?(endpoint: Endpoint): string[];
  /** Makes a reader of what one subscribing program prints. */
  reader(): Reader;
}

/** What a line of standard output or standard error tells, if anything. */
export type Reader = (line: string) => Message | 'subscribed' | 'refused' | undefined;

const starting = new Permits(4);

export class ProgramClient implements Client {
  readonly #dialect: Dialect;
  readonly #children: Child[] = [];

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
  }

  get name(): string {
    return this.#dialect.name;
  }

  get description(): string {
    return this.#dialect.description;
  }

  get lacks(): Client['lacks'] {
    return this.#dialect.lacks;
  }

  async publish(endpoint: Endpoint, messages: readonly Message[]): Promise<void> {
    const sameFlags = Map.groupBy(messages, ({ topic, qos, retain }) => JSON.stringify([topic, qos, retain]));
    for (const group of sameFlags.values()) {
      const { topic, qos, retain } = group[0] as Message;
      const lines = group.map(({ payload }) => `${payload}\n`).join('');
      const content = lines === '\n' ? '-n' : '-l';
      const flags = ['-t', topic, '-q', `${qos}`, ...(retain ? ['-r'] : []), content];
      await starting.holding(async () => {
        const child = this.#run(this.#dialect.publish, endpoint, flags);
        child.endInput(content === '-l' ? lines : '');
        const { code } = await inTime(() => `${this.name} to have published to ${topic}`, child.ended);
        if (code !== 0) throw await child.failure();
      });
    }
  }

  subscribe(endpoint: Endpoint, subscription: Subscription): Promise<Victim> {
    return this.subscribeAlone(endpoint, subscription);
  }

  async subscribeAlone(endpoint: Endpoint, subscription: Subscription): Promise<Victim> {
    const inbox = new Inbox();
    const child = await starting.holding(async () => {
      const started = this.#start(endpoint, subscription, [], inbox);
      await inTime(() => `${this.name} to have subscribed`, started.subscribed);
      return started.child;
    });
    const kill = async (signal: NodeJS.Signals) => void (await child.kill(signal));
    return { inbox, sessionPresent: undefined, end: () => kill('SIGTERM'), kill: () => kill('SIGKILL') };
  }

  async visit(endpoint: Endpoint, subscription: Subscription): Promise<SessionPresent> {
    await starting.holding(async () => {
      const { leave } = this.#dialect;
      const { child, subscribed } = this.#start(endpoint, subscription, leave ? [leave] : [], new Inbox());
      await inTime(() => `${this.name} to have subscribed`, subscribed);
      const { code } = await inTime(() => `${this.name} to leave`, leave ? child.ended : child.kill('SIGTERM'));
      if (code !== 0) throw await child.failure();
    });
    return undefined;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.kill('SIGKILL')));
  }

  #start(endpoint: Endpoint, { filters, qos, durableId, will }: Subscription, more: string[], inbox: Inbox) {
    const flags = filters.flatMap((filter) => ['-t', filter]).concat('-q', `${qos}`, more);
    if (durableId !== undefined) flags.push('-c', '-i', durableId);
    if (will !== undefined) {
      flags.push('--will-topic', will.topic, '--will-payload', will.payload, '--will-qos', `${will.qos}`);
      if (will.retain) flags.push('--will-retain');
    }
    const granted = Promise.withResolvers<void>();
    const read = this.#dialect.reader();
    const line = (text: string) => {
      const told = read(text);
      if (told === 'subscribed') granted.resolve();
      else if (told === 'refused') granted.reject(new Error(`${this.name}: ${text}`));
      else if (told !== undefined) inbox.add(told);
    };
    flags.push(...(this.#dialect.subscribeFlags?.(endpoint) ?? []));
    const child = this.#run(this.#dialect.subscribe, endpoint, flags, { line, errorLine: line });
    return { child, subscribed: Promise.race([granted.promise, child.endedEarly()]) };
  }

  #run(program: readonly string[], endpoint: Endpoint, flags: readonly string[], options: ChildOptions = {}): Child {
    const { env = {} } = this.#dialect;
    const reach = [...this.#dialect.address(endpoint), '-V', this.#dialect.version(endpoint)];
    const child = new Child([...program, ...reach, ...flags], { ...options, env });
    this.#children.push(child);
    return child;
  }
}
