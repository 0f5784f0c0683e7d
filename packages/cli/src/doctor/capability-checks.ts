/** What a broker does, tried out: what it announces is what it does, or one of the answers is no. */

import { type ProtocolVersion, type QoS, ReasonCode, reasonCodeName } from '@pipit/protocol';
import { CommandError } from '../command-error.ts';
import type { Target } from '../dial.ts';
import type { AnnouncedLimits, Answer, Capabilities, RoundTrips } from './doctor-report.ts';
import { type Login, Probe, type ProbeOptions } from './probe.ts';

/** What all checks of one broker have in common. */
export interface Patient {
  readonly target: Target;
  readonly version: ProtocolVersion;
  readonly login: Login;
  /** Nobody else's. */
  readonly clientId: string;
  /** Below which it may publish and subscribe; nobody else's. */
  readonly topic: string;
  readonly timeoutMs: number;
}

const yes: Answer = { is: 'yes' };
const forEver = 0xffff_ffff;
const keepAliveMax = 65_535;
/** Messages that do not come are waited for so long. */
const absenceMs = 1_500;

export async function openProbe(patient: Patient, more: Partial<ProbeOptions> = {}): Promise<Probe> {
  const { target, version, login, clientId, timeoutMs } = patient;
  return Probe.open(target, { version, login, clientId, ...more }, timeoutMs);
}

export async function capabilitiesOf(patient: Patient): Promise<Capabilities> {
  return {
    qos: await qosOf(patient),
    retained: await tried(patient, retained),
    wildcards: await tried(patient, wildcards),
    shared: await tried(patient, shared),
    subscriptionIdentifiers: patient.version === 5 ? await tried(patient, identifiers) : no('only MQTT 5.0 has them'),
    sessions: await sessions(patient),
  };
}

/** Asks for more than a broker gives, and looks what it says. Null before 5.0. */
export async function limitsOf(patient: Patient): Promise<AnnouncedLimits | null> {
  if (patient.version !== 5) return null;
  const properties = { sessionExpiryInterval: forEver };
  const probe = await openProbe(patient, { keepAliveSeconds: keepAliveMax, properties });
  const said = probe.connection.connack.properties ?? {};
  await probe.close();
  await forgetSession(patient);
  return {
    receiveMaximum: said.receiveMaximum ?? null,
    maximumPacketSize: said.maximumPacketSize ?? null,
    topicAliasMaximum: said.topicAliasMaximum ?? null,
    serverKeepAlive: said.serverKeepAlive ?? null,
    sessionExpiryInterval: said.sessionExpiryInterval ?? null,
  };
}

/** Null for what the broker refuses. */
export async function roundTripsOf(patient: Patient, rounds: number, qos: QoS): Promise<RoundTrips | null> {
  const probe = await openProbe(patient);
  try {
    const topic = `${patient.topic}/rounds`;
    if (qos === 0 && (await probe.subscribe(topic, 0)) >= ReasonCode.UnspecifiedError) return null;
    const times: number[] = [];
    for (let i = 0; i < rounds; i++) {
      const startAt = performance.now();
      const code = await probe.publish(topic, String(i), { qos });
      if (code >= ReasonCode.UnspecifiedError) return null;
      if (qos === 0 && (await probe.message(({ payload }) => textOf(payload) === String(i))) === null) return null;
      times.push(performance.now() - startAt);
      probe.messages.length = 0;
    }
    times.sort((a, b) => a - b);
    return { count: times.length, p50: times[times.length >> 1] as number, max: times.at(-1) as number };
  } catch (error) {
    return error instanceof CommandError ? null : Promise.reject(error);
  } finally {
    await probe.close();
  }
}

type Check = (probe: Probe, topic: string, patient: Patient) => Promise<Answer>;

/** On a connection of its own, as brokers answer with the end of the connection what they do not do. */
async function tried(patient: Patient, check: Check): Promise<Answer> {
  try {
    const probe = await openProbe(patient);
    try {
      return await check(probe, `${patient.topic}/${check.name}`, patient);
    } finally {
      await probe.close();
    }
  } catch (error) {
    if (error instanceof CommandError) return no(error.message.replace(/\.$/, ''));
    throw error;
  }
}

async function qosOf(patient: Patient): Promise<number[]> {
  const works: number[] = [];
  for (const qos of [0, 1, 2] as const) {
    const answer = await tried(patient, async (probe, topic) => {
      const granted = await probe.subscribe(topic, qos);
      if (granted !== qos) return no(`a subscription gets ${granted}`);
      const code = await probe.publish(topic, 'x', { qos });
      return code < ReasonCode.UnspecifiedError ? came(probe, (message) => message.qos === qos) : refused(code);
    });
    if (answer.is === 'yes') works.push(qos);
  }
  return works;
}

async function retained(probe: Probe, topic: string): Promise<Answer> {
  const code = await probe.publish(topic, 'x', { retain: true });
  if (code >= ReasonCode.UnspecifiedError) return refused(code);
  await probe.subscribe(topic);
  const answer = await came(probe, ({ retain }) => retain);
  await probe.publish(topic, '', { retain: true });
  return answer;
}

async function wildcards(probe: Probe, topic: string): Promise<Answer> {
  for (const [filter, name] of [
    [`${topic}/+/x`, 'plus'],
    [`${topic}/#`, 'hash'],
  ] as const) {
    const granted = await probe.subscribe(filter);
    if (granted >= ReasonCode.UnspecifiedError) return refused(granted);
    await probe.publish(`${topic}/${name}/x`, name);
    const answer = await came(probe, ({ payload }) => textOf(payload) === name);
    if (answer.is !== 'yes') return answer;
  }
  return yes;
}

/** Two members: a message comes to one of them. */
async function shared(probe: Probe, topic: string, patient: Patient): Promise<Answer> {
  const other = await openProbe({ ...patient, clientId: `${patient.clientId}-2` });
  try {
    const filter = `$share/${patient.clientId}/${topic}`;
    for (const member of [probe, other]) {
      const granted = await member.subscribe(filter);
      if (granted >= ReasonCode.UnspecifiedError) return refused(granted);
    }
    await probe.publish(topic, 'x');
    const first = await Promise.race([probe, other].map((member) => member.message(() => true, absenceMs)));
    const count = probe.messages.length + other.messages.length;
    if (first === null && count === 0) return no('it is granted, and no message comes');
    return count === 1 ? yes : no('each member gets each message');
  } finally {
    await other.close();
  }
}

async function identifiers(probe: Probe, topic: string): Promise<Answer> {
  const granted = await probe.subscribe(topic, 1, { subscriptionIdentifier: 7 });
  if (granted >= ReasonCode.UnspecifiedError) return refused(granted);
  await probe.publish(topic, 'x');
  return came(probe, ({ properties }) => properties?.subscriptionIdentifiers?.includes(7) === true);
}

/** Whether a session outlives its connection. */
async function sessions(patient: Patient): Promise<Answer> {
  // MQTT 3.1 does not say whether there was one.
  if (patient.version === 3) return { is: 'unknown', why: 'MQTT 3.1 does not say' };
  const kept = { cleanStart: false, properties: { sessionExpiryInterval: 60 } };
  try {
    await (await openProbe(patient, kept)).close();
    const again = await openProbe(patient, kept);
    const { sessionPresent } = again.connection.connack;
    await again.close();
    await forgetSession(patient);
    return sessionPresent ? yes : no('it is gone with the connection');
  } catch (error) {
    if (error instanceof CommandError) return no(error.message.replace(/\.$/, ''));
    throw error;
  }
}

async function forgetSession(patient: Patient): Promise<void> {
  await (await openProbe(patient, { cleanStart: true })).close();
}

async function came(probe: Probe, isWanted: Parameters<Probe['message']>[0]): Promise<Answer> {
  const message = await probe.message(isWanted, absenceMs);
  return message === null ? no('it is granted, and no such message comes') : yes;
}

function no(why: string): Answer {
  return { is: 'no', why };
}

/** What is not allowed here may be allowed elsewhere. */
function refused(reasonCode: number): Answer {
  const why = reasonCodeName(reasonCode);
  return { is: reasonCode === ReasonCode.NotAuthorized ? 'unknown' : 'no', why };
}

function textOf(payload: Uint8Array): string {
  return new TextDecoder().decode(payload);
}
