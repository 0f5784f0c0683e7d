/** A server that does one thing with every connection, whatever it is told. */

import { createServer, type Server, type Socket } from 'node:net';

export interface UnrulyServer {
  readonly url: string;
  readonly server: Server;
  /** With all its connections. */
  close(): void;
}

export async function listening(onSocket: (socket: Socket) => void): Promise<UnrulyServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    onSocket(socket);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as { port: number };
  const close = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { url: `mqtt://127.0.0.1:${port}`, server, close };
}
