/** Latencies counted in buckets: 64 to each power of two of microseconds, so that a quantile is at most 1.6 % off. */

const bucketsPerOctave = 64;
const octaves = 30;

export class Histogram {
  readonly #counts = new Float64Array((octaves + 1) * bucketsPerOctave);
  #count = 0;
  #max = 0;

  get count(): number {
    return this.#count;
  }

  /** The greatest value, exactly. */
  get max(): number {
    return this.#max;
  }

  /** Counts one value, `us` microseconds; what is below 0 counts as 0. */
  add(us: number): void {
    if (us > this.#max) this.#max = us;
    const index = bucketOf(us > 0 ? us : 0);
    this.#counts[index] = (this.#counts[index] as number) + 1;
    this.#count++;
  }

  /** The lower edge of the bucket that holds the value of this rank: `quantile` 0.5 is the median. 0 when nothing was counted. */
  at(quantile: number): number {
    const rank = Math.min(Math.floor(quantile * this.#count), this.#count - 1);
    let seen = 0;
    for (let index = 0; index < this.#counts.length; index++) {
      seen += this.#counts[index] as number;
      if (seen > rank) return edgeOf(index);
    }
    return 0;
  }
}

/** Below 64 µs every microsecond has a bucket; above, each octave is cut into 64. */
function bucketOf(us: number): number {
  const whole = Math.floor(us);
  if (whole < bucketsPerOctave) return whole;
  const octave = Math.min(octaves, 31 - Math.clz32(Math.min(whole, 0x7fff_ffff)) - 5);
  return octave * bucketsPerOctave + Math.min(bucketsPerOctave - 1, (whole >>> (octave - 1)) - bucketsPerOctave);
}

function edgeOf(index: number): number {
  const octave = Math.floor(index / bucketsPerOctave);
  if (octave === 0) return index;
  return ((index % bucketsPerOctave) + bucketsPerOctave) * 2 ** (octave - 1);
}
