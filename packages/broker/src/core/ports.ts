/**
 * The words in which the core and the world around it speak: who connects, what an authority decides, what a store keeps.
 *
 * Everything here is data. The core never calls out: it asks by effects (see core.ts) and is answered by inputs.
 */

import type { ProtocolVersion, QoS, UserProperty } from '@pipit/protocol';
import type { Permissions } from './permissions.ts';

/** Who is at the other end of a socket, as far as the transport knows. */
export interface Peer {
  readonly transport: 'tcp' | 'tls' | 'ws' | 'wss' | 'unix' | 'memory';
  /** `192.0.2.1:50123`, `[2001:db8::1]:50123`, or the path of a Unix socket. */
  readonly address: string;
  /** The listener it came in by, as configured: `mqtts://0.0.0.0:8883`. */
  readonly listener: string;
  /** The verified client certificate, if one was asked for and shown. */
  readonly certificate?: {
    readonly commonName: string;
    readonly subject: string;
    /** Of its key and all, SHA-256: `AB:CD:…`. */
    readonly fingerprint: string;
    /** `DNS:device-7.example`, `URI:urn:…`, `email:…`, in its order. */
    readonly alternativeNames: readonly string[];
  };
  /** What its listener holds everybody to; absent: nothing of its own. */
  readonly terms?: Terms;
}

/** What a listener holds everybody to who comes in by it, whatever a verdict says: of both the narrower counts. */
export interface Terms {
  /** Text that stands before the topics and filters of its clients as the broker knows them, and that they never see (mount-point.ts). */
  readonly mountPoint?: string;
  readonly maximumQoS?: QoS;
  readonly retainAvailable?: boolean;
  readonly topicAliasMaximum?: number;
  /** Whether a client may leave its id to the broker. Default: true. */
  readonly allowEmptyClientId?: boolean;
  /** What such an id begins with. Default: `auto-`. */
  readonly assignedClientIdPrefix?: string;
  /** The user name takes the place of the client id; without one there is no getting in (0x87). Default: false. */
  readonly usernameAsClientId?: boolean;
  /** Whose users and rules count, where there are several sets of them. For authorities: the core does not look at it. */
  readonly access?: string;
}

/** What an authority is asked. Answer with a verdict for the same exchange. */
export interface AuthenticationRequest {
  readonly kind: 'connect' | 'continue' | 're-authenticate';
  readonly peer: Peer;
  readonly version: ProtocolVersion;
  readonly clientId: string;
  readonly username: string | null;
  readonly password: Uint8Array | null;
  /** Enhanced authentication (5.0, 4.12). */
  readonly method: string | null;
  readonly data: Uint8Array | null;
  readonly userProperties: readonly UserProperty[];
  /** Who the connection already is, on re-authentication. */
  readonly principal: string | null;
  /** What the `continue` before this step asked to remember; null at the first step of an exchange. */
  readonly memory: unknown;
}

/** Names as the peer writes them ↔ names as the broker knows them. Pure functions; null: this name does not exist for the peer. */
export interface TopicMapping {
  readonly topicIn: (topic: string) => string | null;
  readonly topicOut: (topic: string) => string | null;
  readonly filterIn: (filter: string) => string | null;
}

/** What this connection may use at all; announced in CONNACK and enforced. Absent: what the broker offers to all. */
export interface Capabilities {
  readonly maximumQoS?: QoS;
  readonly retain?: boolean;
  readonly wildcards?: boolean;
  readonly shared?: boolean;
  readonly subscriptionIdentifiers?: boolean;
  /** The QoS of a delivery: the lower of published and granted, or as published. */
  readonly deliveredQoS?: 'lower' | 'published';
}

export interface Acceptance {
  readonly outcome: 'accept';
  /** Who this is. A session belongs to the principal that created it; null is nobody in particular. */
  readonly principal: string | null;
  /** Absent: everything is allowed. */
  readonly permissions?: Permissions;
  /** The key of the session; absent: the client id. */
  readonly sessionKey?: string;
  readonly mapping?: TopicMapping;
  readonly capabilities?: Capabilities;
  /** Lower limits for this connection. */
  readonly limits?: {
    readonly receiveMaximum?: number;
    readonly packetBytesMax?: number;
    readonly keepAliveMax?: number;
    readonly sessionExpiryMax?: number;
    readonly topicAliasMaximum?: number;
    readonly publishesPerSecondMax?: number;
    readonly receivedBytesPerSecondMax?: number;
  };
  /** Milliseconds from now after which the connection is closed with 0xA0. */
  readonly expiresInMs?: number;
  readonly assignedClientId?: string;
  readonly responseInformation?: string;
  readonly reason?: string;
  readonly userProperties?: readonly UserProperty[];
  /** The last step of enhanced authentication. */
  readonly data?: Uint8Array;
}

export interface Refusal {
  readonly outcome: 'refuse';
  /** A CONNACK reason code ≥ 0x80 (3.x gets the nearest return code). */
  readonly reasonCode: number;
  readonly reason?: string;
  readonly serverReference?: string;
}

export interface Continuation {
  readonly outcome: 'continue';
  readonly data: Uint8Array | null;
  /** Handed back with the next step. */
  readonly memory?: unknown;
  readonly reason?: string;
}

export type Verdict = Acceptance | Refusal | Continuation;

/** A message as a store keeps it: written once, however many queues point at it. Opaque but for its size. */
export interface StoredMessage {
  /** Rises for ever, also across restarts. */
  readonly id: number;
  readonly topic: string;
  readonly qos: QoS;
  readonly retain: boolean;
  /** 5.0 properties as they go on the wire, without their length. */
  readonly properties: Uint8Array;
  readonly payload: Uint8Array;
  /** Offset in `properties` of the four bytes of the Message Expiry Interval, which are counted down when it is sent; -1: none. */
  readonly expiryAt: number;
  /** Milliseconds by the record clock (see Batch); Infinity: never. */
  readonly expiresAtClock: number;
  /** The client id whose own No Local subscriptions do not get it. */
  readonly publisher: string | null;
}

/** One place in the queue of a session. */
export interface StoredDelivery {
  readonly sequence: number;
  readonly message: StoredMessage;
  readonly qos: QoS;
  readonly retain: boolean;
  readonly identifiers: readonly number[] | null;
  /** The shared subscription it came by. */
  readonly group: string | null;
  /** Set once it was sent: its packet identifier, and whether PUBREL is what goes next. */
  readonly packetId: number;
  readonly released: boolean;
}

export interface StoredSubscription {
  readonly filter: string;
  readonly shareName: string | undefined;
  readonly qos: QoS;
  readonly noLocal: boolean;
  readonly retainAsPublished: boolean;
  readonly identifier: number;
}

export interface StoredSession {
  readonly key: string;
  readonly clientId: string;
  readonly principal: string | null;
  readonly incarnation: number;
  readonly expirySeconds: number;
  /** What its owner was let in as, in words of the core's (rights.ts); absent: nothing is known of it. */
  readonly rights?: string;
  readonly will: { readonly message: StoredMessage; readonly delaySeconds: number } | null;
  /** By the record clock: since when it has no connection; Infinity while it has one. */
  readonly closedAtClock: number;
}

/** One thing that lasts, changed. A batch of them is made durable as a whole, in order. */
export type Change =
  | { readonly kind: 'session'; readonly session: StoredSession }
  | { readonly kind: 'session-ended'; readonly key: string; readonly incarnation: number }
  | { readonly kind: 'subscribed'; readonly key: string; readonly subscription: StoredSubscription }
  | {
      readonly kind: 'unsubscribed';
      readonly key: string;
      readonly filter: string;
      readonly shareName: string | undefined;
    }
  | { readonly kind: 'queued'; readonly key: string; readonly incarnation: number; readonly delivery: StoredDelivery }
  | {
      readonly kind: 'sent';
      readonly key: string;
      readonly incarnation: number;
      readonly sequence: number;
      readonly packetId: number;
      readonly released: boolean;
    }
  | { readonly kind: 'settled'; readonly key: string; readonly incarnation: number; readonly sequence: number }
  | { readonly kind: 'received'; readonly key: string; readonly incarnation: number; readonly packetId: number }
  | { readonly kind: 'completed'; readonly key: string; readonly incarnation: number; readonly packetId: number }
  | {
      readonly kind: 'retained';
      readonly topic: string;
      readonly message: StoredMessage;
      /** When it is retained no longer, which may be before the message itself expires. */
      readonly expiresAtClock: number;
      /** Who set it; null: nobody in particular. */
      readonly principal: string | null;
    }
  | { readonly kind: 'unretained'; readonly topic: string };

export interface Batch {
  readonly number: number;
  /** Wall-clock milliseconds. */
  readonly wall: number;
  /**
   * Milliseconds by the record clock, by which all times in records are: the wall clock of the first start, plus the time the
   * broker ran or was down since. It never steps.
   */
  readonly clock: number;
  readonly changes: readonly Change[];
}

/** Asks for up to `count` deliveries of a queue with a sequence above `after`, committed ones only, in order. */
export interface PageRequest {
  readonly number: number;
  readonly key: string;
  readonly incarnation: number;
  readonly after: number;
  readonly count: number;
  /** Earlier ones have failed for long: what cannot be read although the disk reads other things is lost. */
  readonly givesUp: boolean;
}

/** The answer to a page request. */
export interface StoredPage {
  readonly deliveries: readonly StoredDelivery[];
  /** What stood among them and cannot be read any more, with what it counted for (Message.cost). */
  readonly lost: readonly { readonly sequence: number; readonly cost: number }[];
}

/** Asks for retained messages by topic and id, committed ones only. */
export interface FetchRequest {
  readonly number: number;
  readonly messages: readonly { readonly topic: string; readonly id: number }[];
  /** As in a page request. */
  readonly givesUp: boolean;
}

/** Everything that lasted, as read at the start. Queues are counted, not loaded, beyond what was in flight. Gone through before the first commit. */
export interface StoredState {
  /** Wall-clock milliseconds of the last commit: downtime is counted from it. */
  readonly wall: number;
  /** The record clock of the last commit; 0 when there was none. */
  readonly clock: number;
  /** Ids of messages and incarnations go on above this. */
  readonly lastId: number;
  readonly sessions: Iterable<{
    readonly session: StoredSession;
    readonly subscriptions: readonly StoredSubscription[];
    /** Deliveries that were sent, in the order of sending. */
    readonly inFlight: readonly StoredDelivery[];
    readonly received: readonly number[];
    /** What waits behind them, above `afterSequence`; `bytes` as the core counted them (Message.cost). */
    readonly waiting: {
      readonly count: number;
      readonly bytes: number;
      readonly afterSequence: number;
      readonly lastSequence: number;
    };
  }>;
  /** Without the messages, which are fetched; `cost` as the core counted it (Message.cost); `expiresAtClock` as of the change. */
  readonly retained: Iterable<{
    readonly topic: string;
    readonly id: number;
    readonly cost: number;
    readonly expiresAtClock: number;
    readonly principal: string | null;
  }>;
}

/**
 * What an acknowledgement of something that lasts stands for: `fsync`, that it outlives a power cut; `os`, that it outlives the
 * process but perhaps not the machine; `memory`, that there is no store.
 */
export type Durability = 'fsync' | 'os' | 'memory';

/**
 * The port behind the core's commit, page and fetch effects. A store knows no protocol: no routing, no packet identifiers' meaning.
 * `commit` resolves when the whole batch lasts; a failed one is called again with the same changes (and more).
 */
export interface Store {
  /** What a resolved `commit` outlives. */
  readonly durability: Exclude<Durability, 'memory'>;
  /**
   * To be told how many bytes may still be added to what has lasted until then: 0 when it is full, Infinity when that is no
   * question. Full, it still takes what is small and what gives back.
   */
  watch?(changed: (roomBytes: number) => void): void;
  load(): Promise<StoredState>;
  commit(batch: Batch): Promise<void>;
  page(request: PageRequest): Promise<StoredPage>;
  /** One answer for each message asked for: null when the topic has another by now, or it is lost. */
  fetch(request: FetchRequest): Promise<readonly (StoredMessage | null)[]>;
  close(): Promise<void>;
}

/** The port that decides who may connect. Never call back into the broker from it; take the time you need, up to the CONNECT deadline. */
export interface Authority {
  authenticate(request: AuthenticationRequest): Verdict | Promise<Verdict>;
}
