/**
 * `npm run bench:client`: CPU time a message of Pipit's client and of MQTT.js, in turn, against the same broker: publishing 100
 * deep, and receiving through the handler. Processor time, not rates: it hardly notices what else the machine does.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import type { Memory, WorkerOptions, WorkerResult } from './client/worker.ts';
import { pipit } from './contenders.ts';
import { scenarios } from './scenarios.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    messages: { type: 'string' },
    version: { type: 'string', default: '5' },
    only: { type: 'string', default: '' },
    /** Pipit's client alone: for memory over many messages. */
    alone: { type: 'boolean', default: false },
  },
});

/** For the libraries: "pipelined 100 deep". */
const window = 100;
const sourceWindow = 1_000;
const workerMsMax = 600_000;
/** Over many messages a look at the memory after each tenth. */
const looks = values.alone ? 10 : 1;
const version = values.version === '4' ? 4 : 5;
/** Enough for compiled code; at QoS 1 less than a broker keeps for a receiver that is behind. */
function countsOf(role: 'publish' | 'receive', qos: 0 | 1): { messages: number; warmUp: number } {
  const isBounded = role === 'receive' && qos === 1;
  const messages = Number(values.messages ?? (isBounded ? 70_000 : 300_000));
  // For memory over many messages the process has to have grown to its size first.
  const warmUp = values.alone ? Math.ceil(messages / 10) : isBounded ? 25_000 : 100_000;
  return { messages, warmUp: Math.min(messages, warmUp) };
}

const rows = (['publish', 'receive'] as const).flatMap((role) => ([0, 1] as const).map((qos) => ({ role, qos })));

interface Worker {
  readonly ready: Promise<unknown>;
  readonly result: Promise<WorkerResult>;
  go(): void;
}

const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

function worker(options: WorkerOptions): Worker {
  const script = join(import.meta.dirname, 'client/worker.ts');
  const child = spawn(process.execPath, ['--expose-gc', script, JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  running.add(child);
  const ready = Promise.withResolvers<void>();
  const result = Promise.withResolvers<WorkerResult>();
  createInterface(child.stdout).on('line', (line) => {
    if (line === 'ready') ready.resolve();
    else result.resolve(JSON.parse(line) as WorkerResult);
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), workerMsMax);
  child.on('close', (code) => {
    clearTimeout(timer);
    running.delete(child);
    result.reject(new Error(`a worker ended with ${code}`));
  });
  return { ready: ready.promise, result: result.promise, go: () => child.stdin.write('\n') };
}

async function measure(options: WorkerOptions): Promise<WorkerResult> {
  const measured = worker(options);
  await measured.ready;
  if (options.role === 'publish') {
    measured.go();
    return measured.result;
  }
  // Whoever publishes is the same for both, and fast enough that reads are full. The broker keeps what a receiver is behind with.
  const source = worker({
    ...options,
    library: 'pipit',
    role: 'publish',
    window: options.qos === 0 ? sourceWindow : window,
  });
  await source.ready;
  source.go();
  const [result] = await Promise.all([measured.result, source.result]);
  return result;
}

const scenario = scenarios.find(({ transport, durable }) => transport === 'tcp' && durable === 'no');
if (scenario === undefined) throw new Error('there is no plain scenario to start a broker for');
const libraries = values.alone ? (['pipit'] as const) : (['pipit', 'mqtt.js'] as const);
const broker = await pipit('pipit').start(scenario);
try {
  const url = `mqtt://127.0.0.1:${(broker.address as { port: number }).port}`;
  for (const { role, qos } of rows) {
    const name = `${role} QoS ${qos}`;
    if (!name.includes(values.only)) continue;
    const cost = new Map<string, number[]>();
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const library of libraries) {
        const result = await measure({ library, role, url, version, qos, window, looks, ...countsOf(role, qos) });
        const { cpuMicrosPerMessage, memories } = result;
        cost.set(library, [...(cost.get(library) ?? []), cpuMicrosPerMessage]);
        const series = (name: keyof Memory): string => memories.map((memory) => memory[name]).join(' → ');
        const memory = `live ${series('live')} MB, resident ${series('resident')}`;
        console.log(
          `${name.padEnd(14)} ${library.padEnd(8)} ${cpuMicrosPerMessage.toFixed(2).padStart(7)} µs a message  ${memory}`,
        );
      }
    }
    const least = (library: string): number => Math.min(...(cost.get(library) ?? [Number.NaN]));
    const share = (least('pipit') / least('mqtt.js')).toFixed(2);
    if (!values.alone) console.log(`${name.padEnd(14)} ${share} of MQTT.js, least of ${values.rounds} rounds each`);
  }
} finally {
  await broker.stop();
}
