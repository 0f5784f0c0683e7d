/** What the client's users may import wherever it runs; `index.ts` and `browser.ts` add `connect` and what carries its bytes. */
export {
  filterMatches,
  type PublishProperties,
  parseFilter,
  type QoS,
  ReasonCode,
  reasonCodeName,
  splitTopic,
  topicFilterProblem,
  topicNameProblem,
  type UserProperty,
} from '@pipit/protocol';
export { Client, type Connected } from './client/client.ts';
export { type Codec, json, text } from './client/codec.ts';
export type {
  Authentication,
  ConnectOptions,
  EndOptions,
  PublishOptions,
  WillOptions,
} from './client/connect-options.ts';
export type { OutboxStore, StoredMessage } from './client/outbox-store.ts';
export { type Platform, webPlatform } from './client/platform.ts';
export type { Answer, RequestOptions, Responder } from './client/request-response.ts';
export type {
  MessageHandler,
  Refusal,
  SubscribeOptions,
  Subscription,
  UnsubscribeOptions,
  WaitOptions,
} from './client/subscription.ts';
export type { Link, LinkOwner, Transport, Transports } from './client/transport.ts';
export {
  type SchemaResult,
  type StandardSchema,
  type TopicParams,
  TopicPattern,
  type TypedMessage,
  type TypedSubscribeOptions,
  type TypedSubscription,
  type TypedTopic,
  topic,
} from './client/typed-topic.ts';
export type { PublishResult } from './core/call.ts';
export { type FailureKind, MqttError } from './core/failure.ts';
export type { Message, ReasonProperties } from './core/message.ts';
export type { ClientLimits, OutboxOverflow, ReconnectPolicy } from './core/options.ts';
export { defaultLimits, defaultReconnect } from './core/options.ts';
export type { Cause, Status, Why } from './core/status.ts';
