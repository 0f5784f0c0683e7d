/**
 * Where the retained message of each topic stands: a map of topics to numbers, and the rest in typed arrays.
 *
 * Until the broker has taken over what was read at the start it knows, too, what the broker needs of each message: its id, its
 * cost, when it expires and who set it.
 */

import { Rows, type StoredState, TextMap } from '../core/index.ts';
import type { Place } from './catalog.ts';
import type { RetainedFacts } from './record.ts';

export interface RetainedPlace extends Place {
  /** The message the record names; 0: it holds it. */
  readonly messageId: number;
}

interface Restored {
  readonly ids: number[];
  readonly costs: number[];
  readonly expiries: number[];
  readonly principals: (string | null)[];
  readonly names: Map<string, string>;
}

const segment = 0;
const offset = 1;
const length = 2;
const columns = 3;
const messageId = 0;
const wideColumns = 1;

export class RetainedPlaces {
  /** Topics are named by peers, and may be long. */
  private readonly topics = new TextMap<number>();
  private readonly rows = new Rows(columns, wideColumns);
  /** By row. */
  private restored: Restored | null = {
    ids: [],
    costs: [],
    expiries: [],
    principals: [],
    // One text for all that a principal has set.
    names: new Map(),
  };

  get count(): number {
    return this.topics.size;
  }

  get(topic: string): RetainedPlace | null {
    const row = this.topics.get(topic);
    return row === undefined ? null : this.at(row);
  }

  /** What was there before. */
  set(facts: RetainedFacts, place: Place): RetainedPlace | null {
    const known = this.topics.get(facts.topic);
    const old = known === undefined ? null : this.at(known);
    const row = known ?? this.rows.take();
    if (known === undefined) this.topics.set(facts.topic, row);
    this.rows.set(row, segment, place.segment);
    this.rows.set(row, offset, place.offset);
    this.rows.set(row, length, place.length);
    this.rows.setWide(row, messageId, facts.messageId);
    if (this.restored === null) return old;
    this.restored.ids[row] = facts.id;
    this.restored.costs[row] = facts.cost;
    this.restored.expiries[row] = facts.expiresAtClock;
    this.restored.principals[row] = nameIn(this.restored.names, facts.principal);
    return old;
  }

  delete(topic: string): void {
    const row = this.topics.get(topic);
    if (row === undefined) return;
    this.topics.delete(topic);
    this.rows.give(row);
  }

  /** Topics may be set and deleted meanwhile. */
  *[Symbol.iterator](): Generator<readonly [topic: string, place: RetainedPlace]> {
    for (const [topic, row] of this.topics) yield [topic, this.at(row)];
  }

  /** As the broker restores them; only until `takenOver`. */
  *restorable(): StoredState['retained'] extends Iterable<infer One> ? Generator<One> : never {
    const { restored } = this;
    if (restored === null) throw new Error('what was retained at the start was taken over already');
    for (const [topic, row] of this.topics) {
      const { ids, costs, expiries, principals } = restored;
      yield {
        topic,
        id: ids[row] as number,
        cost: costs[row] as number,
        expiresAtClock: expiries[row] as number,
        principal: principals[row] ?? null,
      };
    }
  }

  /** Who set what is retained for this topic; only until `takenOver`. */
  principalOf(topic: string): string | null {
    return this.restored?.principals[this.topics.get(topic) ?? -1] ?? null;
  }

  takenOver(): void {
    this.restored = null;
  }

  private at(row: number): RetainedPlace {
    return {
      segment: this.rows.get(row, segment),
      // Above two gibibytes they do not fit the sign.
      offset: this.rows.get(row, offset) >>> 0,
      length: this.rows.get(row, length) >>> 0,
      messageId: this.rows.wide(row, messageId),
    };
  }
}

function nameIn(names: Map<string, string>, name: string | null): string | null {
  if (name === null) return null;
  const known = names.get(name);
  if (known === undefined) names.set(name, name);
  return known ?? name;
}
