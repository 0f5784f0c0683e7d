/** Level names ↔ numbers, counted, so that a name goes when its last use goes. For trees of topics and of filters. */

import { decodeUtf8, encodeUtf8 } from '@pipit/protocol';
import { Rows } from './rows.ts';
import { TextMap } from './text-map.ts';

export const plus = 0;
export const hash = 1;

/** From here on a piece of a text is a view of the whole text in V8, and keeps all of it. */
const viewedFrom = 13;

const useCount = 0;
const levelHead = 1;

export class Levels {
  private readonly numbers: TextMap<number>;
  private readonly names: string[] = [];
  private readonly rows = new Rows(2);

  /** `seed`: see TextMap. */
  constructor(seed: number) {
    this.numbers = new TextMap(seed);
    this.use('+');
    this.use('#');
  }

  /** Names in use. */
  get count(): number {
    return this.numbers.size;
  }

  /** The number of a level name that is in use, or -1. */
  find(name: string): number {
    return this.numbers.get(name) ?? -1;
  }

  name(level: number): string {
    return this.names[level] as string;
  }

  uses(level: number): number {
    return this.rows.get(level, useCount);
  }

  /** A number for the user of a name to keep beside it; -1 at first. */
  head(level: number): number {
    return this.rows.get(level, levelHead);
  }

  setHead(level: number, head: number): void {
    this.rows.set(level, levelHead, head);
  }

  use(name: string): number {
    let level = this.numbers.get(name);
    if (level === undefined) {
      level = this.rows.take();
      const own = name.length < viewedFrom ? name : copyOf(name);
      this.numbers.set(own, level);
      this.names[level] = own;
      this.rows.set(level, useCount, 0);
      this.rows.set(level, levelHead, -1);
    }
    this.rows.set(level, useCount, this.uses(level) + 1);
    return level;
  }

  unuse(level: number): void {
    const left = this.uses(level) - 1;
    this.rows.set(level, useCount, left);
    if (left > 0) return;
    this.numbers.delete(this.name(level));
    this.names[level] = '';
    this.rows.give(level);
    if (this.names.length > this.rows.used) this.names.length = this.rows.used;
  }
}

function copyOf(name: string): string {
  const bytes = encodeUtf8(name);
  return decodeUtf8(bytes, 0, bytes.length);
}
