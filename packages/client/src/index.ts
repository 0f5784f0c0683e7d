/** Pipit's MQTT client for Node. In browsers the same by `browser.ts`, with WebSocket only. */
import { Client } from './client/client.ts';
import type { ConnectOptions } from './client/connect-options.ts';
import { nodePlatform } from './node/platform.ts';
import { type TlsOptions, tcp, tls, unix } from './node/socket-transport.ts';
import { type WebSocketOptions, webSocket } from './node/websocket-transport.ts';

export * from './everywhere.ts';
export { type OutboxFolderOptions, outboxFolder } from './node/outbox-folder.ts';
export { type TlsOptions, tcp, tls, unix } from './node/socket-transport.ts';
export { type WebSocketOptions, webSocket } from './node/websocket-transport.ts';

export interface NodeConnectOptions extends ConnectOptions {
  /** For `mqtts` and `wss`: trust, certificates and keys, as Node's `tls.connect` takes them. */
  readonly tls?: TlsOptions;
  /** For `ws` and `wss`. */
  readonly webSocket?: WebSocketOptions;
}

/**
 * Connects, and stays connected: to `mqtt://`, `mqtts://`, `ws://`, `wss://` or `unix:`, the first of the URLs that answers. Returns
 * at once; `client.connected()` waits. Throws for options that cannot be right.
 */
export function connect(url: string | readonly string[], options: NodeConnectOptions = {}): Client {
  const web = { ...options.webSocket };
  const transports = {
    mqtt: tcp,
    mqtts: tls(options.tls),
    ws: webSocket(web),
    wss: webSocket({ ...options.tls, ...web }),
    unix,
  };
  const urls = typeof url === 'string' ? [url] : url;
  const platform = options.platform ?? nodePlatform;
  return new Client(urls, options, transports, platform);
}
