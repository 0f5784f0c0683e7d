/**
 * Faults to be put into the broker on purpose: the ones that brokers of the field had for years. Each is one exact piece of
 * source text and what stands in its place; a piece that is gone, or is there twice, is an error, so that no mutant dies
 * unseen. Whoever claims to find faults shows it by finding these.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

export interface Mutant {
  readonly name: string;
  /** From `packages/`. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
  /** Conformance cases of which at least one must fail. */
  readonly cases: readonly string[];
}

const subscribe = 'broker/src/core/subscribe.ts';
const publish = 'broker/src/core/publish.ts';
const connect = 'broker/src/core/connect.ts';
const sessions = 'broker/src/core/sessions.ts';
const delivery = 'broker/src/core/delivery.ts';
const pump = 'broker/src/core/pump.ts';

export const mutants: readonly Mutant[] = [
  {
    name: 'UNSUBSCRIBE answers but does not stop delivery',
    file: subscribe,
    find: 'if (!state.router.unsubscribe(session, plain, shareName)) return',
    replace: 'if (state.router.find(session, plain, shareName) === undefined) return',
    cases: ['MQTT-3.10.4-2', 'MQTT3-3.10.4-2'],
  },
  {
    name: 'packet id 0 after 65,535',
    file: 'protocol/src/flow/send-window.ts',
    find: 'return id > idsMax ? id - idsMax : id;',
    replace: 'return id > idsMax ? id - idsMax - 1 : id;',
    cases: ['MQTT-2.2.1-4 wrap'],
  },
  {
    name: 'packet id in use given again',
    file: 'protocol/src/flow/send-window.ts',
    find: 'return this.span >= idsMax;',
    replace: 'return this.inUse >= idsMax;',
    cases: ['MQTT-2.2.1-4 wrap-in-use', 'MQTT3-2.3.1-4 wrap-in-use'],
  },
  {
    name: 'QoS 2 delivered twice',
    file: publish,
    find: 'if (qos === 2 && session.received?.has(packetId) === true) {',
    replace: 'if (qos === 2 && packetId === 0) {',
    cases: ['MQTT-4.3.3-8', 'MQTT3-4.3.3-2'],
  },
  {
    name: 'will lost on takeover',
    file: connect,
    find: 'const previous = existing?.connection ?? null;',
    replace:
      'const previous = existing?.connection ?? null;\n  if (existing !== undefined && previous !== null) existing.will = null;',
    cases: ['MQTT-3.1.2-8 takeover', 'MQTT3-3.1.2-8 takeover'],
  },
  {
    name: 'retained QoS raised to the granted one',
    file: pump,
    find: 'const delivered = step.qos < qos ? step.qos : qos;',
    replace: 'const delivered = qos;',
    cases: ['MQTT-3.3.1-5', 'MQTT3-3.3.1-5'],
  },
  {
    name: 'malformed UTF-8 let through',
    file: 'protocol/src/wire/utf8.ts',
    find: 'if (first < 0xc2 || first > 0xf4) return 0;',
    replace: 'if (first < 0xc0 || first > 0xf4) return 0;',
    cases: ['MQTT-3.3.2-1', 'MQTT3-3.3.2-1'],
  },
  {
    name: 'session expiry 0xFFFFFFFF read as -1',
    file: connect,
    find: 'return properties?.sessionExpiryInterval ?? 0;',
    replace: 'return (properties?.sessionExpiryInterval ?? 0) | 0;',
    cases: ['5.0/3.1.2.11.2 session-expiry-maximum'],
  },
  {
    name: 'No Local ignored',
    file: publish,
    find: 'if (recipient.hasNoLocal && recipient.session.clientId === message.publisher) {',
    replace: 'if (recipient.hasNoLocal && recipient.session.clientId === null) {',
    cases: ['MQTT-3.8.3-3'],
  },
  {
    name: 'RETAIN passed on to live subscribers',
    file: delivery,
    find: 'const retain = retainAsPublished && message.retain;',
    replace: 'const retain = message.retain;',
    cases: ['MQTT-3.3.1-12', 'MQTT3-3.3.1-9'],
  },
  {
    name: 'Receive Maximum of the client ignored',
    file: sessions,
    find: 'session.quota = Math.min(connection.receiveMaximum, state.limits.sendMaximum);',
    replace: 'session.quota = state.limits.sendMaximum;',
    cases: ['MQTT-3.3.4-9'],
  },
  {
    name: 'will published after a normal DISCONNECT',
    file: sessions,
    find: 'if (!keepsWill) session.will = null;',
    replace: '',
    cases: ['MQTT-3.14.4-3', 'MQTT3-3.14.4-3'],
  },
  {
    name: 'delivered at the QoS published',
    file: delivery,
    find: 'const qos = asPublished || message.qos < grantedQos ? message.qos : grantedQos;',
    replace: 'const qos = message.qos;',
    cases: ['MQTT-3.8.4-8', 'MQTT3-3.8.4-6'],
  },
  {
    name: 'Clean Start resumes',
    file: connect,
    find: "if (existing !== undefined && connect.cleanStart) endSession(state, existing, 'clean-start');",
    replace: '',
    cases: ['MQTT-3.1.2-4', 'MQTT3-3.1.2-6'],
  },
  {
    name: 'a retained message is not cleared',
    file: 'broker/src/core/retaining.ts',
    find: 'unretain(state, topic.name);\n    return;',
    replace: 'return;',
    cases: ['MQTT-3.3.1-6', 'MQTT3-3.3.1-10'],
  },
];

const packages = resolve(import.meta.dirname, '../..');

/** Copies of the sources of protocol and broker, with one mutant in them or none, on which imports of both work. */
export class MutantCopy {
  readonly #root = mkdtempSync(join(tmpdir(), 'pipit-mutant-'));

  constructor(mutant: Mutant | null) {
    for (const name of ['protocol', 'broker']) {
      for (const part of ['src', 'package.json']) {
        cpSync(join(packages, name, part), join(this.#root, 'packages', name, part), { recursive: true });
      }
    }
    this.#linkDependencies();
    if (mutant !== null) this.#mutate(mutant);
  }

  /** What to import to get a module of the copy, such as `broker/src/index.ts`. A mutant may never end: best elsewhere. */
  url(file: string): string {
    return pathToFileURL(join(this.#root, 'packages', file)).href;
  }

  remove(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }

  #linkDependencies(): void {
    const real = resolve(packages, '../node_modules');
    const here = join(this.#root, 'node_modules');
    mkdirSync(join(here, '@pipit'), { recursive: true });
    for (const name of readdirSync(real)) {
      if (!name.startsWith('.') && name !== '@pipit') symlinkSync(join(real, name), join(here, name));
    }
    for (const name of ['protocol', 'broker']) {
      symlinkSync(join(this.#root, 'packages', name), join(here, '@pipit', name));
    }
  }

  #mutate(mutant: Mutant): void {
    writeFileSync(join(this.#root, 'packages', mutant.file), mutated(mutant));
  }
}

/** The file with the mutant in it. Throws when the text that it changes is not there just once. */
export function mutated({ name, file, find, replace }: Omit<Mutant, 'cases'>): string {
  const pieces = readFileSync(join(packages, file), 'utf8').split(find);
  if (pieces.length !== 2) throw new Error(`${name}: ${file} has its text ${pieces.length - 1} times, not once`);
  return pieces.join(replace);
}
