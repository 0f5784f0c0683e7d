/**
 * The two servers that the client is tried against, set up alike: every transport, subscriptions to `secret/#` refused, packets of
 * 4,096 bytes at most, 8 messages open in either direction. Both are programs of their own; Pipit's is what `npm run build` made.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { after } from 'node:test';
import { certificateFile } from '../../broker/test/node/dial.ts';
import { answered, freePorts } from '../../broker/test/node/ports.ts';

export const packetBytesMax = 4_096;
export const receiveMaximum = 8;

export interface Server {
  readonly name: string;
  /** By scheme; `mqtts` and `wss` want a certificate of the client. */
  readonly urls: Readonly<Record<'mqtt' | 'mqtts' | 'ws' | 'wss' | 'unix', string>>;
  readonly port: number;
}

const folder = mkdtempSync(join(tmpdir(), 'pipit-servers-'));
const running = new Set<ChildProcess>();
after(() => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

const tls = { ca: certificateFile('ca'), cert: certificateFile('server'), key: certificateFile('server-key') };

interface Ports {
  readonly mqtt: number;
  readonly mqtts: number;
  readonly ws: number;
  readonly wss: number;
  readonly socket: string;
}

async function start(name: string, command: string, settings: (ports: Ports) => readonly string[]): Promise<Server> {
  const [mqtt = 0, mqtts = 0, ws = 0, wss = 0] = await freePorts(4);
  const socket = join(folder, `${name}.sock`);
  const child = spawn(command, settings({ mqtt, mqtts, ws, wss, socket }), { cwd: folder, stdio: 'ignore' });
  running.add(child);
  const failed = new Promise<never>((_, reject) => {
    child.once('error', () => reject(new Error(`there is no ${command}; apt-get install ${command}`)));
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code}`)));
  });
  failed.catch(() => undefined);
  await Promise.race([Promise.all([mqtt, mqtts, ws, wss].map(answered)), failed]);
  return {
    name,
    port: mqtt,
    urls: {
      mqtt: `mqtt://127.0.0.1:${mqtt}`,
      mqtts: `mqtts://localhost:${mqtts}`,
      ws: `ws://127.0.0.1:${ws}/mqtt`,
      wss: `wss://localhost:${wss}/mqtt`,
      unix: `unix:${socket}`,
    },
  };
}

/** Mosquitto refuses single filters by its plugin only. */
const dynamicSecurity = {
  defaultACLAccess: { publishClientSend: true, publishClientReceive: true, subscribe: true, unsubscribe: true },
  roles: [
    { rolename: 'anybody', acls: [{ acltype: 'subscribePattern', topic: 'secret/#', priority: 1, allow: false }] },
  ],
  groups: [{ groupname: 'anybody', roles: [{ rolename: 'anybody' }] }],
  anonymousGroup: 'anybody',
  clients: [],
};

/** Debian has it in the folder of the architecture, others beside. */
function dynamicSecurityPlugin(): string {
  const [path] = globSync('/usr{,/local}/lib{,64}/{,*/}mosquitto_dynamic_security.so');
  if (path === undefined) throw new Error('there is no mosquitto_dynamic_security.so; apt-get install mosquitto');
  return path;
}

export function startMosquitto(): Promise<Server> {
  return start('mosquitto', 'mosquitto', ({ mqtt, mqtts, ws, wss, socket }) => {
    const secure = `cafile ${tls.ca}\ncertfile ${tls.cert}\nkeyfile ${tls.key}\nrequire_certificate true\n`;
    writeFileSync(join(folder, 'security.json'), JSON.stringify(dynamicSecurity));
    const lines = [
      // Started by root it would become another user, who may not read what is ours.
      'user root',
      'allow_anonymous true',
      'persistence false',
      `max_packet_size ${packetBytesMax}`,
      `max_inflight_messages ${receiveMaximum}`,
      `plugin ${dynamicSecurityPlugin()}`,
      `plugin_opt_config_file ${join(folder, 'security.json')}`,
      `listener ${mqtt} 127.0.0.1`,
      `listener 0 ${socket}`,
      `listener ${ws} 127.0.0.1\nprotocol websockets`,
      `listener ${mqtts} 127.0.0.1\n${secure}`,
      `listener ${wss} 127.0.0.1\nprotocol websockets\n${secure}`,
    ];
    writeFileSync(join(folder, 'mosquitto.conf'), lines.join('\n'));
    return ['-c', join(folder, 'mosquitto.conf')];
  });
}

export function startPipit(): Promise<Server> {
  return start('Pipit', process.execPath, ({ mqtt, mqtts, ws, wss, socket }) => {
    const secure = { ...tls, clientCertificate: 'require' };
    const config = {
      data: { durability: 'memory' },
      listeners: [
        { type: 'tcp', port: mqtt },
        { type: 'unix', path: socket },
        { type: 'ws', port: ws },
        { type: 'tls', port: mqtts, ...secure },
        { type: 'wss', port: wss, ...secure },
      ],
      permissions: [
        { effect: 'deny', action: 'request', filter: 'secret/#' },
        { effect: 'allow', action: 'all', filter: '#' },
      ],
      limits: { packetBytesMax, receiveMaximum },
    };
    mkdirSync(join(folder, 'pipit'));
    // JSON is YAML.
    writeFileSync(join(folder, 'pipit/pipit.yaml'), JSON.stringify(config));
    const bin = resolve(import.meta.dirname, '../../cli/bin/pipit.js');
    return [bin, 'serve', '-c', join(folder, 'pipit/pipit.yaml')];
  });
}

/** Between a client and a server: passes on what both say until it is told to cut. */
export interface Relay {
  readonly url: string;
  /** Cuts every connection; others may come. */
  cut(): void;
  close(): Promise<void>;
}

export async function relayTo(port: number): Promise<Relay> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on('error', () => undefined);
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    close: async () => {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
