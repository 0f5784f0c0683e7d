/**
 * What each principal has of the broker, so that one of them never takes all of it: connections, and retained messages that it
 * set last. Who is nobody in particular is told apart from nobody, and not counted.
 *
 * Entries of retained messages name their principal by its number. One that has nothing is forgotten, and its number given again.
 */

export interface Holdings {
  readonly name: string;
  readonly number: number;
  connections: number;
  retainedMessages: number;
  retainedBytes: number;
}

export const nobody = -1;

export class Principals {
  private readonly byName = new Map<string, Holdings>();
  private readonly byNumber: (Holdings | null)[] = [];
  private readonly free: number[] = [];

  get size(): number {
    return this.byName.size;
  }

  /** What a principal has; undefined: nothing. */
  find(name: string | null): Holdings | undefined {
    return name === null ? undefined : this.byName.get(name);
  }

  connected(name: string | null): void {
    if (name !== null) this.holdings(name).connections++;
  }

  left(name: string | null): void {
    const holdings = this.find(name);
    if (holdings === undefined) return;
    holdings.connections--;
    this.forgetEmpty(holdings);
  }

  /** It has set a retained message that costs so much. Its number. */
  retains(name: string | null, bytes: number): number {
    if (name === null) return nobody;
    const holdings = this.holdings(name);
    holdings.retainedMessages++;
    holdings.retainedBytes += bytes;
    return holdings.number;
  }

  /** That message is gone, or somebody else's now. */
  released(number: number, bytes: number): void {
    const holdings = number === nobody ? null : (this.byNumber[number] as Holdings | null);
    if (holdings === null) return;
    holdings.retainedMessages--;
    holdings.retainedBytes -= bytes;
    this.forgetEmpty(holdings);
  }

  [Symbol.iterator](): IterableIterator<Holdings> {
    return this.byName.values();
  }

  private holdings(name: string): Holdings {
    const known = this.byName.get(name);
    if (known !== undefined) return known;
    const number = this.free.pop() ?? this.byNumber.length;
    const holdings = { name, number, connections: 0, retainedMessages: 0, retainedBytes: 0 };
    this.byName.set(name, holdings);
    this.byNumber[number] = holdings;
    return holdings;
  }

  private forgetEmpty(holdings: Holdings): void {
    if (holdings.connections > 0 || holdings.retainedMessages > 0) return;
    this.byName.delete(holdings.name);
    this.byNumber[holdings.number] = null;
    this.free.push(holdings.number);
  }
}
