/** Options of a mosquitto.conf by name: of several lines for one the last counts, and what is no value of it is a problem. */

import { resolve } from 'node:path';
import type { MosquittoLine } from './mosquitto-lines.ts';

export class MosquittoValues {
  readonly #lines = new Map<string, MosquittoLine[]>();
  readonly #problems = new Set<string>();

  add(line: MosquittoLine): void {
    const known = this.#lines.get(line.name);
    if (known === undefined) this.#lines.set(line.name, [line]);
    else known.push(line);
  }

  has(name: string): boolean {
    return this.#lines.has(name);
  }

  get lines(): readonly MosquittoLine[] {
    return [...this.#lines.values()].flat();
  }

  /** What was found wrong when it was asked for, a sentence each. */
  get problems(): readonly string[] {
    return [...this.#problems];
  }

  placeOf(name: string): string | undefined {
    return this.#lines.get(name)?.at(-1)?.place;
  }

  /** All lines of it, in order. */
  texts(name: string): readonly string[] {
    return (this.#lines.get(name) ?? []).map(({ value }) => value);
  }

  text(name: string): string | undefined {
    return this.value(name, (value) => (value === '' ? undefined : value));
  }

  path(name: string, folder: string): string | undefined {
    const value = this.text(name);
    return value === undefined ? undefined : resolve(folder, value);
  }

  number(name: string): number | undefined {
    return this.value(name, numberOf);
  }

  flag(name: string): boolean | undefined {
    return this.value(name, flagOf);
  }

  /** `read` answers undefined to what is no value of it. */
  value<Value>(name: string, read: (value: string) => Value | undefined): Value | undefined {
    const line = this.#lines.get(name)?.at(-1);
    if (line === undefined) return undefined;
    const value = read(line.value);
    if (value === undefined) {
      const what = line.value === '' ? 'it has no value' : `${line.value} is no value of it`;
      this.#problems.add(`${line.place}: ${name}: ${what}`);
    }
    return value;
  }
}

export function numberOf(value: string): number | undefined {
  return /^-?\d+$/.test(value) ? Number(value) : undefined;
}

export function flagOf(value: string): boolean | undefined {
  if (value === 'true' || value === '1') return true;
  return value === 'false' || value === '0' ? false : undefined;
}
