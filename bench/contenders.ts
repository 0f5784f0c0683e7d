/** The brokers that are measured, each started anew for every run: Pipit as built in a checkout, Mosquitto, the bare relay; or one elsewhere. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { answered, freePort } from '../packages/broker/test/node/ports.ts';
import type { Address } from './load/transport.ts';
import type { Contents, LoopDelay, Question } from './probe/probe.ts';
import type { Scenario, Transport } from './scenarios.ts';

export interface Contender {
  readonly name: string;
  /** What it is, with its version. */
  readonly description: string;
  /** Why it cannot take part in a scenario; null: it can. */
  refusal(scenario: Scenario): string | null;
  /** `probed`: with the probe in it, if it is a program of Node. */
  start(scenario: Scenario, probed?: boolean): Promise<RunningBroker>;
}

export interface RunningBroker {
  /** Null: not a process of this machine that may be looked at. */
  readonly pid: number | null;
  readonly address: Address;
  /** Where it keeps what lasts; null: nowhere. */
  readonly dataFolder: string | null;
  /** Null: it has no probe in it. */
  readonly probe: Probe | null;
  stop(): Promise<void>;
}

/** One question at a time. */
export interface Probe {
  contents(): Promise<Contents>;
  /** Of the time since the last call. */
  loopDelay(): Promise<LoopDelay>;
}

const root = resolve(import.meta.dirname, '..');
const certificates = join(root, 'packages/broker/test/node/certificates');
const caFile = join(certificates, 'ca.pem');
const certFile = join(certificates, 'server.pem');
const keyFile = join(certificates, 'server-key.pem');
const webSocketPath = '/mqtt';
const host = '127.0.0.1';
const startMsMax = 20_000;
const stopMsMax = 20_000;
/** Room for what is published to a session that is away. */
const durableLimits = 'limits:\n  queueMessagesMax: 100000000\n  queueBytesMax: 100000000000\n';

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** Pipit, from the `dist` of the checkout in `folder`. */
export function pipit(name: string, folder: string = root): Contender {
  return {
    name,
    description: `pipit ${commitOf(folder)}`,
    refusal: () => null,
    start: async ({ transport, durable }, probed = false) => {
      const data = mkdtempSync(join(tmpdir(), 'pipit-bench-'));
      const configFile = join(data, 'pipit.yaml');
      writeFileSync(configFile, durableLimits);
      const args = ['serve', '--log-level', 'error', `--${transport}`, '0'];
      if (transport === 'tls') args.push('--cert', certFile, '--key', keyFile);
      if (durable === 'no') args.push('--memory');
      else args.push('--config', configFile, '--data', join(data, 'store'));
      const bin = join(folder, 'packages/cli/bin/pipit.js');
      const child = startNode([bin, ...args], probed);
      const remove = (): void => rmSync(data, { recursive: true, force: true });
      try {
        const lines = await linesUntil(child, (line) => line === 'ready');
        const url = new URL(lines.find((line) => /^(mqtts?|wss?):/.test(line)) as string);
        return processOf(child, transport, Number(url.port), remove, durable === 'no' ? null : data);
      } catch (error) {
        child.kill('SIGKILL');
        remove();
        throw error;
      }
    },
  };
}

/** The bare relay of relay.ts. */
export function relay(): Contender {
  return {
    name: 'relay',
    description: `bare relay, Node ${process.version}`,
    refusal: ({ transport, qos, version, shape, durable }) =>
      transport !== 'tcp' || qos === 2 || version === 5 || shape === 'shared' || durable !== 'no'
        ? 'not what the relay does'
        : null,
    start: async ({ transport }, probed = false) => {
      const script = join(import.meta.dirname, 'relay.ts');
      const child = startNode(['--conditions=pipit-source', script], probed);
      const [port] = await linesUntil(child, () => true);
      return processOf(child, transport, Number(port));
    },
  };
}

/** Mosquitto with every limit on queues off; null when it is not installed. */
export function mosquitto(): Contender | null {
  const program = ['mosquitto', '/usr/sbin/mosquitto', '/usr/local/sbin/mosquitto'].find(
    (each) => spawnSync(each, ['-h']).error === undefined,
  );
  if (program === undefined) return null;
  const version = /version (\S+)/.exec(String(spawnSync(program, ['-h']).stdout))?.[1] ?? '';
  return {
    name: 'mosquitto',
    description: `mosquitto ${version}`,
    refusal: () => null,
    start: async ({ transport, durable }) => {
      const folder = mkdtempSync(join(tmpdir(), 'pipit-bench-'));
      const port = await freePort();
      const lines = [`listener ${port} ${host}`, 'allow_anonymous true', 'set_tcp_nodelay true'];
      // It writes everything out once in half an hour, and acknowledges before.
      if (durable === 'no') lines.push('persistence false');
      else lines.push('persistence true', `persistence_location ${folder}/`, `user ${userInfo().username}`);
      lines.push('max_queued_messages 0', 'max_inflight_messages 0', 'log_type error');
      if (transport === 'tls') lines.push(`certfile ${certFile}`, `keyfile ${keyFile}`);
      // It does not start with a WebSocket listener alone.
      if (transport === 'ws') lines.push('protocol websockets', `listener ${await freePort()} ${host}`);
      const configFile = join(folder, 'mosquitto.conf');
      writeFileSync(configFile, `${lines.join('\n')}\n`);
      const child = start(program, ['-c', configFile]);
      await answered(port);
      return processOf(child, transport, port, () => rmSync(folder, { recursive: true, force: true }));
    },
  };
}

/** A broker that runs already. `pid`: its process, if it is on this machine. */
export function elsewhere(url: URL, pid: number | null, authority: string | null): Contender {
  const transports: Readonly<Record<string, readonly [Transport, port: number]>> = {
    'mqtt:': ['tcp', 1883],
    'mqtts:': ['tls', 8883],
    'ws:': ['ws', 80],
  };
  const found = transports[url.protocol];
  if (found === undefined) throw new Error(`${url.href} has none of the schemes mqtt, mqtts and ws`);
  const [transport, defaultPort] = found;
  return {
    name: url.host,
    description: url.href,
    refusal: (scenario) => (scenario.transport === transport ? null : `it is reached by ${url.protocol}`),
    start: async () => ({
      pid,
      address: {
        transport,
        host: url.hostname,
        port: Number(url.port) || defaultPort,
        path: url.pathname,
        caFile: authority,
      },
      dataFolder: null,
      probe: null,
      stop: async () => {},
    }),
  };
}

/** The commit a folder is at, with a + when something is changed in it. */
export function commitOf(folder: string): string {
  const git = (...args: string[]) => String(spawnSync('git', args, { cwd: folder }).stdout).trim();
  return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : '+'}`;
}

/** Node, with the probe in the process if it is asked for. */
export function startNode(args: readonly string[], probed: boolean): ChildProcess {
  if (!probed) return start(process.execPath, args);
  return start(
    process.execPath,
    ['--no-warnings', '--import', join(import.meta.dirname, 'probe/probe.ts'), ...args],
    true,
  );
}

export function probeOf(child: ChildProcess): Probe {
  const ask = <Answer>(question: Question): Promise<Answer> =>
    new Promise((done, failed) => {
      const ended = (): void => failed(new Error(`${child.spawnargs.join(' ')} ended`));
      child.once('exit', ended);
      child.once('message', (answer) => {
        child.off('exit', ended);
        done(answer as Answer);
      });
      child.send(question);
    });
  return { contents: () => ask<Contents>('contents'), loopDelay: () => ask<LoopDelay>('loop delay') };
}

function start(program: string, args: readonly string[], withChannel = false): ChildProcess {
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'inherit', ...(withChannel ? ['ipc' as const] : [])],
  });
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

/** The lines on standard output up to the first for which `isLast` holds. */
function linesUntil(child: ChildProcess, isLast: (line: string) => boolean): Promise<string[]> {
  const { promise, resolve: done, reject: failed } = Promise.withResolvers<string[]>();
  const timer = setTimeout(() => failed(new Error(`${child.spawnfile} did not start in time`)), startMsMax);
  const lines: string[] = [];
  child.once('error', failed);
  child.once('exit', (code) => failed(new Error(`${child.spawnargs.join(' ')} ended with ${code}`)));
  createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
    lines.push(line);
    if (isLast(line)) done(lines);
  });
  return promise.finally(() => clearTimeout(timer));
}

function processOf(
  child: ChildProcess,
  transport: Transport,
  port: number,
  remove = () => {},
  dataFolder: string | null = null,
): RunningBroker {
  return {
    pid: child.pid as number,
    address: { transport, host, port, path: webSocketPath, caFile },
    dataFolder,
    probe: child.connected ? probeOf(child) : null,
    stop: async () => {
      const ended = new Promise((done) => child.once('exit', done));
      const timer = setTimeout(() => child.kill('SIGKILL'), stopMsMax);
      if (child.exitCode === null && child.kill('SIGTERM')) await ended;
      clearTimeout(timer);
      remove();
    },
  };
}
