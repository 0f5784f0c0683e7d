/** Whether a figure that was read now and then while something ran for long has stayed flat. */

/** Of the readings, how many come before what is compared: code is compiled, tables and pools reach their sizes. */
const warmUpShare = 1 / 4;
export const readingsMin = 8;

export interface Allowance {
  /** How much the second half may be above the first, as a share of it, and in the unit of the figure: the greater counts. */
  readonly share: number;
  readonly absolute: number;
}

export interface Flatness {
  /** The highest reading in the half after the warm-up, and in the half after that. Tables that are emptied when they are full make teeth. */
  readonly before: number;
  readonly after: number;
  readonly isFlat: boolean;
}

/** Throws for fewer than `readingsMin` readings: nothing can be said of them. */
export function flatness(readings: readonly number[], { share, absolute }: Allowance): Flatness {
  if (readings.length < readingsMin) throw new RangeError(`${readings.length} readings are too few`);
  const warm = readings.slice(Math.ceil(readings.length * warmUpShare));
  const middle = Math.floor(warm.length / 2);
  const before = Math.max(...warm.slice(0, middle));
  const after = Math.max(...warm.slice(middle));
  return { before, after, isFlat: after - before <= Math.max(before * share, absolute) };
}
