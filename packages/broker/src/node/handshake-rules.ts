/** What the headers of a WebSocket handshake are believed and refused for: whom a proxy speaks for, which web page asks. */

import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { type AddressRanges, isLoopbackAddress, withoutPort } from '../auth/network-address.ts';
import type { ListenerOptions } from './listener-options.ts';
import { defaultHost, hostAndPort } from './listener-options.ts';

/**
 * The client for whom trusted proxies speak by X-Forwarded-For: the last one named that is none of them, as each adds behind
 * the others whom it saw. Without a port it has port 0. Null: the header is not there; `bad`: it is no list of addresses.
 */
export function forwardedAddress(request: IncomingMessage, proxies: AddressRanges): string | null {
  const header = request.headers['x-forwarded-for'];
  if (header === undefined) return null;
  const text = typeof header === 'string' ? header : header.join(',');
  const named = text.split(',').map((each) => each.trim());
  let client = 'bad';
  for (const each of named.reverse()) {
    const address = withoutPort(each);
    if (isIP(address) === 0) return 'bad';
    const port = /:(\d+)$/.exec(each.slice(each.indexOf(address) + address.length))?.[1] ?? '0';
    client = hostAndPort(address, port);
    if (!proxies.has(address)) return client;
  }
  return client;
}

/** Which web pages may connect. */
export type OriginRule =
  /** Any: who connects has to prove who it is, and a browser adds nothing to that by itself. */
  | { readonly kind: 'any' }
  /** Those of this machine: a listener that only this machine reaches must not be reached by what a browser on it looks at. */
  | { readonly kind: 'loopback' }
  /** Those of the same host: a browser would show the user's certificate for any page. */
  | { readonly kind: 'same-host' }
  | { readonly kind: 'listed'; readonly origins: ReadonlySet<string> };

export function originRuleOf(options: ListenerOptions): OriginRule {
  const origins = 'origins' in options ? options.origins : undefined;
  if (origins?.includes('*') === true) return { kind: 'any' };
  if (origins !== undefined) return { kind: 'listed', origins: new Set(origins.map((each) => each.toLowerCase())) };
  if (options.type === 'unix') return { kind: 'any' };
  if (isLoopbackHost(options.host ?? defaultHost) && !isBehindProxy(options)) return { kind: 'loopback' };
  const tls = 'tls' in options ? options.tls : undefined;
  return { kind: (tls?.clientCertificate ?? 'none') === 'none' ? 'any' : 'same-host' };
}

/** Whether the page that asks, if it is one, may not. Programs name no origin, and may. */
export function isForeignOrigin({ headers }: IncomingMessage, rule: OriginRule): boolean {
  const { origin, host } = headers;
  if (origin === undefined || rule.kind === 'any') return false;
  if (rule.kind === 'listed') return !rule.origins.has(origin.toLowerCase());
  // `null`, of pages that have none, is what anybody's page can be made to say.
  if (!URL.canParse(origin)) return true;
  const page = new URL(origin);
  if (rule.kind === 'loopback') return !isLoopbackHost(page.hostname);
  return page.hostname !== (URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname : undefined);
}

/** Whoever reaches the proxy reaches the listener, wherever that listens. */
export function isBehindProxy(options: ListenerOptions): boolean {
  return (
    ('proxyProtocol' in options && options.proxyProtocol !== undefined) ||
    ('forwardedFor' in options && options.forwardedFor !== undefined)
  );
}

export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || isLoopbackAddress(host.replace(/^\[(.*)\]$/, '$1'));
}
