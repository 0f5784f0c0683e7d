/** Pipit's MQTT client where there is only what the web offers: WebSocket. The same as `index.ts` but for the transports. */
import { Client } from './client/client.ts';
import type { ConnectOptions } from './client/connect-options.ts';
import { webPlatform } from './client/platform.ts';
import { webSocket } from './client/websocket-transport.ts';

export { webSocket } from './client/websocket-transport.ts';
export * from './everywhere.ts';

/**
 * Connects, and stays connected, to `ws://` or `wss://`: the first of the URLs that answers. Returns at once;
 * `client.connected()` waits. Throws for options that cannot be right.
 */
export function connect(url: string | readonly string[], options: ConnectOptions = {}): Client {
  const transports = { ws: webSocket, wss: webSocket };
  return new Client(typeof url === 'string' ? [url] : url, options, transports, options.platform ?? webPlatform);
}
