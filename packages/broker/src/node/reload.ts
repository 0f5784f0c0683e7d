/**
 * Going over to other listeners without dropping a connection: whole, or not at all.
 *
 * What listens on the same address goes on listening: only what is done with new sockets changes, certificates included. What
 * was accepted before stays as it is, also that of a listener that is closed.
 */

import type { AccessPlan } from '../auth/access.ts';
import type { Ban } from '../auth/ban-list.ts';
import type { Limits, LiveOptions } from '../core/index.ts';
import type { Judgement } from './arrivals.ts';
import type { Listener } from './listener.ts';
import type { ListenerOptions } from './listener-options.ts';
import { defaultHost } from './listener-options.ts';

/** What can be changed while it runs. What is absent stays as it is. */
export interface ReloadOptions extends LiveOptions {
  /** All that there shall be. */
  readonly listeners?: readonly ListenerOptions[];
  readonly limits?: Partial<Limits>;
  /** All bans of the configuration that there shall be. */
  readonly banned?: readonly Ban[];
  /** As for `replaceAccess`. */
  readonly access?: AccessPlan;
}

export interface ListenerChanges {
  /** By name, as they are listed. */
  readonly opened: readonly string[];
  readonly closed: readonly string[];
  /** Other settings on the same address. Certificates are read again for all others, too. */
  readonly changed: readonly string[];
}

/** What a reload did. */
export interface ReloadReport {
  readonly listeners: ListenerChanges;
  /** Users and rules were exchanged. */
  readonly access: boolean;
  /** Limits that have another value now. */
  readonly limits: readonly string[];
}

type Open = (options: ListenerOptions) => Promise<Listener>;

/**
 * Makes listeners as `next` says of those that are open. Resolves to them, in its order; those that `listen` opened let nobody in
 * before they are released. Rejects with a ListenError, and then the old ones are as they were; unless an address that one of them had to leave first was taken by somebody else meanwhile.
 */
export async function replaceListeners(
  open: readonly Listener[],
  next: readonly ListenerOptions[],
  listen: Open,
): Promise<{ listeners: Listener[]; changes: ListenerChanges }> {
  const leaving = new Set(open);
  const plans = next.map((options) => {
    const previous = [...leaving].find((each) => addressOf(each.options) === addressOf(options));
    if (previous === undefined) return { options, successor: null };
    leaving.delete(previous);
    // Throws for what cannot be used, before anything has changed.
    return { options, successor: previous.succeeded(options) };
  });
  // Nothing can listen on all addresses of a port while something listens on one of them.
  const wanted = new Set(plans.flatMap(({ options, successor }) => (successor === null ? [placeOf(options)] : [])));
  const blocking = [...leaving].filter(({ options }) => wanted.has(placeOf(options)));
  for (const each of blocking) each.close();
  const opened: Listener[] = [];
  const listeners: Listener[] = [];
  try {
    for (const { options, successor } of plans) {
      if (successor === null) opened.push(await listen(options));
      listeners.push(successor ?? (opened.at(-1) as Listener));
    }
  } catch (error) {
    for (const each of opened) each.close();
    for (const { options } of blocking) (await listen(options)).release();
    throw error;
  }
  const changed = plans.flatMap(({ successor }) => (successor?.takeOver() === true ? [successor.url] : []));
  const closed = [...leaving].map(({ url }) => url);
  for (const each of leaving) each.close();
  return { listeners, changes: { opened: opened.map(({ url }) => url), closed, changed } };
}

/**
 * What changed authorities and revocation lists mean to who has shown a certificate: judged by its listener, or, where that is gone, by
 * all that ask for certificates, of which one that trusts it is enough. Null: nothing has changed for anybody.
 */
export function judgement(before: readonly Listener[], now: readonly Listener[]): Judgement | null {
  const isSame = ({ url, trust }: Listener): boolean =>
    trust === null || now.some((each) => each.url === url && trust.isLike(each.trust));
  if (before.every(isSame)) return null;
  const asking = now.filter(({ trust }) => trust !== null);
  return ({ peer, certificate }) => {
    if (peer.certificate === undefined || certificate === null) return null;
    const own = now.filter(({ url }) => url === peer.listener);
    const judges = own.length > 0 ? own : asking;
    const words = judges.map(({ trust }) => trust?.objection(certificate) ?? null);
    return words.includes(null) ? null : (words[0] ?? null);
  };
}

function addressOf(options: ListenerOptions): string {
  if (options.type === 'unix') return options.path;
  const { type, host = defaultHost, port } = options;
  // Whichever port it was given: only its kind tells it from others.
  return port === 0 ? `${host} any ${type}` : `${host} ${port}`;
}

/** What two listeners may not share. Port 0 is another one each time. */
function placeOf(options: ListenerOptions): string | number | null {
  if (options.type === 'unix') return options.path;
  return options.port === 0 ? null : options.port;
}

/** Those that are named, and nothing else that came along. */
export function liveOptions({ strictText, queueQos0, queueOverflow }: LiveOptions): LiveOptions {
  return {
    ...(strictText !== undefined && { strictText }),
    ...(queueQos0 !== undefined && { queueQos0 }),
    ...(queueOverflow !== undefined && { queueOverflow }),
  };
}
