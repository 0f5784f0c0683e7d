/** What the core asks for, in order, after the bytes of a turn; and the phases of a client's life. */
import type { AuthProperties } from '@pipit/protocol';
import type { MqttError } from './failure.ts';
import type { Interest } from './interests.ts';
import type { Status } from './status.ts';

export type Effect =
  /** Open a link to a server: one of the options' (`server`), or the one that a server named (`reference`). */
  | { readonly kind: 'dial'; readonly server: number; readonly reference: string | null }
  /** Close the link once everything written has left; or at once. */
  | { readonly kind: 'close' | 'cut' }
  | { readonly kind: 'pause' | 'resume' }
  /** The server asks for more authentication data: answer with `authenticate`. */
  | { readonly kind: 'challenge'; readonly properties: AuthProperties }
  | { readonly kind: 'status'; readonly status: Status }
  /** A subscription that was there before could not be made again. */
  | { readonly kind: 'unsubscribed'; readonly interest: Interest; readonly failure: MqttError };

export type Phase = 'idle' | 'dialling' | 'greeting' | 'connected' | 'waiting' | 'ended';
