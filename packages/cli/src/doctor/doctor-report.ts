/** What `pipit doctor` found out about a broker. */

export type VersionName = '3.1' | '3.1.1' | '5.0';

/** `yes`, `no`, or why that could not be found out. */
export type Answer = { readonly is: 'yes' | 'no' | 'unknown'; readonly why?: string };

export interface RoundTrips {
  readonly count: number;
  readonly p50: number;
  readonly max: number;
}

export interface CertificateFacts {
  readonly subject: string;
  readonly issuer: string;
  /** Whom it is for, as the certificate writes it. */
  readonly names: string;
  readonly validFrom: string;
  readonly validTo: string;
  /** Whole days; negative: expired. */
  readonly daysLeft: number;
  /** Of an RSA key; null: another kind. */
  readonly bits: number | null;
}

export interface TlsFacts {
  readonly protocol: string;
  readonly cipher: string;
  /** The certificate of the broker, then those that signed it, as it sent them. */
  readonly chain: readonly CertificateFacts[];
  /** Null: the certificate is good, and for this host. */
  readonly problem: string | null;
}

/**
 * - `problem`: somebody can do harm, or clients cannot connect.
 * - `warning`: that is seldom meant.
 * - `note`: good to know.
 */
export interface Finding {
  readonly level: 'problem' | 'warning' | 'note';
  /** Stable, for programs. */
  readonly id: string;
  readonly text: string;
}

/** What is announced in CONNACK (5.0); null: not announced, so the standard's own bound holds. */
export interface AnnouncedLimits {
  readonly receiveMaximum: number | null;
  readonly maximumPacketSize: number | null;
  readonly topicAliasMaximum: number | null;
  /** Seconds that the broker says instead of the 65,535 it was asked for. */
  readonly serverKeepAlive: number | null;
  /** Seconds that the broker says instead of "for ever". */
  readonly sessionExpiryInterval: number | null;
}

export interface Capabilities {
  /** Those that a message came through with. */
  readonly qos: readonly number[];
  readonly retained: Answer;
  readonly wildcards: Answer;
  readonly shared: Answer;
  readonly subscriptionIdentifiers: Answer;
  /** A session outlives its connection. */
  readonly sessions: Answer;
}

export interface DoctorReport {
  readonly broker: string;
  readonly versions: Readonly<Record<VersionName, Answer>>;
  /** The version that the rest was found out with; null: none. */
  readonly version: VersionName | null;
  readonly connectMs: { readonly dial: number; readonly connack: number } | null;
  readonly capabilities: Capabilities | null;
  readonly limits: AnnouncedLimits | null;
  /** Milliseconds: QoS 0 to the delivery to oneself, QoS 1 and 2 to the acknowledgement. */
  readonly roundTripMs: Readonly<Record<'qos0' | 'qos1' | 'qos2', RoundTrips | null>> | null;
  readonly tls: TlsFacts | null;
  readonly findings: readonly Finding[];
}
