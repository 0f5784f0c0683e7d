/**
 * Lists of a million entries, a page at a time: each request does a bounded piece of work, in steps between which everybody else is
 * served, and leaves its place behind.
 *
 * A cursor is a name for that place; it is good for one request and a minute. There is a bounded number of them: one more
 * takes the place of the one that waits longest.
 */

import { randomBytes } from 'node:crypto';

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Null: there is nothing more. A page may have fewer items than asked for, or none, and go on all the same. */
  readonly next: string | null;
}

/** Yields null for what was looked at and is not shown. */
export type Listing<Item> = Generator<Item | null, void, void>;

interface Place {
  /** What it is a list of: a cursor leads on in that only. */
  readonly of: string;
  readonly listing: Listing<unknown>;
  timer: NodeJS.Timeout;
}

const placesMax = 64;
const placeMs = 60_000;
/** Entries looked at for one page at most. */
const stepsMax = 10_000;
/** And at once: a fraction of what a turn may deliver. */
const stepsAtOnceMax = 500;

export class Cursors {
  readonly #places = new Map<string, Place>();

  /** The first page. */
  begin<Item>(of: string, listing: Listing<Item>, limit: number): Promise<Page<Item>> {
    return this.#page(of, listing, limit);
  }

  /** The page behind a cursor; null: it is not known any more, or leads on in another list. */
  resume<Item>(of: string, cursor: string, limit: number): Promise<Page<Item>> | null {
    const place = this.#places.get(cursor);
    if (place === undefined || place.of !== of) return null;
    this.#places.delete(cursor);
    clearTimeout(place.timer);
    return this.#page(of, place.listing as Listing<Item>, limit);
  }

  /** Lets go of all places. */
  close(): void {
    for (const cursor of this.#places.keys()) this.#drop(cursor);
  }

  get size(): number {
    return this.#places.size;
  }

  async #page<Item>(of: string, listing: Listing<Item>, limit: number): Promise<Page<Item>> {
    const items: Item[] = [];
    for (let steps = 0; steps < stepsMax && items.length < limit; steps++) {
      if (steps > 0 && steps % stepsAtOnceMax === 0) await new Promise((done) => setImmediate(done));
      const { value, done } = listing.next();
      if (done === true) return { items, next: null };
      if (value !== null) items.push(value);
    }
    return { items, next: this.#keep(of, listing) };
  }

  #keep(of: string, listing: Listing<unknown>): string {
    const [oldest] = this.#places.keys();
    if (this.#places.size >= placesMax && oldest !== undefined) this.#drop(oldest);
    const cursor = randomBytes(16).toString('base64url');
    const timer = setTimeout(() => this.#drop(cursor), placeMs).unref();
    this.#places.set(cursor, { of, listing, timer });
    return cursor;
  }

  #drop(cursor: string): void {
    const place = this.#places.get(cursor);
    this.#places.delete(cursor);
    clearTimeout(place?.timer);
    place?.listing.return();
  }
}
