import { mkdtempSync, rmSync } from 'node:fs';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { BanList } from '../../src/auth/ban-list.ts';
import { defaultLimits } from '../../src/core/index.ts';
import { newReadBuffer } from '../../src/node/accepted-socket.ts';
import { Admission } from '../../src/node/admission.ts';
import type { Link } from '../../src/node/link.ts';
import { Listener } from '../../src/node/listener.ts';
import type { ListenerOptions } from '../../src/node/listener-options.ts';
import { memoryLink } from '../../src/node/stream-link.ts';
import { dialTcp, dialTls, dialUnix, dialWebSocket, serverTls } from './dial.ts';
import { type LinkKind, linkSuite } from './links.suite.ts';

const folder = mkdtempSync(join(tmpdir(), 'pipit-links-'));
process.on('exit', () => rmSync(folder, { recursive: true }));

interface Dialled {
  readonly remote: Duplex;
  readonly reset: () => void;
}

/** Links as a real listener makes them. `dial` gets its port. */
function accepted(
  options: ListenerOptions,
  sharedReads: boolean,
  isHalfOpen: boolean,
  dial: (port: number) => Promise<Dialled>,
): LinkKind {
  return {
    isHalfOpen,
    make: async () => {
      const { promise, resolve } = Promise.withResolvers<Link>();
      const listener = await Listener.open(options, {
        limits: defaultLimits,
        readBuffer: sharedReads ? newReadBuffer() : null,
        admission: new Admission(defaultLimits, new BanList()),
        connections: () => 0,
        arrived: resolve,
        turnedAway: (_listener, _address, reason) => {
          throw new Error(reason);
        },
      });
      const { remote, reset } = await dial(listener.port ?? 0);
      const dispose = (): void => {
        remote.on('error', () => {});
        remote.destroy();
        listener.close();
      };
      return { link: await promise, remote, reset, dispose };
    },
  };
}

function overSocket(socket: Socket): Dialled {
  return { remote: socket, reset: () => socket.resetAndDestroy() };
}

const tcp = { type: 'tcp', port: 0 } as const;
const path = join(folder, 'link.sock');
const webSocket = (scheme: string) => async (port: number) => {
  const { webSocket, stream } = await dialWebSocket(`${scheme}://127.0.0.1:${port}/mqtt`);
  return { remote: stream, reset: () => webSocket.terminate() };
};

linkSuite(
  'TCP, shared reads',
  accepted(tcp, true, true, async (port) => overSocket(await dialTcp(port))),
);
linkSuite(
  'TCP, data events',
  accepted(tcp, false, true, async (port) => overSocket(await dialTcp(port))),
);
linkSuite(
  'Unix',
  accepted({ type: 'unix', path }, true, true, async () => {
    const socket = await dialUnix(path);
    return { remote: socket, reset: () => socket.destroy() };
  }),
);
linkSuite(
  'TLS',
  accepted({ type: 'tls', port: 0, tls: serverTls }, true, true, async (port) => {
    const socket = await dialTls(port);
    return { remote: socket, reset: () => socket.destroy() };
  }),
);
linkSuite('WebSocket', accepted({ type: 'ws', port: 0 }, true, false, webSocket('ws')));
linkSuite('WebSocket in TLS', accepted({ type: 'wss', port: 0, tls: serverTls }, true, false, webSocket('wss')));
linkSuite('memory', {
  isHalfOpen: true,
  make: () => {
    const { link, end } = memoryLink({ transport: 'memory', address: 'memory', listener: 'memory:' });
    const dispose = (): void => void end.destroy();
    return Promise.resolve({ link, remote: end, reset: () => end.destroy(), dispose });
  },
});
