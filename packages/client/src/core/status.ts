/** Where the client stands with the server, and why it got there. */
import type { ConnackProperties } from '@pipit/protocol';

/**
 * - `asked`: by a call of the application.
 * - `dial-failed`: there is nothing at the address, or it does not answer.
 * - `refused`: the server answered CONNECT with a no.
 * - `disconnected`: the server said goodbye.
 * - `lost`: the connection broke.
 * - `no-answer`: the server has stopped answering.
 * - `protocol-error`: the server sent what is not MQTT, and we closed.
 * - `moved`: the server named another one.
 * - `network-changed`: by `networkChanged()`, while there was no connection.
 */
export type Cause =
  | 'asked'
  | 'dial-failed'
  | 'refused'
  | 'disconnected'
  | 'lost'
  | 'no-answer'
  | 'protocol-error'
  | 'moved'
  | 'network-changed';

export interface Why {
  readonly cause: Cause;
  /** A sentence for people. */
  readonly message: string;
  /** The server's, or the one we closed with; null when there is none. */
  readonly reasonCode: number | null;
}

/** `why` of `connecting` and `connected` is what made a new connection necessary: `asked` for the first, then what ended or failed before it. */
export type Status =
  /** `server`: which of the URLs, from 0; null: one that a server named. `attempt`: from 0, since the last stable connection. */
  | { readonly state: 'connecting'; readonly server: number | null; readonly attempt: number; readonly why: Why }
  | {
      readonly state: 'connected';
      readonly clientId: string;
      /** The server still had our session. */
      readonly sessionPresent: boolean;
      readonly properties: ConnackProperties;
      readonly why: Why;
    }
  | { readonly state: 'waiting'; readonly retryInMs: number; readonly attempt: number; readonly why: Why }
  | { readonly state: 'ended'; readonly why: Why };
