/**
 * What the packet identifiers in use stand for, in the order in which they were taken.
 *
 * An array, and not a Map: a Map that is filled and emptied all the time is made anew again and again, and once the old ones are
 * old enough for V8 they keep what was in the new ones alive.
 */

const packetIdMax = 0xffff;

export class Flights<Flight> {
  size = 0;
  /** By identifier; grows with the first turn through them all. */
  readonly #flights: (Flight | undefined)[] = [undefined];
  #lastId = 0;

  /** No identifier is free. */
  get isFull(): boolean {
    return this.size >= packetIdMax;
  }

  get(packetId: number): Flight | undefined {
    return this.#flights[packetId];
  }

  /** Takes the next identifier: not 0 and not in use [MQTT-2.2.1-4]. There must be one. */
  open(flight: Flight): number {
    do this.#lastId = (this.#lastId % packetIdMax) + 1;
    while (this.#flights[this.#lastId] !== undefined);
    this.#flights[this.#lastId] = flight;
    this.size++;
    return this.#lastId;
  }

  delete(packetId: number): void {
    if (this.#flights[packetId] === undefined) return;
    this.#flights[packetId] = undefined;
    this.size--;
  }

  /** All of them, those taken first first. */
  entries(): [packetId: number, flight: Flight][] {
    const all: [number, Flight][] = [];
    const { length } = this.#flights;
    for (let i = 1; i <= length; i++) {
      const packetId = (this.#lastId + i) % length;
      const flight = this.#flights[packetId];
      if (flight !== undefined) all.push([packetId, flight]);
    }
    return all;
  }
}
