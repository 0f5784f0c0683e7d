/** What `connect` takes, and what the core makes of it. */
import type { PublishProperties, QoS, UserProperty, WillProperties } from '@pipit/protocol';
import type { Message, ReasonProperties } from '../core/message.ts';
import {
  type ClientLimits,
  type CoreOptions,
  defaultLimits,
  defaultReconnect,
  type OutboxOverflow,
  type ReconnectPolicy,
} from '../core/options.ts';
import type { Status } from '../core/status.ts';
import { payloadBytes } from '../core/text.ts';
import type { Client } from './client.ts';

import type { OutboxStore } from './outbox-store.ts';
import type { Platform } from './platform.ts';
import type { Transports } from './transport.ts';

export interface WillOptions {
  readonly topic: string;
  readonly payload: string | Uint8Array;
  readonly qos?: QoS;
  readonly retain?: boolean;
  /** 5.0; with `willDelayInterval` the server waits that many seconds for us to come back. */
  readonly properties?: WillProperties;
}

/** Enhanced authentication (5.0, section 4.12). */
export interface Authentication {
  readonly method: string;
  /** What CONNECT says first. */
  readonly data?: Uint8Array;
  /** The answer to the server's challenge. One that rejects ends the connection. */
  answer(challenge: Uint8Array | null): Uint8Array | Promise<Uint8Array>;
}

export interface ConnectOptions {
  /** 5 (the default), or 4 for 3.1.1. */
  readonly version?: 4 | 5;
  /** Default: the server chooses one. */
  readonly clientId?: string;
  readonly username?: string;
  readonly password?: string | Uint8Array;
  /** Drop what the server still has of this client id, at the first connection. Default true. 3.1.1: at every one. */
  readonly cleanStart?: boolean;
  /** 5.0: how long the server keeps the session while we are not connected. Default 300; 0: not at all. */
  readonly sessionExpirySeconds?: number;
  /** Default 60. */
  readonly keepAliveSeconds?: number;
  readonly will?: WillOptions;
  readonly authentication?: Authentication;
  /** 5.0: ask the server for its Response Information, which `request` then begins its response topic with. Default false. */
  readonly requestResponseInformation?: boolean;
  /** 5.0: let the server explain a refusal in more than its reason code. Default true. */
  readonly requestProblemInformation?: boolean;
  /** 5.0: User Properties of CONNECT. */
  readonly userProperties?: readonly UserProperty[];
  readonly limits?: Partial<ClientLimits>;
  /** What goes when the outbox is full: the message that comes (`refuse`, the default), or those that waited longest. */
  readonly outboxOverflow?: OutboxOverflow;
  /** Keeps QoS 1 and 2 messages while the process or the page is gone; in Node `outboxFolder(path)`. Default: in memory only. */
  readonly outbox?: OutboxStore;
  /** `false`: one connection, and no other after it. */
  readonly reconnect?:
    | (Partial<Omit<ReconnectPolicy, 'enabled' | 'stopOn'>> & { readonly stopOn?: Iterable<number> })
    | false;
  /** Go where the server sends us, with the credentials of this connection. Default false. */
  readonly followServerReference?: boolean;
  /** Gets messages that no subscription of this client wants: those of a session from an earlier run. */
  readonly onMessage?: (message: Message) => unknown;
  /** Called on every connection, before anything waiting is known to be sent: publish here what says that we are there. */
  readonly birth?: (client: Client, status: Extract<Status, { state: 'connected' }>) => unknown;
  /** What a handler, a listener or `birth` threw. Default: it is thrown where nobody catches it. */
  readonly onError?: (error: unknown) => void;
  /** Beside or instead of those that are there by default. */
  readonly transports?: Transports;
  readonly platform?: Platform;
}

/** Seconds a session outlives its connection unless told otherwise: long enough for a flaky network, short for a server. */
const defaultSessionExpirySeconds = 300;
const forEver = 0xffff_ffff;

/** `urls`: where to connect to, with the credentials of the first. */
export function coreOptionsOf(urls: readonly URL[], options: ConnectOptions): CoreOptions {
  const { version = 5, clientId = '', cleanStart = true, keepAliveSeconds = 60, will, authentication } = options;
  const { sessionExpirySeconds = cleanStart || version === 5 ? defaultSessionExpirySeconds : forEver } = options;
  const [first] = urls;
  const username = options.username ?? decoded(first?.username);
  const password = options.password ?? decoded(first?.password);
  const { reconnect = {}, userProperties = [] } = options;
  const policy = reconnect === false ? {} : reconnect;
  return {
    version,
    clientId,
    cleanStart,
    sessionExpirySeconds,
    keepAliveSeconds,
    username,
    password: password === null ? null : payloadBytes(password),
    will: will === undefined ? null : willOf(will),
    authentication:
      authentication === undefined ? null : { method: authentication.method, data: authentication.data ?? null },
    requestResponseInformation: options.requestResponseInformation ?? false,
    requestProblemInformation: options.requestProblemInformation ?? true,
    userProperties,
    limits: { ...defaultLimits, ...options.limits },
    outboxOverflow: options.outboxOverflow ?? 'refuse',
    reconnect: {
      ...defaultReconnect,
      ...policy,
      stopOn: policy.stopOn === undefined ? defaultReconnect.stopOn : new Set(policy.stopOn),
      enabled: reconnect !== false,
    },
    servers: urls.length,
    followServerReference: options.followServerReference ?? false,
  };
}

function willOf({ topic, payload, qos = 0, retain = false, properties }: WillOptions): CoreOptions['will'] {
  return {
    topic,
    payload: new Uint8Array(payloadBytes(payload)),
    qos,
    retain,
    ...(properties !== undefined && { properties }),
  };
}

function decoded(text: string | undefined): string | null {
  return text === undefined || text === '' ? null : decodeURIComponent(text);
}

export interface PublishOptions {
  /** Default 0. */
  readonly qos?: QoS;
  readonly retain?: boolean;
  /** 5.0. A topic alias is the client's own business, a Subscription Identifier the server's. */
  readonly properties?: Omit<PublishProperties, 'topicAlias' | 'subscriptionIdentifiers'>;
  /** Gives up waiting; a message that was sent already may still arrive. */
  readonly signal?: AbortSignal;
  /** Gives up waiting after so long. */
  readonly timeoutMs?: number;
}

export interface PublishOptions {
  /**
   * With an `outbox` and QoS 1 or 2: resolve when the message is stored, and not only when the server has taken it. It is sent
   * then whatever happens to this process; a refusal is told to `onError`.
   */
  readonly until?: 'stored' | 'answered';
}

export interface EndOptions {
  /** How long what was asked for may take to be sent and answered first. Default 5,000; 0: no time. */
  readonly drainMs?: number;
  /** 5.0: 0x04 has the server publish the will. Default 0. */
  readonly reasonCode?: number;
  /** 5.0: what else DISCONNECT says. */
  readonly properties?: ReasonProperties;
  /** 5.0: leaves the session for so long. Default: as `sessionExpirySeconds` of `connect`, or nothing if that was not given. */
  readonly sessionExpirySeconds?: number;
}
