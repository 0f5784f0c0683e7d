/**
 * One library in one role in a process of its own: publishes, or receives. Says `ready` when it may begin, reads a line, and ends
 * on a line of JSON with its CPU time a message and its memory.
 */
import { once } from 'node:events';
import { type Contender, contender, type Library } from './contender.ts';

export interface WorkerOptions {
  readonly library: Library;
  readonly role: 'publish' | 'receive';
  readonly url: string;
  readonly version: 4 | 5;
  readonly qos: 0 | 1;
  /** Messages under way at once, for who publishes. */
  readonly window: number;
  readonly warmUp: number;
  readonly messages: number;
  /** Looks at the memory so many times on the way, the end included. */
  readonly looks: number;
}

/** In megabytes. `live`: what the program holds. `resident`: with what the engine keeps for its young generation. */
export interface Memory {
  readonly live: number;
  readonly resident: number;
}

export interface WorkerResult {
  readonly cpuMicrosPerMessage: number;
  readonly messages: number;
  /** After the warm-up and at each look, with all garbage collected. */
  readonly memories: readonly Memory[];
}

const payload = new Uint8Array(64).fill(0x78);
const topic = 'bench/client';

function memory(): Memory {
  globalThis.gc?.();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  const megabytes = (bytes: number): number => Math.round(bytes / 1e5) / 10;
  return { live: megabytes(heapUsed + arrayBuffers), resident: megabytes(rss) };
}

/** CPU and memory from the end of the warm-up on. */
class Meter {
  #cpu = process.cpuUsage();
  readonly #memories: Memory[] = [];

  begin(): void {
    this.look();
    this.#cpu = process.cpuUsage();
  }

  look(): void {
    this.#memories.push(memory());
  }

  /** The last look is part of it. */
  end(messages: number): WorkerResult {
    const { user, system } = process.cpuUsage(this.#cpu);
    this.look();
    return { cpuMicrosPerMessage: (user + system) / messages, messages, memories: this.#memories };
  }
}

function publishing(client: Contender, { qos, window }: WorkerOptions, count: number): Promise<void> {
  return new Promise((finished) => {
    let asked = 0;
    let answered = 0;
    const next = (): void => {
      asked++;
      client.publish(topic, payload, qos, done);
    };
    const done = (): void => {
      answered++;
      if (asked < count) next();
      else if (answered === count) finished();
    };
    for (let i = 0; i < Math.min(window, count); i++) next();
  });
}

async function main(options: WorkerOptions): Promise<WorkerResult> {
  const { library, role, url, version, qos, warmUp, messages, looks } = options;
  const each = Math.floor(messages / looks);
  const client = await contender(library, url, version);
  const meter = new Meter();
  if (role === 'publish') {
    console.log('ready');
    await once(process.stdin, 'data');
    await publishing(client, options, warmUp);
    meter.begin();
    for (let i = 1; i < looks; i++) {
      await publishing(client, options, each);
      meter.look();
    }
    await publishing(client, options, messages - each * (looks - 1));
    const result = meter.end(messages);
    await client.end();
    return result;
  }
  const finished = Promise.withResolvers<WorkerResult>();
  let received = 0;
  await client.subscribe(topic, qos, () => {
    received++;
    if (received === warmUp) meter.begin();
    else if (received === warmUp + messages) finished.resolve(meter.end(messages));
    else if (received > warmUp && (received - warmUp) % each === 0) meter.look();
  });
  console.log('ready');
  const result = await finished.promise;
  await client.end();
  return result;
}

console.log(JSON.stringify(await main(JSON.parse(process.argv[2] as string) as WorkerOptions)));
process.exit();
