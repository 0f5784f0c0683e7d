/**
 * Runs cases against one broker: asks it first what it is, starts the slow cases beside the others and tries those that
 * failed again when it is quiet, bounds every wait, and turns whatever happens into a result. Nothing a broker does throws out of here.
 */
import type { ConnackProperties, ProtocolVersion } from '@pipit/protocol';
import { PacketType } from '@pipit/protocol';
import { Bench, type Facts } from './bench.ts';
import { brokerCases } from './broker-cases.ts';
import type { Case } from './case.ts';
import { codeWords, words } from './outcome.ts';
import { attempt, headOf, type Result } from './result.ts';

export interface Refusal {
  readonly version: ProtocolVersion;
  readonly outcome: 'fail' | 'not applicable';
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
  /** Default: all cases for brokers. */
  readonly cases?: readonly Case[];
}

/** A broker that fails more of the slow cases than this does not owe it to the machine. */
const retriesMax = 6;
const versionNames = { 3: '3.1', 4: '3.1.1', 5: '5.0' } as const;

export async function runSuite(options: SuiteOptions): Promise<Report> {
  const suite = new Suite(options);
  return suite.run();
}

/** Whether a case is meant by one of the ids or beginnings. */
export function isMeant(each: Case, only: readonly string[] | undefined): boolean {
  if (only === undefined || only.length === 0) return true;
  return only.some((id) => each.id === id || each.id.startsWith(`${id} `) || each.statements.includes(id));
}

class Suite {
  readonly #options: SuiteOptions;
  readonly #timeoutMs: number;
  readonly #run = Math.random().toString(36).slice(2, 7).padEnd(5, '0');
  readonly #results = new Map<Case, Result>();
  readonly #refusals = new Map<ProtocolVersion, Refusal>();
  #announced: ConnackProperties = {};
  #count = 0;

  constructor(options: SuiteOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? 5000;
  }

  async run(): Promise<Report> {
    const { versions = [5, 4, 3], only, atOnce = 24, url } = this.#options;
    const chosen = (this.#options.cases ?? brokerCases).filter(
      (each) => versions.includes(each.version) && isMeant(each, only),
    );
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
    const name = versionNames[version];
    try {
      peer.send(bench.connectPacket());
      const first = await peer.takeOrEnd('CONNACK');
      if (first?.type === PacketType.Connack) {
        if (first.reasonCode === 0) {
          if (version === 5) this.#announced = first.properties ?? {};
          await peer.disconnect();
          return;
        }
        const note = `CONNACK ${version === 5 ? codeWords(first.reasonCode) : `return code ${first.reasonCode}`}`;
        const isVersion = first.reasonCode === (version === 5 ? 0x84 : 1);
        this.#refusals.set(version, {
          version,
          outcome: isVersion ? 'not applicable' : 'fail',
          note: `MQTT ${name}: ${note}`,
        });
      } else {
        const isSilent = first === undefined && peer.log.length === 1 && peer.seen.includes('(closed)');
        const note = `MQTT ${name}: ${first === undefined ? peer.seen : words(first)} instead of CONNACK`;
        this.#refusals.set(version, { version, outcome: isSilent && version !== 4 ? 'not applicable' : 'fail', note });
      }
    } catch (error) {
      // A broker that does not know the version may answer in the form of another: 3.x return code 1.
      const isOldForm = version !== 4 && peer.log.some((line) => line === '< 20 02 00 01');
      const note = `MQTT ${name}: ${isOldForm ? 'CONNACK return code 1, in the form of 3.x' : (error as Error).message}`;
      this.#refusals.set(version, { version, outcome: isOldForm ? 'not applicable' : 'fail', note });
    } finally {
      peer.cut();
    }
  }

  async #runCase(each: Case): Promise<void> {
    const refusal = this.#refusals.get(each.version);
    const result = refusal === undefined ? await this.#attempt(each) : this.#refused(each, refusal);
    this.#results.set(each, result);
  }

  #refused(each: Case, { outcome, note }: Refusal): Result {
    if (outcome === 'fail') return { ...headOf(each), outcome, expected: 'a connection', seen: note };
    return { ...headOf(each), outcome, note };
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
