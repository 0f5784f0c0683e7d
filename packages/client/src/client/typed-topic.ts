/**
 * Topics with parameters and payloads with types: one description for both who publishes and who subscribes.
 *
 *     const temperature = topic('site/{site}/temp').with(schema);
 *     await temperature.publish(client, { site: 'north' }, { celsius: 21 });
 *     for await (const { params, payload } of await temperature.subscribe(client)) …
 *
 * The schema is whatever implements Standard Schema (standardschema.dev). What arrives and does not fit it never reaches the loop.
 */
import { topicNameProblem } from '@pipit/protocol';
import type { PublishResult } from '../core/call.ts';
import { MqttError } from '../core/failure.ts';
import type { Message } from '../core/message.ts';
import type { Client } from './client.ts';
import { type Codec, json } from './codec.ts';
import type { PublishOptions } from './connect-options.ts';
import type { SubscribeOptions, Subscription } from './subscription.ts';

/** The part of Standard Schema, version 1, that is used here. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string }[] };

/** `{ site: string }` of `site/{site}/temp`. */
export type TopicParams<Pattern extends string> = Pattern extends `${string}{${infer Name}}${infer Rest}`
  ? { readonly [Key in Name]: string } & TopicParams<Rest>
  : unknown;

export interface TypedMessage<Pattern extends string, Payload> {
  readonly params: TopicParams<Pattern>;
  readonly payload: Payload;
  readonly message: Message;
}

export interface TypedSubscribeOptions<Pattern extends string, Payload> extends Omit<SubscribeOptions, 'handler'> {
  readonly handler?: (message: TypedMessage<Pattern, Payload>) => unknown;
  /** Gets what does not decode or does not fit the schema; by default it is passed over. */
  readonly invalid?: (error: unknown, message: Message) => void;
  /** Parameters that are fixed; the others are wildcards. */
  readonly params?: Partial<TopicParams<Pattern>>;
}

/** A pattern whose levels are text or one `{name}` each. Throws MqttError for what can be no topic. */
export function topic<const Pattern extends string>(pattern: Pattern): TopicPattern<Pattern> {
  return new TopicPattern(pattern);
}

export class TopicPattern<Pattern extends string> {
  readonly pattern: Pattern;
  /** Level by level: the name of a parameter, or null and the text. */
  readonly #levels: readonly { readonly name: string | null; readonly text: string }[];

  constructor(pattern: Pattern) {
    this.pattern = pattern;
    this.#levels = pattern.split('/').map((text) => ({ name: /^\{([^{}]+)\}$/.exec(text)?.[1] ?? null, text }));
    const names = this.#levels.flatMap(({ name }) => name ?? []);
    const isTwice = new Set(names).size < names.length;
    const hasBraces = this.#levels.some(({ name, text }) => name === null && /[{}]/.test(text));
    if (isTwice || hasBraces)
      throw notAllowed(`${pattern}: a parameter is a level of its own and has a name of its own`);
    const problem = topicNameProblem(pattern);
    if (problem !== undefined) throw notAllowed(problem);
  }

  /** The filter for all topics of this pattern, or for those with the parameters given. */
  filter(params: Partial<TopicParams<Pattern>> = {}): string {
    const known = params as Readonly<Record<string, string | undefined>>;
    return this.#levels.map(({ name, text }) => (name === null ? text : levelOf(name, known[name], '+'))).join('/');
  }

  /** The topic with these parameters. Throws MqttError when one is missing or is no level. */
  topic(params: TopicParams<Pattern>): string {
    const known = params as Readonly<Record<string, string | undefined>>;
    return this.#levels.map(({ name, text }) => (name === null ? text : levelOf(name, known[name], null))).join('/');
  }

  /** The parameters of a topic; null when it is not one of this pattern. */
  match(name: string): TopicParams<Pattern> | null {
    const levels = name.split('/');
    if (levels.length !== this.#levels.length) return null;
    const params: Record<string, string> = {};
    for (const [index, { name: parameter, text }] of this.#levels.entries()) {
      const level = levels[index] as string;
      if (parameter !== null) params[parameter] = level;
      else if (level !== text) return null;
    }
    return params as TopicParams<Pattern>;
  }

  /** With payloads that fit a schema, as JSON unless another codec is given. */
  with<Input, Output>(
    schema: StandardSchema<Input, Output>,
    codec: Codec<unknown> = json,
  ): TypedTopic<Pattern, Input, Output> {
    return new TypedTopic(this, schema, codec);
  }
}

export class TypedTopic<Pattern extends string, Input, Output> {
  readonly topics: TopicPattern<Pattern>;
  readonly #schema: StandardSchema<Input, Output>;
  readonly #codec: Codec<unknown>;

  constructor(topics: TopicPattern<Pattern>, schema: StandardSchema<Input, Output>, codec: Codec<unknown>) {
    this.topics = topics;
    this.#schema = schema;
    this.#codec = codec;
  }

  /** Rejects with an MqttError of kind `not-allowed` when the value does not fit the schema: then nothing was sent. */
  async publish(
    client: Client,
    params: TopicParams<Pattern>,
    value: Input,
    options: PublishOptions = {},
  ): Promise<PublishResult> {
    const name = this.topics.topic(params);
    await this.#validated(value);
    const payload = this.#codec.encode(value);
    const { contentType } = this.#codec;
    if (contentType === undefined || client.version === 4) return client.publish(name, payload, options);
    return client.publish(name, payload, { ...options, properties: { contentType, ...options.properties } });
  }

  /** Messages that fit, to the handler, or out of the iterator that is returned. */
  async subscribe(
    client: Client,
    options: TypedSubscribeOptions<Pattern, Output> = {},
  ): Promise<TypedSubscription<Pattern, Output>> {
    const { handler, invalid = () => undefined, params = {}, ...rest } = options;
    const read = async (message: Message): Promise<TypedMessage<Pattern, Output> | null> => {
      try {
        return await this.read(message);
      } catch (error) {
        invalid(error, message);
        return null;
      }
    };
    const raw = handler && {
      handler: async (message: Message): Promise<void> => {
        const typed = await read(message);
        if (typed !== null) await handler(typed);
      },
    };
    const filter = this.topics.filter(params as Partial<TopicParams<Pattern>>);
    return new TypedSubscription(await client.subscribe(filter, { ...rest, ...raw }), read);
  }

  /** One message, decoded and checked. Rejects when it does not decode, does not fit, or its topic is not of this pattern. */
  async read(message: Message): Promise<TypedMessage<Pattern, Output>> {
    const params = this.topics.match(message.topic);
    if (params === null) throw notAllowed(`${message.topic} is no topic of ${this.topics.pattern}`);
    return { params, payload: await this.#validated(this.#codec.decode(message.payload)), message };
  }

  async #validated(value: unknown): Promise<Output> {
    const result = await this.#schema['~standard'].validate(value);
    if (result.issues === undefined) return result.value;
    throw notAllowed(`The payload does not fit: ${result.issues.map(({ message }) => message).join('; ')}`);
  }
}

/** The messages of a subscription that fit, in order. */
export class TypedSubscription<Pattern extends string, Payload> implements AsyncDisposable {
  /** What is underneath: its filters, what was granted. */
  readonly subscription: Subscription;
  readonly #read: (message: Message) => Promise<TypedMessage<Pattern, Payload> | null>;

  constructor(subscription: Subscription, read: (message: Message) => Promise<TypedMessage<Pattern, Payload> | null>) {
    this.subscription = subscription;
    this.#read = read;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<TypedMessage<Pattern, Payload>, void> {
    for await (const message of this.subscription) {
      const typed = await this.#read(message);
      if (typed !== null) yield typed;
    }
  }

  async unsubscribe(): Promise<void> {
    await this.subscription.unsubscribe();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.subscription[Symbol.asyncDispose]();
  }
}

/** `absent`: what stands for a parameter that is not given; null: it must be. */
function levelOf(name: string, value: string | undefined, absent: string | null): string {
  if (value === undefined && absent !== null) return absent;
  if (value === undefined || value === '' || /[+#/\0]/.test(value)) {
    throw notAllowed(`The parameter ${name} must be one level of a topic, not ${JSON.stringify(value)}`);
  }
  return value;
}

function notAllowed(message: string): MqttError {
  return new MqttError('not-allowed', message);
}
