/** Pipit's MQTT client where there is only what the web offers: WebSocket. The same as `index.ts` but for the transports. */
import { Client } from './client/client.ts';
import type { ConnectOptions } from './client/connect-options.ts';
import { webPlatform } from './client/platform.ts';
import { webSocket } from './client/websocket-transport.ts';

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
export { type Platform, webPlatform } from './client/platform.ts';
export type { Answer, RequestOptions, Responder } from './client/request-response.ts';
export type { MessageHandler, Refusal, SubscribeOptions, Subscription } from './client/subscription.ts';
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
export { webSocket } from './client/websocket-transport.ts';
export type { PublishResult } from './core/call.ts';
export { type FailureKind, MqttError } from './core/failure.ts';
export type { Message } from './core/message.ts';
export type { ClientLimits, OutboxOverflow, ReconnectPolicy } from './core/options.ts';
export { defaultLimits, defaultReconnect } from './core/options.ts';
export type { Cause, Status, Why } from './core/status.ts';

/**
 * Connects, and stays connected, to `ws://` or `wss://`: the first of the URLs that answers. Returns at once;
 * `client.connected()` waits. Throws for options that cannot be right.
 */
export function connect(url: string | readonly string[], options: ConnectOptions = {}): Client {
  const transports = { ws: webSocket, wss: webSocket };
  return new Client(typeof url === 'string' ? [url] : url, options, transports, options.platform ?? webPlatform, null);
}
