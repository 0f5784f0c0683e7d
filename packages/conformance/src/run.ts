/**
 * Runs cases against one broker: asks it first what it is, starts the slow cases beside the others and tries those that
 * failed again when it is quiet, bounds every wait, and turns whatever happens into a result. Nothing a broker does throws out of here.
 */
import type { ConnackProperties, Packet, ProtocolVersion } from '@pipit/protocol';
import { PacketType } from '@pipit/protocol';
import { Bench, type Facts } from './bench.ts';
import { brokerCases } from './broker-cases.ts';
import type { Case } from './case.ts';
import { versionNames, words } from './outcome.ts';
import type { Peer } from './peer.ts';
import { attempt, headOf, type Result } from './result.ts';

export interface Refusal {
  readonly version: ProtocolVersion;
  readonly outcome: 'fail' | 'not applicable';
  /** What became of CONNECT. */
  readonly note: string;
}

export interface Report {
  readonly url: string;
  /** What CONNACK announced to a 5.0 client. */
  readonly announced: ConnackProperties;
  /** Versions in which the broker does not even connect: their cases were not run, and all have this outcome. */
  readonly refusals: readonly Refusal[];
  readonly results: readonly Result[];
}

export interface SuiteOptions {
  /** mqtt://, mqtts://, ws:// or wss:// */
  readonly url: string;
  /** Default: all three. */
  readonly versions?: readonly ProtocolVersion[];
  /** Ids of cases or statements, or beginnings of them; default: all. */
  readonly only?: readonly string[];
  readonly facts?: Facts;
  /** How long the broker may take for one answer; default 5,000. */
  readonly timeoutMs?: number;
  /** Cases at once; default 24. */
  readonly atOnce?: number;
  /** Told after each case: how many of how many have a result. */
  readonly progressed?: (done: number, all: number) => void;
  /** Default: all cases for brokers. */
  readonly cases?: readonly Case[];
}

/** A broker that fails more of the slow cases than this does not owe it to the machine. */
const retriesMax = 6;

export async function runSuite(options: SuiteOptions): Promise<Report> {
  const suite = new Suite(options);
  return suite.run();
}

/** Whether a case is meant by one of the ids or beginnings. */
export function isMeant(each: Case, only: readonly string[] | undefined): boolean {
  if (only === undefined || only.length === 0) return true;
  return only.some((id) => each.id === id || each.id.startsWith(`${id} `) || each.statements.includes(id));
}

/** What the first answer to CONNECT says, which is no CONNACK of success. */
function refusalOf(version: ProtocolVersion, first: Packet | undefined, peer: Peer): Refusal {
  if (first === undefined) {
    // Who does not know a version may close; but some MQTT there has to be, and 3.1.1 is what all know.
    const isClosed = ['closed', 'ECONNRESET', 'EPIPE'].includes(peer.end ?? '');
    const isUnknown = isClosed && version !== 4;
    const note = isClosed ? 'CONNECT closes the connection' : `no connection (${peer.end})`;
    return { version, outcome: isUnknown ? 'not applicable' : 'fail', note };
  }
  const isUnknown = first.type === PacketType.Connack && first.reasonCode === (version === 5 ? 0x84 : 1);
  return { version, outcome: isUnknown ? 'not applicable' : 'fail', note: words(first) };
}

class Suite {
  readonly #options: SuiteOptions;
  readonly #timeoutMs: number;
  readonly #run = Math.random().toString(36).slice(2, 7).padEnd(5, '0');
  readonly #results = new Map<Case, Result>();
  readonly #refusals = new Map<ProtocolVersion, Refusal>();
  #announced: ConnackProperties = {};
  #count = 0;
  #chosenCount = 0;

  constructor(options: SuiteOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? 5000;
  }

  async run(): Promise<Report> {
    const { versions = [5, 4, 3], only, atOnce = 24, url } = this.#options;
    const chosen = (this.#options.cases ?? brokerCases).filter(
      (each) => versions.includes(each.version) && isMeant(each, only),
    );
    this.#chosenCount = chosen.length;
    await Promise.all(([5, 4, 3] as const).map((version) => this.#probe(version)));
    const slow = chosen.filter((each) => each.isSlow);
    const quick = chosen.filter((each) => !each.isSlow)[Symbol.iterator]();
    const worker = async (): Promise<void> => {
      for (const each of quick) await this.#runCase(each);
    };
    await Promise.all([...slow.map((each) => this.#runCase(each)), ...Array.from({ length: atOnce }, worker)]);
    // A machine that stalls for a second looks like a broker that is late: a few cases that wait for clocks are tried again.
    const late = slow.filter((each) => this.#results.get(each)?.outcome === 'fail');
    if (late.length <= retriesMax) await Promise.all(late.map((each) => this.#runCase(each)));
    const results = chosen.map((each) => this.#results.get(each) as Result);
    const refusals = versions.flatMap((version) => this.#refusals.get(version) ?? []);
    return { url, announced: this.#announced, refusals, results };
  }

  #bench(version: ProtocolVersion): Bench {
    const { url, facts = {} } = this.#options;
    const name = `${this.#run}${(++this.#count).toString(36).padStart(3, '0')}`;
    const served = ([3, 4, 5] as const).filter((each) => !this.#refusals.has(each));
    return new Bench({ url, version, facts, connack: this.#announced, served, timeoutMs: this.#timeoutMs, name });
  }

  /** Connects once with a version: is it served, and what does CONNACK announce? */
  async #probe(version: ProtocolVersion): Promise<void> {
    const bench = this.#bench(version);
    const peer = bench.open();
    try {
      peer.send(bench.connectPacket());
      const first = await peer.takeOrEnd('CONNACK');
      if (first?.type !== PacketType.Connack || first.reasonCode !== 0) {
        this.#refusals.set(version, refusalOf(version, first, peer));
        return;
      }
      if (version === 5) this.#announced = first.properties ?? {};
      await peer.disconnect();
    } catch (error) {
      this.#refusals.set(version, this.#unanswered(version, peer, error as Error));
    } finally {
      peer.cut();
    }
  }

  /** Why there is no CONNACK that could be read. */
  #unanswered(version: ProtocolVersion, peer: Peer, { message }: Error): Refusal {
    // A broker that does not know the version may answer in the form of another: 3.x return code 1.
    if (version !== 4 && peer.log.includes('< 20 02 00 01')) {
      return { version, outcome: 'not applicable', note: 'CONNACK return code 1' };
    }
    const isSilent = !peer.log.some((line) => line.startsWith('<'));
    const note = isSilent ? `CONNECT gets no answer for ${this.#timeoutMs / 1000} s` : message;
    return { version, outcome: 'fail', note };
  }

  async #runCase(each: Case): Promise<void> {
    const refusal = this.#refusals.get(each.version);
    const result = refusal === undefined ? await this.#attempt(each) : this.#refused(each, refusal);
    this.#results.set(each, result);
    this.#options.progressed?.(this.#results.size, this.#chosenCount);
  }

  #refused(each: Case, { version, outcome, note }: Refusal): Result {
    const told = `MQTT ${versionNames[version]}: ${note}`;
    if (outcome === 'fail') return { ...headOf(each), outcome, expected: 'a connection', seen: told };
    return { ...headOf(each), outcome, note: told };
  }

  async #attempt(each: Case): Promise<Result> {
    const bench = this.#bench(each.version);
    const { peers } = bench;
    const isInformation = each.kind === 'information';
    const result = await attempt(each, () => each.run(bench), { peers, timeoutMs: this.#timeoutMs, isInformation });
    await bench.clear();
    return result;
  }
}
