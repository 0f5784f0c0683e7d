/** What strangers can do at a broker, tried out without doing any harm: it connects and listens, and publishes nothing. */

import { randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import { encodeUtf8, type PublishPacket, ReasonCode } from '@pipit/protocol';
import { CommandError } from '../command-error.ts';
import type { Target } from '../dial.ts';
import { openProbe, type Patient } from './capability-checks.ts';
import type { Finding } from './doctor-report.ts';
import { type Login, Probe } from './probe.ts';

/** `hasPassword`: the one of whoever asks. `listenMs` 0: does not look at what can be read. */
export async function securityFindings(patient: Patient, listenMs: number): Promise<Finding[]> {
  const { login } = patient;
  const isAnonymous = Object.keys(login).length === 0 || (await letsIn(patient, {}));
  const findings = [...transportFindings(patient.target, login.password !== undefined)];
  if (isAnonymous) {
    findings.push({
      level: 'warning',
      id: 'anonymous',
      text: 'Anybody may connect, without a name and a password: ask for credentials (Mosquitto: allow_anonymous false).',
    });
  } else if (await letsIn(patient, wrongLogin())) {
    findings.push({
      level: 'problem',
      id: 'any-password',
      text: 'It lets in whoever gives a name and a password, whatever they are: it does not check them.',
    });
  }
  if (listenMs === 0) return findings;
  // As a stranger, where strangers are let in.
  const reader = isAnonymous ? { ...patient, login: {} } : patient;
  return [...findings, ...(await readableFindings(reader, isAnonymous, listenMs))];
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
  const findings: Finding[] = [];
  const all = await heard(patient, '#', listenMs);
  if (all === null) findings.push({ level: 'note', id: 'hash-refused', text: `${who} may not subscribe to #.` });
  else if (all.length > 0) {
    const topics = [...new Set(all.map(({ topic }) => topic))];
    const [example] = topics;
    findings.push({
      level: 'warning',
      id: 'hash',
      text: `${who} can read everything by subscribing to #: ${all.length} messages of ${topics.length} topics came in ${listenMs / 1000} s, such as ${example}. Let clients read their own topics only.`,
    });
  } else {
    findings.push({
      level: isAnonymous ? 'warning' : 'note',
      id: 'hash-granted',
      text: `${who} may subscribe to #; nothing was published or retained in ${listenMs / 1000} s to see whether anything comes of it.`,
    });
  }
  const own = await heard(patient, '$SYS/#', listenMs);
  if (own !== null && own.length > 0) {
    findings.push({
      level: isAnonymous ? 'warning' : 'note',
      id: 'sys',
      text: `${who} can read $SYS/#, which tells of the broker and its load (${own.length} values, such as ${own[0]?.topic}): allow it to operators only.`,
    });
  }
  return findings;
}

/** What comes of a filter besides what the doctor itself publishes; null when it is refused. */
async function heard(patient: Patient, filter: string, listenMs: number): Promise<PublishPacket[] | null> {
  try {
    const probe = await openProbe({ ...patient, clientId: `${patient.clientId}-r` });
    try {
      if ((await probe.subscribe(filter, 0)) >= ReasonCode.UnspecifiedError) return null;
      await probe.message(() => false, listenMs);
      return probe.messages.filter(({ topic }) => !topic.startsWith(patient.topic));
    } finally {
      await probe.close();
    }
  } catch (error) {
    if (error instanceof CommandError) return null;
    throw error;
  }
}
