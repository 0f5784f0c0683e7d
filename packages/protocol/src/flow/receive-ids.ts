/**
 * The receiving half of QoS 2: packet identifiers whose PUBLISH arrived and whose PUBREL has not.
 *
 * A ring of identifiers by their low bits that grows when two collide: 32 bytes for a peer that sends in sequence, at most
 * 128 kB for one that holds all 65,535 open.
 */

const firstSize = 16;

export class ReceiveIds {
  private ids = new Uint16Array(firstSize);
  /** Identifiers held. */
  count = 0;

  has(id: number): boolean {
    return this.ids[id & (this.ids.length - 1)] === id;
  }

  /** False when the identifier (1 to 65,535) was there already. */
  add(id: number): boolean {
    let index = id & (this.ids.length - 1);
    while (this.ids[index] !== 0) {
      if (this.ids[index] === id) return false;
      this.grow();
      index = id & (this.ids.length - 1);
    }
    this.ids[index] = id;
    this.count++;
    return true;
  }

  /** False when the identifier was not there. */
  delete(id: number): boolean {
    const index = id & (this.ids.length - 1);
    if (id === 0 || this.ids[index] !== id) return false;
    this.ids[index] = 0;
    this.count--;
    return true;
  }

  values(): number[] {
    return Array.from(this.ids).filter((id) => id !== 0);
  }

  /** What does not collide does not in a larger ring, and in one of 65,536 nothing does. */
  private grow(): void {
    const ids = new Uint16Array(this.ids.length * 2);
    for (const id of this.ids) if (id !== 0) ids[id & (ids.length - 1)] = id;
    this.ids = ids;
  }
}
