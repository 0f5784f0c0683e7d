/**
 * Mosquitto and `pipit serve` with the same mosquitto.conf, on ports of their own, and a client that does the same at both.
 *
 * Clients speak packets; what they are told and what reaches them is what is compared.
 */

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ConnackPacket, type ConnectPacket, encodeUtf8, PacketType, type QoS } from '@pipit/protocol';
import { dialTcp } from '../../broker/test/node/dial.ts';
import { MqttPeer } from '../../broker/test/node/mqtt-peer.ts';
import { answered, freePorts } from '../../broker/test/node/ports.ts';
import { RunningCommand } from '../test/command.ts';

/** In which what is going to arrive has arrived. */
export const quietMs = 250;
const home = mkdtempSync(join(tmpdir(), 'pipit-mosquitto-conf-'));
chmodSync(home, 0o755);
process.on('exit', () => rmSync(home, { recursive: true, force: true }));
const folders = { made: 0 };

/** Where a broker runs: what PORT, OTHER and FOLDER stand for. */
export interface Place {
  readonly port: number;
  readonly other: number;
  readonly folder: string;
}

interface Program {
  stop(): Promise<void>;
}

async function mosquitto(file: string, ports: readonly number[]): Promise<Program> {
  const broker = spawn('mosquitto', ['-c', file], { stdio: 'ignore' });
  const closed = once(broker, 'close');
  await Promise.race([Promise.all(ports.map((port) => answered(port))), closed]);
  assert.equal(broker.exitCode, null, 'mosquitto does not start with it');
  return {
    stop: async () => {
      broker.kill('SIGKILL');
      await closed;
    },
  };
}

async function pipit(file: string): Promise<Program> {
  const serve = new RunningCommand(['serve', '-c', file], dirname(file));
  await serve.until('stdout', /^ready$/m);
  return { stop: async () => void (await serve.stop()) };
}

export function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = join(home, `${++folders.made}`);
  mkdirSync(folder);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text, { mode: 0o644 });
  }
  return folder;
}

export function written(lines: readonly string[], { port, other, folder }: Place): string {
  const text = lines
    .join('\n')
    .replaceAll('PORT', `${port}`)
    .replaceAll('OTHER', `${other}`)
    .replaceAll('FOLDER', folder);
  const file = join(folder, 'mosquitto.conf');
  writeFileSync(file, `user root\n${text}\n`);
  return file;
}

/** What `body` finds is the same at both. */
export async function same(
  lines: readonly string[],
  files: Readonly<Record<string, string>>,
  body: (place: Place) => Promise<unknown>,
): Promise<unknown> {
  const found: unknown[] = [];
  for (const kind of ['mosquitto', 'pipit'] as const) {
    const [port = 0, other = 0] = await freePorts(2);
    const texts = Object.entries(files).map(([name, text]) => [name, text.replaceAll('OTHER', `${other}`)]);
    const place = { port, other, folder: folderWith(Object.fromEntries(texts)) };
    const file = written(lines, place);
    const ports = [...new Set([place.port, place.other])].filter((port) =>
      lines.join(' ').includes(port === place.port ? 'PORT' : 'OTHER'),
    );
    const program = kind === 'mosquitto' ? await mosquitto(file, ports) : await pipit(file);
    try {
      found.push(await body(place));
    } finally {
      await program.stop();
    }
  }
  assert.deepEqual(found[1], found[0]);
  return found[1];
}

export type Login = Partial<ConnectPacket> & { readonly user?: string; readonly secret?: string };

function connectOf({ user, secret, ...rest }: Login): ConnectPacket {
  return {
    type: PacketType.Connect,
    version: 5,
    clientId: 'client',
    cleanStart: true,
    keepAlive: 60,
    ...(user !== undefined && { username: user }),
    ...(secret !== undefined && { password: encodeUtf8(secret) }),
    ...rest,
  };
}

/** A client and what CONNACK said; null: there was none. */
export async function enter(where: number | Duplex, login: Login = {}): Promise<[MqttPeer, ConnackPacket | null]> {
  const connect = connectOf(login);
  const peer = new MqttPeer(typeof where === 'number' ? await dialTcp(where) : where, connect.version);
  peer.send(connect);
  const packet = await peer.next();
  return [peer, packet !== 'end' && packet.type === PacketType.Connack ? packet : null];
}

export async function client(where: number | Duplex, login: Login = {}): Promise<MqttPeer> {
  const [peer, connack] = await enter(where, login);
  assert.equal(connack?.reasonCode, 0);
  return peer;
}

/** The reason code of CONNACK; 'closed' when there was none. */
export async function answer(where: number | Duplex, login: Login = {}): Promise<number | 'closed'> {
  const [peer, connack] = await enter(where, login);
  peer.stream.destroy();
  return connack?.reasonCode ?? 'closed';
}

/** What has come: `topic payload qos`, sorted; 'closed' at its end when the connection is. */
export async function heard(peer: MqttPeer): Promise<string[]> {
  await sleep(quietMs);
  const lines: string[] = [];
  for (;;) {
    const packet = await Promise.race([peer.next(), sleep(1, null)]);
    if (packet === null) return lines.sort();
    if (packet === 'end') return [...lines.sort(), 'closed'];
    if (packet.type === PacketType.Publish) lines.push(`${packet.topic} ${Buffer.from(packet.payload)} ${packet.qos}`);
  }
}

export async function granted(peer: MqttPeer, filter: string, qos: QoS = 0): Promise<number | 'closed'> {
  const suback = await peer.subscribe(filter, qos);
  return suback !== 'end' && suback.type === PacketType.Suback ? (suback.reasonCodes[0] ?? -1) : 'closed';
}

export function retained(peer: MqttPeer, topic: string, payload: string, qos: QoS = 0): void {
  peer.send({
    type: PacketType.Publish,
    topic,
    payload: encodeUtf8(payload),
    qos,
    retain: true,
    dup: false,
    packetId: qos === 0 ? 0 : 5,
  });
}

export function passwordFile(...options: readonly string[]): string {
  const file = join(home, `passwords${++folders.made}`);
  for (const [at, name] of ['ada', 'bob', 'root'].entries()) {
    execFileSync('mosquitto_passwd', [...options, ...(at === 0 ? ['-c'] : []), '-b', file, name, `${name}-secret`], {
      stdio: 'ignore',
    });
  }
  return execFileSync('cat', [file], { encoding: 'utf8' });
}

export const users = passwordFile();
export const listener = 'listener PORT 127.0.0.1';
export const open = [listener, 'allow_anonymous true'];
const logins: readonly Login[] = [
  {},
  { user: 'ada', secret: 'ada-secret' },
  { user: 'ada', secret: 'bob-secret' },
  { user: 'ada' },
  { user: 'eve', secret: 'eve-secret' },
];

export async function answers(port: number, version: 4 | 5 = 5): Promise<(number | 'closed')[]> {
  const found: (number | 'closed')[] = [];
  for (const login of logins) found.push(await answer(port, { ...login, version }));
  return found;
}
