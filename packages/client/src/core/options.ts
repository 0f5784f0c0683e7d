/** What a client is told once, with every default and why it is what it is. Milliseconds and bytes unless the name says otherwise. */
import type { UserProperty, Will } from '@pipit/protocol';

export interface CoreOptions {
  /** 4 is MQTT 3.1.1. */
  readonly version: 4 | 5;
  /** Empty: the server chooses one, which is then kept. */
  readonly clientId: string;
  /** The first connection drops what the server still has of this client id. Later ones resume, if there is a session. */
  readonly cleanStart: boolean;
  /** How long the server keeps the session after the connection is lost; 0xFFFFFFFF: for ever. 3.1.1 has only 0 and for ever. */
  readonly sessionExpirySeconds: number;
  /** 0: never ask whether the server is there. */
  readonly keepAliveSeconds: number;
  readonly username: string | null;
  readonly password: Uint8Array | null;
  readonly will: Will | null;
  readonly authentication: { readonly method: string; readonly data: Uint8Array | null } | null;
  readonly requestResponseInformation: boolean;
  readonly requestProblemInformation: boolean;
  readonly userProperties: readonly UserProperty[];
  readonly limits: ClientLimits;
  readonly outboxOverflow: OutboxOverflow;
  readonly reconnect: ReconnectPolicy;
  /** How many servers there are to try in turn. */
  readonly servers: number;
  /** Go where the server sends us (0x9C, 0x9D with a Server Reference). */
  readonly followServerReference: boolean;
}

/** At a full outbox: refuse the message that comes, or give up those that have waited longest to make room for it. */
export type OutboxOverflow = 'refuse' | 'drop-oldest';

export interface ClientLimits {
  /** Of a packet from the server, announced as Maximum Packet Size. */
  readonly packetBytesMax: number;
  /** QoS 1 and 2 messages from the server that wait for the application, announced as Receive Maximum. */
  readonly receiveMaximum: number;
  /** Bytes of messages that wait for the application before the socket is read no more. */
  readonly unconsumedBytesMax: number;
  /** Topic aliases the server may use. */
  readonly topicAliasMaximum: number;
  /** Topic aliases used towards a server that allows more; 0: none. */
  readonly sentTopicAliasMaximum: number;
  /** QoS 1 and 2 messages sent and not answered, unless the server asks for less. */
  readonly sendMaximum: number;
  /** Messages that wait to be sent, those that wait for the server's answer not counted. */
  readonly outboxMessagesMax: number;
  /** Bytes of them: topic and payload. */
  readonly outboxBytesMax: number;
  /** Bytes the socket has not taken before messages stay in the outbox. */
  readonly unsentBytesMax: number;
  /** Filters in one SUBSCRIBE. 8 is what the most frugal of the big services takes. */
  readonly filtersPerSubscribeMax: number;
  /** How many connections may end over one message before it is set aside. */
  readonly attemptsMax: number;
  /** From dialling to a socket, then from CONNECT to CONNACK. */
  readonly connectTimeoutMs: number;
  /** From PINGREQ to any packet. */
  readonly pingTimeoutMs: number;
}

/** When to dial again: any time between now and `minMs * 2 ** attempt`, `maxMs` at most ("full jitter"). */
export interface ReconnectPolicy {
  readonly minMs: number;
  readonly maxMs: number;
  /** A connection that held this long counts as a success: the next failure is the first again. */
  readonly stableMs: number;
  /** Reason codes after which dialling again would be wrong or in vain. */
  readonly stopOn: ReadonlySet<number>;
  /** False: one connection, and no other after it. */
  readonly enabled: boolean;
}

export const defaultLimits: ClientLimits = {
  packetBytesMax: 16 * 1024 * 1024,
  receiveMaximum: 1_000,
  unconsumedBytesMax: 4 * 1024 * 1024,
  topicAliasMaximum: 16,
  sentTopicAliasMaximum: 64,
  sendMaximum: 1_000,
  outboxMessagesMax: 100_000,
  outboxBytesMax: 64 * 1024 * 1024,
  unsentBytesMax: 1024 * 1024,
  filtersPerSubscribeMax: 8,
  attemptsMax: 5,
  connectTimeoutMs: 30_000,
  pingTimeoutMs: 10_000,
};

/**
 * Stopped by: what another try with the same words meets again (0x81, 0x82, 0x84, 0x85, 0x8C), a server that says we are not
 * wanted (0x86, 0x87, 0x8A), another client that took the session (0x8E: two that fight over it help nobody), and a server
 * that is not the right one any more (0x9C, 0x9D). A server that is busy (0x88, 0x89) is tried again.
 */
export const defaultReconnect: ReconnectPolicy = {
  minMs: 500,
  maxMs: 30_000,
  stableMs: 10_000,
  stopOn: new Set([0x81, 0x82, 0x84, 0x85, 0x86, 0x87, 0x8a, 0x8c, 0x8e, 0x9c, 0x9d]),
  enabled: true,
};
