/** The client's side of every transport, as a stream of MQTT bytes. */

import { readFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { createWebSocketStream, WebSocket } from 'ws';

export function certificateFile(name: string): string {
  return `${import.meta.dirname}/certificates/${name}.pem`;
}

export const serverTls = { cert: certificateFile('server'), key: certificateFile('server-key') };

export function dialTcp(port: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = connectTcp({ port, host, allowHalfOpen: true });
  return new Promise((done, failed) => {
    socket.once('connect', () => done(socket));
    socket.once('error', failed);
  });
}

export function dialUnix(path: string): Promise<Socket> {
  const socket = connectTcp({ path, allowHalfOpen: true });
  return new Promise((done, failed) => {
    socket.once('connect', () => done(socket));
    socket.once('error', failed);
  });
}

/** `client`: the name of a certificate to show. */
export function dialTls(port: number, options: ConnectionOptions & { client?: string } = {}): Promise<TLSSocket> {
  const { client, ...rest } = options;
  const shown =
    client === undefined
      ? {}
      : { cert: readFileSync(certificateFile(client)), key: readFileSync(certificateFile(`${client}-key`)) };
  const ca = readFileSync(certificateFile('ca'));
  const settings: ConnectionOptions & { allowHalfOpen: boolean } = {
    port,
    host: '127.0.0.1',
    servername: 'localhost',
    ca,
    allowHalfOpen: true,
    ...shown,
    ...rest,
  };
  const socket = connectTls(settings);
  return new Promise((done, failed) => {
    socket.once('secureConnect', () => done(socket));
    socket.once('error', failed);
  });
}

export async function dialWebSocket(
  url: string,
  protocols: string[] = ['mqtt'],
  options: ConnectionOptions = {},
): Promise<{ webSocket: WebSocket; stream: Duplex }> {
  const webSocket = new WebSocket(url, protocols, { ca: readFileSync(certificateFile('ca')), ...options });
  const stream = createWebSocketStream(webSocket);
  await new Promise((done, failed) => {
    webSocket.once('open', done);
    webSocket.once('error', failed);
  });
  return { webSocket, stream };
}
