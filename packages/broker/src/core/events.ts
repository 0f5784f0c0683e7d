/**
 * What the core tells its operator: one typed event for everything that was refused, dropped, closed or changed owner.
 *
 * Events explain; they carry no payloads and no secrets. Those of one type, client and reason are counted and told once an
 * interval (`count`), so that a flood cannot become a flood of log lines.
 */

import type { QoS } from '@pipit/protocol';
import type { Peer } from './ports.ts';
import type { TraceStep } from './trace.ts';

export const dropReasons = [
  'queue-full',
  /** It was the oldest of a full queue. */
  'displaced',
  'expired',
  'unsent-full',
  'offline-qos0',
  'packet-too-large',
  /** Its topic has no name for the client: it lies elsewhere than its mount point, or is none in its mapping. */
  'unmapped',
  'not-authorized',
  'session-ended',
  'retained-full',
  'store-lost',
] as const;
export type DropReason = (typeof dropReasons)[number];

export type BrokerEvent =
  | {
      type: 'connected';
      clientId: string;
      username: string | null;
      peer: Peer;
      version: number;
      sessionPresent: boolean;
    }
  /** `reasonCode` is what was, or could have been, told to the peer; `reason` is a sentence for people. */
  | {
      type: 'disconnected';
      clientId: string;
      peer: Peer;
      by: 'client' | 'server' | 'network';
      reasonCode: number;
      reason: string;
    }
  /** A connection that never became one: no CONNECT, a bad one, or a verdict against it. */
  | { type: 'refused'; clientId: string | null; peer: Peer; reasonCode: number; reason: string }
  | { type: 'publish-refused'; clientId: string; topic: string; reasonCode: number; reason: string; count: number }
  | { type: 'subscribe-refused'; clientId: string; filter: string; reasonCode: number; reason: string; count: number }
  | { type: 'dropped'; clientId: string; topic: string; reason: DropReason; count: number }
  /** It sends faster than it may, and is not read for a while; `reason` is the limit. */
  | { type: 'throttled'; clientId: string; reason: string; count: number }
  | { type: 'session-created'; clientId: string }
  /**
   * `awayMs`: how long it had no connection; `dropped`: how many messages ended with it, and of how many `bytes`. None yet, when
   * it has shared ones that move on for longer than this turn: what nobody takes is told as dropped at the end of that.
   */
  | {
      type: 'session-ended';
      clientId: string;
      reason: 'expired' | 'clean-start' | 'closed' | 'administrative' | 'evicted';
      awayMs: number;
      dropped: number;
      bytes: number;
    }
  | { type: 'subscription-revoked'; clientId: string; filter: string }
  | { type: 'will-published' | 'will-cancelled' | 'will-refused'; clientId: string; topic: string }
  | { type: 'commit-failed'; reason: string; attempts: number }
  | { type: 'commit-recovered'; attempts: number }
  | { type: 'store-full' | 'store-has-room' }
  /**
   * A step of a message that a trace follows, or of a subscription (see trace.ts). `clientId`: whose step it is; '': the program's own.
   * `packetId` 0: it has none. `detail` is a sentence for people, or ''.
   */
  | {
      type: 'traced';
      trace: number;
      step: TraceStep;
      clientId: string;
      topic: string;
      qos: QoS;
      payloadBytes: number;
      packetId: number;
      detail: string;
    }
  | { type: 'trace-ended'; trace: number; reason: 'count' | 'time' | 'asked' }
  /** A bug of ours, met while serving this client ('': nobody in particular): it was disconnected, nobody else. */
  | { type: 'internal-error'; clientId: string; error: string }
  /** A queue could not be read back from the store; it is tried again. */
  /** A queue could not be read back from the store; tried again, ever more slowly. */
  | { type: 'page-failed'; clientId: string; reason: string; attempts: number }
  /** Retained messages could not; the same. */
  | { type: 'fetch-failed'; clientId: string; reason: string };

export type Dropped = Extract<BrokerEvent, { type: 'dropped' }>;
