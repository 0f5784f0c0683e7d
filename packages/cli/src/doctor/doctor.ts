/** `pipit doctor`: connects to a broker in every way it might be wrong about, and says what it found in words a person can act on. */

import { randomBytes } from 'node:crypto';
import { encodeUtf8, type ProtocolVersion, topicNameProblem } from '@pipit/protocol';
import { CommandError, exitCodes, usageError } from '../command-error.ts';
import { type ConnectionArguments, loginOf, targetOf } from '../connection-options.ts';
import type { Target } from '../dial.ts';
import { ProgressLine } from '../progress-line.ts';
import { print } from '../store-print.ts';
import { capabilitiesOf, limitsOf, openProbe, type Patient, roundTripsOf } from './capability-checks.ts';
import type { DoctorArguments } from './doctor-options.ts';
import type { Answer, DoctorReport, Finding, TlsFacts, VersionName } from './doctor-report.ts';
import { reportLines } from './doctor-text.ts';
import type { Login } from './probe.ts';
import { securityFindings } from './security-checks.ts';
import { type TlsAddress, takesOldTls, tlsFacts, tlsFindings } from './tls-facts.ts';

/** Something to act on. */
const findingsExitCode = 3;
const tlsPort = 443;

const names: readonly (readonly [ProtocolVersion, VersionName])[] = [
  [5, '5.0'],
  [4, '3.1.1'],
  [3, '3.1'],
];

/** Resolves to the exit code. Rejects with a CommandError when the broker cannot be reached. */
export async function doctorCommand(options: DoctorArguments): Promise<number> {
  const problem = topicNameProblem(options.topic);
  if (problem !== undefined) throw usageError(`--topic: ${problem}.`);
  const report = await new Examination(options).report();
  await print(options.json === true ? [JSON.stringify(report, null, 2)] : reportLines(report));
  if (report.version === null && report.tls?.problem == null) return exitCodes.failure;
  return report.findings.some(({ level }) => level !== 'note') ? findingsExitCode : 0;
}

class Examination {
  readonly #options: DoctorArguments;
  readonly #target: Target;
  readonly #login: Login;
  readonly #timeoutMs: number;
  readonly #progress = new ProgressLine();
  readonly #id = `pipit-doctor-${randomBytes(4).toString('hex')}`;
  readonly #findings: Finding[] = [];

  constructor(options: DoctorArguments) {
    this.#options = options;
    this.#target = examinable(targetOf(options));
    const { username, password } = loginOf({ ...options, protocolVersion: 5 });
    this.#login = {
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password: encodeUtf8(password) }),
    };
    this.#timeoutMs = options.timeout * 1000;
  }

  async report(): Promise<DoctorReport> {
    try {
      return await this.#examined();
    } finally {
      this.#progress.clear();
    }
  }

  async #examined(): Promise<DoctorReport> {
    const tls = await this.#tls();
    const nothing = { version: null, connectMs: null, capabilities: null, limits: null, roundTripMs: null };
    const base = { broker: brokerName(this.#target), ...nothing, tls, findings: this.#findings };
    const notAsked: Answer = { is: 'unknown', why: 'not asked: its certificate is not good' };
    if (tls !== null && tls.problem !== null && this.#options.insecure !== true) {
      return { ...base, versions: { '5.0': notAsked, '3.1.1': notAsked, '3.1': notAsked } };
    }
    const versions = await this.#versions();
    const newest = this.#options.protocolVersion;
    const known = names.find(([version, name]) => version <= newest && versions[name].is === 'yes');
    if (known === undefined) {
      const text = `It lets nobody in as you came, with any version of MQTT: ${versions['5.0'].why}.`;
      this.#findings.push({ level: 'problem', id: 'no-connection', text });
      return { ...base, versions };
    }
    const [version, name] = known;
    const { topic, rounds, listen } = this.#options;
    const patient: Patient = {
      target: this.#target,
      version,
      login: this.#login,
      clientId: this.#id,
      topic: `${topic}/${this.#id}`,
      timeoutMs: this.#timeoutMs,
    };
    const step = <Result>(what: string, result: Promise<Result>): Promise<Result> => {
      this.#progress.show(() => what);
      return result;
    };
    const connectMs = await this.#connectMs(patient);
    const capabilities = await step('trying out what it does', capabilitiesOf(patient));
    const limits = await step('asking for its limits', limitsOf(patient));
    const roundTripMs = {
      qos0: await step('measuring round trips', roundTripsOf(patient, rounds, 0)),
      qos1: await roundTripsOf(patient, rounds, 1),
      qos2: await roundTripsOf(patient, rounds, 2),
    };
    this.#findings.push(...(await step('listening to what can be read', securityFindings(patient, listen * 1000))));
    if (versions['5.0'].is !== 'yes') {
      this.#findings.push({
        level: 'note',
        id: 'no-mqtt-5',
        text: 'It does not speak MQTT 5.0, so it cannot say why it refuses something, nor what its limits are.',
      });
    }
    return { ...base, versions, version: name, connectMs, capabilities, limits, roundTripMs };
  }

  async #tls(): Promise<TlsFacts | null> {
    const address = tlsAddressOf(this.#target, this.#options);
    if (address === null) return null;
    this.#progress.show(() => 'looking at its certificate');
    const facts = await tlsFacts(address, this.#timeoutMs, new Date()).catch((error: unknown) => error as Error);
    const takesOld = await takesOldTls(address, this.#timeoutMs);
    if (facts instanceof Error) throw facts instanceof CommandError ? facts : noTls(address, facts, takesOld);
    this.#findings.push(...tlsFindings(facts, takesOld));
    return facts;
  }

  /** Rejects when there is nobody at all. */
  async #versions(): Promise<Record<VersionName, Answer>> {
    const answers = {} as Record<VersionName, Answer>;
    for (const [version, name] of names) {
      this.#progress.show(() => `connecting with MQTT ${name}`);
      const patient = {
        target: this.#target,
        version,
        login: this.#login,
        clientId: this.#id,
        timeoutMs: this.#timeoutMs,
      };
      answers[name] = await openProbe({ ...patient, topic: '' }).then(
        async (probe): Promise<Answer> => {
          await probe.close();
          return { is: 'yes' };
        },
        (error: unknown): Answer => {
          if (!(error instanceof CommandError) || error.message.startsWith('Error: ')) throw error;
          return { is: 'no', why: error.message.replace(/^Connection error: /, '').replace(/\.$/, '') };
        },
      );
    }
    return answers;
  }

  async #connectMs(patient: Patient): Promise<DoctorReport['connectMs']> {
    const probe = await openProbe(patient);
    await probe.close();
    return { dial: probe.dialMs, connack: probe.connackMs };
  }
}

/** Where others take a certificate with another name, this takes any: what is wrong with it is told, and the rest looked at. */
function examinable(target: Target): Target {
  if (!('tls' in target) || !target.tls.insecure) return target;
  return { ...target, tls: { ...target.tls, trustsAnybody: true } };
}

function noTls({ host, port }: TlsAddress, error: Error, takesOld: boolean): CommandError {
  const why = takesOld
    ? `${host}:${port} speaks TLS 1.0 or 1.1 only, which are broken and refused by clients: allow 1.2 and 1.3`
    : `there is no TLS at ${host}:${port}: ${error.message}`;
  return new CommandError(`Error: ${why}.`, exitCodes.failure);
}

function brokerName(target: Target): string {
  if (target.kind === 'websocket') return target.url;
  if (target.kind === 'unix') return `unix:${target.path}`;
  return `${target.kind === 'tls' ? 'mqtts' : 'mqtt'}://${target.host}:${target.port}`;
}

function tlsAddressOf(target: Target, options: ConnectionArguments): TlsAddress | null {
  // With a shared key there is no certificate.
  if (target.kind === 'tls') return options.psk === undefined ? target : null;
  if (target.kind !== 'websocket' || !target.url.startsWith('wss:')) return null;
  const { hostname, port } = new URL(target.url);
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || tlsPort), tls: target.tls };
}
