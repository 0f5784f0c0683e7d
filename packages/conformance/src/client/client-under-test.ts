/**
 * What a client must let the suite do to be tested: a thin driver around a client library. The library dials the scripted
 * server, keeps its session state, and dials again by itself, soon, when the connection is lost.
 */
import type { ProtocolVersion, PublishProperties, QoS } from '@pipit/protocol';

export interface ClientSettings {
  readonly url: string;
  readonly version: Exclude<ProtocolVersion, 3>;
  readonly clientId: string;
  /** Clean Session before 5.0. */
  readonly cleanStart: boolean;
  /** 5.0 only. */
  readonly sessionExpirySeconds?: number;
  readonly keepAliveSeconds: number;
  /** 5.0 only; default: no aliases are allowed to the server. */
  readonly topicAliasMaximum?: number;
  /** Use topic aliases as far as the server allows. */
  readonly usesAliases?: boolean;
  /** 5.0 only: begin an enhanced authentication; what to answer to any challenge. */
  readonly authentication?: { readonly method: string; readonly data: Uint8Array; readonly answer: Uint8Array };
}

export interface ReceivedMessage {
  readonly topic: string;
  readonly payload: Uint8Array;
}

export interface ClientUnderTest {
  /** Resolves when the client knows that it was accepted the first time: what is asked of it from then on goes out at once. */
  readonly connected: Promise<void>;
  /** Resolves when the exchange is over; rejects when the client refuses the message, or gave up. */
  publish(
    topic: string,
    payload: Uint8Array,
    options: { readonly qos: QoS; readonly retain?: boolean; readonly properties?: PublishProperties },
  ): Promise<void>;
  subscribe(filter: string, qos: QoS): Promise<void>;
  /** Begins a re-authentication by the method of CONNECT; resolves when the server has agreed. Left out: the client cannot. */
  reauthenticate?(data: Uint8Array): Promise<void>;
  /** DISCONNECT, and no dialling again. */
  disconnect(): Promise<void>;
  /** Lets go of everything at once. */
  destroy(): void;
}

/** Makes a client and lets it dial. What it receives goes to `received`. May throw for settings it does not allow. */
export type ClientDriver = (settings: ClientSettings, received: (message: ReceivedMessage) => void) => ClientUnderTest;
