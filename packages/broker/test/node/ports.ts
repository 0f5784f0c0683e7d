/** Ports of this machine, for programs that cannot choose one themselves and do not say when they listen. */

import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const host = '127.0.0.1';
const attemptsMax = 500;
const pauseMs = 20;

/** Different ones, which were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, host));
  await Promise.all(servers.map((server) => once(server, 'listening')));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port as number;
}

/** Resolves once somebody listens; rejects when nobody does for at least ten seconds. */
export async function answered(port: number): Promise<void> {
  for (let i = 0; i < attemptsMax; i++) {
    const socket = connect({ host, port });
    const isOpen = await new Promise<boolean>((done) => {
      socket.once('connect', () => done(true));
      socket.once('error', () => done(false));
    });
    socket.destroy();
    if (isOpen) return;
    await sleep(pauseMs);
  }
  throw new Error(`nobody listens on port ${port}`);
}
