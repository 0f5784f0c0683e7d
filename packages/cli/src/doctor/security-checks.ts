/** What strangers can do at a broker, tried out without doing any harm: it connects and listens, and publishes nothing. */

import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { encodeUtf8, type PublishPacket, ReasonCode, reasonCodeName } from '@pipit/protocol';
import { CommandError } from '../command-error.ts';
import type { Target } from '../dial.ts';
import { openProbe, type Patient } from './capability-checks.ts';
import type { Finding } from './doctor-report.ts';
import { type Login, Probe } from './probe.ts';

/** `listenMs` 0: does not look at what can be read. */
export async function securityFindings(patient: Patient, listenMs: number): Promise<Finding[]> {
  const { login } = patient;
  const isAnonymous = Object.keys(login).length === 0 || (await letsIn(patient, {}));
  const findings = transportFindings(patient.target, login.password !== undefined);
  if (isAnonymous) {
    findings.push({
      level: 'warning',
      id: 'anonymous',
      text: 'Anybody may connect, without a name and a password: ask for credentials (Mosquitto: allow_anonymous false).',
    });
  }
  // As a stranger, where strangers are let in.
  const reader = isAnonymous ? { ...patient, login: {} } : patient;
  if (listenMs > 0) findings.push(...(await readableFindings(reader, isAnonymous, listenMs)));
  // Last: a broker may keep out for a while whoever comes with a wrong password.
  if (!isAnonymous && (await letsIn(patient, wrongLogin()))) {
    findings.push({
      level: 'problem',
      id: 'any-password',
      text: 'It lets in whoever gives a name and a password, whatever they are: it does not check them.',
    });
  }
  return findings;
}

function transportFindings(target: Target, hasPassword: boolean): Finding[] {
  const host = target.kind === 'websocket' ? new URL(target.url).hostname.replace(/^\[|\]$/g, '') : hostOf(target);
  const isPlain = target.kind === 'tcp' || (target.kind === 'websocket' && target.url.startsWith('ws:'));
  if (!isPlain || host === null || isLoopback(host)) return [];
  const what = hasPassword ? 'Your password and all messages travel' : 'All messages travel';
  return [
    {
      level: hasPassword ? 'problem' : 'warning',
      id: 'plain',
      text: `${what} unencrypted: whoever is on the way can read and change them. Use mqtts:// or wss://.`,
    },
  ];
}

function hostOf(target: Target): string | null {
  return target.kind === 'tcp' || target.kind === 'tls' ? target.host : null;
}

function isLoopback(host: string): boolean {
  if (isIP(host) === 4) return host.startsWith('127.');
  return host === 'localhost' || host === '::1';
}

async function letsIn(patient: Patient, login: Login): Promise<boolean> {
  const { target, version, timeoutMs } = patient;
  try {
    const probe = await Probe.open(target, { version, login, clientId: `${patient.clientId}-x` }, timeoutMs);
    await probe.close();
    return true;
  } catch (error) {
    if (error instanceof CommandError) return false;
    throw error;
  }
}

function wrongLogin(): Login {
  return {
    username: `pipit-doctor-${randomBytes(4).toString('hex')}`,
    password: encodeUtf8(randomBytes(12).toString('hex')),
  };
}

async function readableFindings(patient: Patient, isAnonymous: boolean, listenMs: number): Promise<Finding[]> {
  const who = isAnonymous ? 'Anybody' : 'This user';
  const all = await heard(patient, '#', listenMs);
  const findings = [hashFinding(all, who, isAnonymous, listenMs)];
  const own = await heard(patient, '$SYS/#', listenMs);
  if (Array.isArray(own) && own.length > 0) {
    findings.push({
      level: isAnonymous ? 'warning' : 'note',
      id: 'sys',
      text: `${who} can read $SYS/#, which tells of the broker and its load (${own.length} values, such as ${own[0]?.topic}): allow it to operators only.`,
    });
  }
  return findings;
}

function hashFinding(all: Heard, who: string, isAnonymous: boolean, listenMs: number): Finding {
  if (typeof all === 'string') {
    return { level: 'note', id: 'hash-refused', text: `${who} may not subscribe to # (${all}).` };
  }
  const seconds = `${listenMs / 1000} s`;
  const topics = [...new Set(all.map(({ topic }) => topic))];
  if (topics.length === 0) {
    return {
      level: isAnonymous ? 'warning' : 'note',
      id: 'hash-granted',
      text: `${who} may subscribe to #; nothing was published or retained in ${seconds} to see whether anything comes of it.`,
    };
  }
  const what = `${all.length} messages of ${topics.length} topics came in ${seconds}, such as ${topics[0]}`;
  const text = `${who} can read what others publish by subscribing to #: ${what}. Let clients read their own topics only.`;
  return { level: 'warning', id: 'hash', text };
}

/** What came, or why the broker does not want the subscription. */
type Heard = readonly PublishPacket[] | string;

/** Besides what the doctor itself publishes. Rejects when the broker does not let it in any more. */
async function heard(patient: Patient, filter: string, listenMs: number): Promise<Heard> {
  const probe = await openProbe({ ...patient, clientId: `${patient.clientId}-r` });
  try {
    const granted = await probe.subscribe(filter, 0);
    if (granted >= ReasonCode.UnspecifiedError) return reasonCodeName(granted);
    await probe.message(() => false, listenMs);
    return probe.messages.filter(({ topic }) => !topic.startsWith(patient.topic));
  } catch (error) {
    // Some close the connection over it.
    if (error instanceof CommandError) return error.message.replace(/\.$/, '');
    throw error;
  } finally {
    await probe.close();
  }
}
