/** What may be listened on, as configured, and how it is named. */

import type { Terms } from '../core/index.ts';
import type { TlsOptions } from './tls-options.ts';

interface Port {
  /** Default `127.0.0.1`: nobody else reaches it. `::` is every IPv6 and IPv4 address. */
  readonly host?: string;
  /** 0: any free one; `Listener.port` tells which. */
  readonly port: number;
  /**
   * Proxies, as addresses or ranges, that say with the PROXY protocol (1 or 2) whom they speak for. Nobody else is served by this
   * listener then, and no connection without the header.
   */
  readonly proxyProtocol?: readonly string[];
}

interface WebSocketPath {
  /** Default `/mqtt`. */
  readonly path?: string;
  /** Refuse clients that name no sub-protocol; default false, since many do not. One that is not MQTT is always refused. */
  readonly requireSubprotocol?: boolean;
  /**
   * Web pages that may connect, as `https://app.example.com`; `*`: any. Default: on a listener that only this machine reaches,
   * pages of this machine; where client certificates are asked for, pages of the same host; elsewhere any. Programs that are no
   * browsers name no page and always may.
   */
  readonly origins?: readonly string[];
  /** Proxies, as addresses or ranges, whose X-Forwarded-For is believed. */
  readonly forwardedFor?: readonly string[];
}

/** What every listener may hold its clients to. */
const termNames = [
  'mountPoint',
  'maximumQoS',
  'retainAvailable',
  'topicAliasMaximum',
  'allowEmptyClientId',
  'assignedClientIdPrefix',
  'usernameAsClientId',
  'access',
] as const satisfies readonly (keyof Terms)[];

export interface ListenerTerms extends Terms {
  /**
   * Connections that came by it, and sockets that are to become some: beyond, they are closed before anything is done for them. Default: as
   * many as the broker has.
   */
  readonly connectionsMax?: number;
}

export type ListenerOptions = ListenerTerms & TransportOptions;

type TransportOptions =
  | ({ readonly type: 'tcp' } & Port)
  | ({ readonly type: 'tls'; readonly tls: TlsOptions } & Port)
  | ({ readonly type: 'ws' } & Port & WebSocketPath)
  | ({ readonly type: 'wss'; readonly tls: TlsOptions } & Port & WebSocketPath)
  /** All of the above on one port, told apart by the first bytes; TLS when `tls` is given. */
  | ({ readonly type: 'auto'; readonly tls?: TlsOptions } & Port & WebSocketPath)
  /** `mode`: the permissions of the socket file, as for chmod; default: what the umask leaves. */
  | { readonly type: 'unix'; readonly path: string; readonly mode?: number };

/** Of a listener's options, what holds for its clients; undefined: nothing in particular. */
export function termsOf(options: ListenerOptions): Terms | undefined {
  const named = termNames.filter((name) => options[name] !== undefined);
  return named.length === 0 ? undefined : Object.fromEntries(named.map((name) => [name, options[name]]));
}

const schemes = { tcp: 'mqtt', tls: 'mqtts', ws: 'ws', wss: 'wss', auto: 'auto' } as const;

export const defaultHost = '127.0.0.1';
export const defaultWebSocketPath = '/mqtt';

/** `127.0.0.1:1883`, `[::1]:1883` */
export function hostAndPort(host: string, port: number | string): string {
  // Joined rather than put together: every connection keeps its address, and this makes one flat string of 40 bytes, not a tree of three.
  return (host.includes(':') ? ['[', host, ']:', port] : [host, ':', port]).join('');
}

/** How a listener is named to people and in `Peer.listener`: `mqtts://0.0.0.0:8883`, `ws://127.0.0.1:8083/mqtt`, `unix:/run/pipit.sock`. */
export function listenerUrl(options: ListenerOptions, port: number | null): string {
  if (options.type === 'unix') return `unix:${options.path}`;
  const address = hostAndPort(options.host ?? defaultHost, port ?? options.port);
  const path = options.type === 'ws' || options.type === 'wss' ? (options.path ?? defaultWebSocketPath) : '';
  return `${schemes[options.type]}://${address}${path}`;
}
