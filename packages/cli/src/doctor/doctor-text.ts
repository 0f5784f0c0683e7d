/** The report of `pipit doctor` for people. */

import type {
  AnnouncedLimits,
  Answer,
  Capabilities,
  DoctorReport,
  Finding,
  RoundTrips,
  TlsFacts,
} from './doctor-report.ts';

type Row = readonly [name: string, text: string];

const nameWidth = 26;
const levelWidth = 9;
/** The order of the standard's bounds: what holds where nothing is announced. */
const receiveMaximumDefault = 65_535;
const keepAliveMax = 65_535;

export function reportLines(report: DoctorReport): string[] {
  const { broker, version, capabilities, limits, connectMs, roundTripMs, tls, findings } = report;
  const rows: Row[] = [
    ['versions', versionsText(report)],
    ...(capabilities === null ? [] : capabilityRows(capabilities)),
    ...(limits === null ? [] : limitRows(limits)),
    ...(connectMs === null
      ? []
      : ([['connecting', `${ms(connectMs.dial)}, then CONNECT ${ms(connectMs.connack)}`]] as const)),
    ...(roundTripMs === null ? [] : ([['round trips', roundTripText(roundTripMs)]] as const)),
    ...(tls === null ? [] : tlsRows(tls)),
  ];
  return [
    `${broker}${version === null ? '' : `, looked at with MQTT ${version}`}`,
    '',
    ...rows.map(([name, text]) => `${name.padEnd(nameWidth)}${text}`),
    '',
    ...findingLines(findings),
  ];
}

function versionsText({ versions }: DoctorReport): string {
  const unasked = Object.values(versions).find(({ is }) => is === 'unknown');
  if (unasked !== undefined) return answerText(unasked);
  const spoken = Object.entries(versions).flatMap(([name, { is }]) => (is === 'yes' ? [name] : []));
  const others = Object.entries(versions).flatMap(([name, { is, why }]) => (is === 'yes' ? [] : [`${name}: ${why}`]));
  const rest = others.length === 0 ? '' : `${spoken.length === 0 ? '' : '; '}not ${others.join(', not ')}`;
  return `${spoken.join(', ')}${rest}`;
}

function capabilityRows({ qos, retained, wildcards, shared, subscriptionIdentifiers, sessions }: Capabilities): Row[] {
  return [
    ['QoS', qos.length === 0 ? 'none: no message came back' : qos.join(', ')],
    ['retained messages', answerText(retained)],
    ['wildcards', answerText(wildcards)],
    ['shared subscriptions', answerText(shared)],
    ['subscription identifiers', answerText(subscriptionIdentifiers)],
    ['sessions that are kept', answerText(sessions)],
  ];
}

function answerText({ is, why }: Answer): string {
  return why === undefined ? is : `${is}: ${why}`;
}

function limitRows(limits: AnnouncedLimits): Row[] {
  const { receiveMaximum, maximumPacketSize, topicAliasMaximum, serverKeepAlive, sessionExpiryInterval } = limits;
  const keepAlive =
    serverKeepAlive === null ? `as asked, up to ${number(keepAliveMax)} s` : `${number(serverKeepAlive)} s`;
  return [
    ['messages under way', `${number(receiveMaximum ?? receiveMaximumDefault)} of QoS 1 and 2 (receive maximum)`],
    ['packets', maximumPacketSize === null ? 'of any size' : `of ${number(maximumPacketSize)} bytes at most`],
    ['topic aliases', number(topicAliasMaximum ?? 0)],
    ['keep alive', keepAlive],
    [
      'session expiry',
      sessionExpiryInterval === null ? 'as asked, for ever too' : `${number(sessionExpiryInterval)} s at most`,
    ],
  ];
}

function roundTripText({ qos0, qos1, qos2 }: NonNullable<DoctorReport['roundTripMs']>): string {
  const one = (name: string, trips: RoundTrips | null): string =>
    trips === null ? `${name} –` : `${name} ${ms(trips.p50)} (max ${ms(trips.max)})`;
  return [one('QoS 0', qos0), one('QoS 1', qos1), one('QoS 2', qos2)].join(', ');
}

function tlsRows({ protocol, cipher, chain, problem }: TlsFacts): Row[] {
  const rows: Row[] = [['TLS', `${protocol}, ${cipher}`]];
  chain.forEach(({ subject, issuer, names, validTo, daysLeft, bits }, i) => {
    const left =
      daysLeft < 0 ? `expired ${-daysLeft} days ago` : `${number(daysLeft)} days left (${validTo.slice(0, 10)})`;
    const key = bits === null ? '' : `, RSA of ${bits} bits`;
    if (i === 0) rows.push(['certificate', `${subject}, for ${names === '' ? 'no host' : names}; ${left}${key}`]);
    rows.push([i === 0 ? '' : 'signed by', i === 0 ? `issued by ${issuer}` : `${subject}; ${left}${key}`]);
  });
  return [...rows, ['', problem === null ? 'it is good, and for this host' : `it is not good: ${problem}`]];
}

function findingLines(findings: readonly Finding[]): string[] {
  if (findings.length === 0) return ['Nothing to act on.'];
  const order = ['problem', 'warning', 'note'];
  const sorted = findings.toSorted((a, b) => order.indexOf(a.level) - order.indexOf(b.level));
  return sorted.map(({ level, text }) => `${level.padEnd(levelWidth)}${text}`);
}

function number(value: number): string {
  return value.toLocaleString('en');
}

function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 1)} ms`;
}
