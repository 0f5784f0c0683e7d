/**
 * The rights of sessions beyond their login: what the store keeps of them, and asking anew when rules or users have changed.
 *
 * A session that sleeps is held to its rights like one that is connected: its will and what is queued for it go through them, and a
 * change counts for it too. What it was let in as is kept with it, so that this holds after a restart before its client comes back.
 */

import { Permissions, type Rule, type Subject } from './permissions.ts';
import type { Peer } from './ports.ts';

/** Whose session it is. */
export interface Holder {
  readonly clientId: string;
  readonly principal: string | null;
  /** Null: it has no connection. */
  readonly peer: Peer | null;
  /** What it may do until now, or could when it was recorded; null: everything, or nothing is known of it. */
  readonly permissions: Permissions | null;
}

export interface Standing {
  /** What it may do from now on; null: everything. */
  readonly permissions: Permissions | null;
  /** Why its connection has to end; null: it may stay. */
  readonly ends: string | null;
}

/** Says what somebody may do from now on, without asking for a password. A pure function. */
export type Review = (holder: Holder) => Standing;

/** Rules that came with a login are kept with it up to this length; longer ones are as if there were none: nothing is allowed. */
const rulesLengthMax = 64 * 1024;

interface Recorded {
  readonly subject: Subject;
  readonly rules?: readonly Rule[];
}

/** As text, for the store; undefined when nothing is known of it. */
export function recordedRights(permissions: Permissions | null): string | undefined {
  if (permissions === null || (permissions.subject.via === undefined && !permissions.isOwn)) return undefined;
  const { subject, rules, isOwn } = permissions;
  const text = JSON.stringify({ subject, ...(isOwn && { rules: rules.map(plain) }) } satisfies Recorded);
  return text.length <= rulesLengthMax ? text : JSON.stringify({ subject, rules: [] } satisfies Recorded);
}

/** What `recordedRights` wrote; null when it cannot be read. Rules that did not come with the login are not in it: nothing is allowed. */
export function restoredRights(text: string | undefined): Permissions | null {
  if (text === undefined) return null;
  try {
    const { subject, rules } = JSON.parse(text) as Recorded;
    const { name, groups, values } = subject;
    if (typeof name !== 'string' || !Array.isArray(groups) || typeof values !== 'object') return null;
    return new Permissions(rules ?? [], {}, { isOwn: rules !== undefined }).for(subject);
  } catch {
    return null;
  }
}

function plain({ effect, action, filter, users, groups, qos, retain, reasonCode }: Rule): Rule {
  return {
    effect,
    action,
    filter,
    ...(users !== undefined && { users }),
    ...(groups !== undefined && { groups }),
    ...(qos !== undefined && { qos }),
    ...(retain !== undefined && { retain }),
    ...(reasonCode !== undefined && { reasonCode }),
  };
}
