/** Rare branches by name. A run over many seeds that does not reach every one of them proves less than it seems to. */

export const markNames = [
  'packet id wrapped',
  'alias table full',
  'alias used',
  'queue overflow',
  'oldest displaced from a queue',
  'publish refused for a full queue',
  'message expired in a queue',
  'message larger than the peer takes',
  'QoS 0 dropped for a slow reader',
  'slow reader disconnected',
  'takeover in mid-QoS 2',
  'QoS 2 resent after its PUBREC was lost',
  'resume with a PUBREL to send again',
  'budget spent in mid-chunk',
  'connection paused',
  'deliveries kept in a burst',
  'will cancelled by a resume',
  'will delay crossing a resume',
  'will published after its delay',
  'will published by the end of its session',
  'retained replay cut by a disconnect',
  'retained replay superseded',
  'ack held across a failed commit',
  'publish refused while the disk fails',
  'held too long for the disk',
  'queue paged in from the store',
  'page failed',
  'retained message read from the store',
  'fetch failed',
  'power lost in mid-commit',
  'power lost with acks held',
  'power lost with a will pending',
  'graceful restart',
  'wall clock set',
  'restart after the wall clock was set',
  'session expired',
  'session ended with messages waiting',
  'a lasting session resumed for the last time',
  'shared message moved before it was sent',
  'shared message moved after it was sent',
  'estate with something nobody took',
  'subscription revoked',
  'queued message dropped for a lost right',
  'stranger refused',
  'keep alive timeout',
  'packet split by the network',
  'cut in mid-packet',
] as const;

/** Those that only a run on the log reaches. */
export const logMarkNames = [
  'power lost while the log was read',
  'batch under way found on the disk',
  'batch that failed found on the disk',
  'disk full',
  'disk stalled',
  'disk fails',
  'bytes of the log damaged',
  'start on a damaged log',
] as const;
export type MarkName = (typeof markNames | typeof logMarkNames)[number];

export class Marks {
  readonly counts = new Map<MarkName, number>();

  add(name: MarkName): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }

  /** Adds those of another run. */
  include(other: Marks): void {
    for (const [name, count] of other.counts) this.counts.set(name, (this.counts.get(name) ?? 0) + count);
  }

  /** Those of `names` that were never reached. */
  missing(names: readonly MarkName[]): readonly MarkName[] {
    return names.filter((name) => !this.counts.has(name));
  }
}
