/**
 * The broker under test, started as a user starts it: the built `pipit serve`. With PIPIT_INTEROP_BROKER=mosquitto it is
 * Debian's Mosquitto instead, which shows whether a failure is Pipit's or the tests' own.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { freePorts } from '../../packages/broker/test/node/ports.ts';
import { Child, outputOf } from './child.ts';
import { inTime, type Transport } from './client.ts';
import { pipitBin, pipitVersion } from './pipit.ts';

const certificates = resolve(import.meta.dirname, '../../packages/broker/test/node/certificates');
export const caFile = join(certificates, 'ca.pem');
const certFile = join(certificates, 'server.pem');
const keyFile = join(certificates, 'server-key.pem');

/** Whether Mosquitto stands in for Pipit. */
export const isReference = process.env['PIPIT_INTEROP_BROKER'] === 'mosquitto';

/** `auto`: the listener that takes everything but Unix sockets on one port. */
export type Listener = Transport | 'auto';

export interface Broker {
  readonly description: string;
  /** A port of 127.0.0.1, or the path of a Unix socket. What is not there it does not have. */
  readonly addresses: ReadonlyMap<Listener, number | string>;
  /** Asks it to end, once, and expects it to do so properly. */
  stop(): Promise<void>;
}

export async function startBroker(): Promise<Broker> {
  const folder = mkdtempSync(join(tmpdir(), 'pipit-interop-'));
  const start = isReference ? startMosquitto : startPipit;
  const { child, ...broker } = await start(folder);
  let stopped: Promise<void> | undefined;
  const stop = async () => {
    const ended = await inTime(() => 'the broker to stop', child.kill('SIGTERM'));
    rmSync(folder, { recursive: true, force: true });
    assert.deepEqual(ended, { code: 0, signal: null }, child.errors);
  };
  return { ...broker, stop: () => (stopped ??= stop()) };
}

type Started = Omit<Broker, 'stop'> & { readonly child: Child };

const schemes: Readonly<Record<string, Listener>> = {
  mqtt: 'TCP',
  mqtts: 'TLS',
  ws: 'WebSocket',
  wss: 'secure WebSocket',
  auto: 'auto',
};

async function startPipit(folder: string): Promise<Started> {
  const socket = join(folder, 'socket');
  const ports = ['tcp', 'tls', 'ws', 'wss', 'auto'].flatMap((type) => [`--${type}`, '0']);
  const args = [...ports, '--unix', socket, '--cert', certFile, '--key', keyFile, '--memory'];
  const addresses = new Map<Listener, number | string>([['Unix', socket]]);
  const ready = Promise.withResolvers<void>();
  const line = (text: string) => {
    const [, scheme = '', port] = /^(\w+):\/\/127\.0\.0\.1:(\d+)/.exec(text) ?? [];
    const listener = schemes[scheme];
    if (listener !== undefined) addresses.set(listener, Number(port));
    if (text !== 'ready') return;
    if (addresses.size === 6) ready.resolve();
    else ready.reject(new Error(`a line for each of 6 listeners, but: ${[...addresses.keys()]}`));
  };
  const child = new Child([process.execPath, pipitBin, 'serve', ...args], { line, cwd: folder });
  await started(child, ready.promise);
  return { description: `pipit ${pipitVersion()}`, addresses, child };
}

async function startMosquitto(folder: string): Promise<Started> {
  const version = /version (\S+)/.exec(outputOf('mosquitto', ['-h'], 'mosquitto'))?.[1];
  const socket = join(folder, 'socket');
  const [tcp, tls] = await freePorts(2);
  const file = join(folder, 'mosquitto.conf');
  const settings = [
    // As the user it would change to it could read neither the key nor the folder.
    'user root',
    'log_dest stderr',
    'allow_anonymous true',
    'max_queued_messages 0',
    `listener ${tcp} 127.0.0.1`,
    `listener 0 ${socket}`,
    `listener ${tls} 127.0.0.1`,
    `certfile ${certFile}`,
    `keyfile ${keyFile}`,
  ];
  writeFileSync(file, `${settings.join('\n')}\n`);
  const child = new Child(['mosquitto', '-c', file], {});
  await started(child, child.wrote('running'));
  const addresses = new Map<Listener, number | string>([
    ['TCP', tcp as number],
    ['TLS', tls as number],
    ['Unix', socket],
  ]);
  return { description: `mosquitto ${version}`, addresses, child };
}

async function started(child: Child, ready: Promise<void>): Promise<void> {
  try {
    await inTime(() => `the broker to be ready; ${child.errors}`, Promise.race([ready, child.endedEarly()]));
  } catch (error) {
    await child.kill('SIGKILL');
    throw error;
  }
}
