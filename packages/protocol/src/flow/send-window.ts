/**
 * The sending half of QoS 1 and 2, and of a client's requests: which packet identifiers are in use towards a peer, in which
 * state, in which order.
 *
 * Identifiers are handed out in sequence, so those in use lie in a window [oldest, oldest + span) of consecutive ones. Their
 * states are bytes in a power-of-two ring indexed by the low bits of the identifier: no identifier is stored, the order for
 * redelivery is the order of the window, and 0 never occurs. An item (what to send again) may stand beside each state; the
 * ring of items exists only once one was given.
 *
 * Invariants: span ≤ 65,535; the state at both ends of the window is not Free; every other slot of the ring is Free.
 * A peer that never acknowledges the oldest one stops the window after 65,535 identifiers; nothing is ever skipped.
 */

export const FlightState = {
  Free: 0,
  /** QoS 1 PUBLISH sent, PUBACK awaited. */
  AwaitPuback: 1,
  /** QoS 2 PUBLISH sent, PUBREC awaited. */
  AwaitPubrec: 2,
  /** PUBREL sent, PUBCOMP awaited. */
  AwaitPubcomp: 3,
  /** SUBSCRIBE or UNSUBSCRIBE sent, its answer awaited: a client's requests take their identifiers from the same window. */
  AwaitAnswer: 4,
} as const;
export type FlightState = (typeof FlightState)[keyof typeof FlightState];

const idsMax = 65_535;
const firstSize = 16;

export class SendWindow<Item> {
  /** The oldest identifier in use, or the next to be given when none is. */
  private oldest = 1;
  /** Identifiers from the oldest to the newest in use, holes included. */
  private span = 0;
  private states: Uint8Array | null = null;
  private items: (Item | null)[] | null = null;
  /** Identifiers in use. */
  inUse = 0;

  /** No identifier can be given before the oldest one is given back. */
  get isFull(): boolean {
    return this.span >= idsMax;
  }

  /** Takes the next identifier: not 0 and not in use [MQTT-2.2.1-4]. The window must not be full. */
  open(state: FlightState, item: Item | null): number {
    if (this.states === null || this.span + 1 >= this.states.length) this.grow();
    const states = this.states as Uint8Array;
    const id = this.idAt(this.span);
    const index = id & (states.length - 1);
    states[index] = state;
    if (item !== null) {
      this.items ??= new Array<Item | null>(states.length).fill(null);
      this.items[index] = item;
    }
    this.span++;
    this.inUse++;
    return id;
  }

  /** The state of an identifier; Free when it is not in use. */
  stateOf(id: number): FlightState {
    if (!this.covers(id)) return FlightState.Free;
    const states = this.states as Uint8Array;
    return states[id & (states.length - 1)] as FlightState;
  }

  itemOf(id: number): Item | null {
    if (this.items === null || !this.covers(id)) return null;
    return this.items[id & (this.items.length - 1)] as Item | null;
  }

  /** Moves an identifier in use on; what is beside it is replaced. */
  advance(id: number, state: FlightState, item: Item | null): void {
    const states = this.states as Uint8Array;
    const index = id & (states.length - 1);
    states[index] = state;
    if (this.items !== null) this.items[index] = item;
    else if (item !== null) {
      this.items = new Array<Item | null>(states.length).fill(null);
      this.items[index] = item;
    }
  }

  /** Gives an identifier in use back. */
  close(id: number): void {
    const states = this.states as Uint8Array;
    const mask = states.length - 1;
    states[id & mask] = FlightState.Free;
    if (this.items !== null) this.items[id & mask] = null;
    this.inUse--;
    if (this.inUse === 0) {
      this.oldest = this.idAt(this.span);
      this.span = 0;
      return;
    }
    while (states[this.oldest & mask] === FlightState.Free) {
      this.oldest = this.oldest === idsMax ? 1 : this.oldest + 1;
      this.span--;
    }
    // The newest end needs no trimming: its identifiers are not given again before the window has passed them.
  }

  /** Takes a given identifier, as remembered from an earlier run. Call in the order in which they were sent. */
  restore(id: number, state: FlightState, item: Item | null): void {
    if (this.span === 0) this.oldest = id;
    const place = this.placeOf(id);
    while (this.states === null || place + 1 >= this.states.length) this.grow();
    this.span = Math.max(this.span, place + 1);
    this.inUse++;
    this.advance(id, state, item);
  }

  /** The identifier after which `open` goes on when nothing is in use: set on a window just made, so that ids go on rising. */
  startAt(id: number): void {
    if (this.inUse === 0) this.oldest = id;
  }

  /** The identifier in use that follows `id` in the order of sending (0: the first of all); 0 when there is none. */
  nextAfter(id: number): number {
    const place = id === 0 ? -1 : this.placeOf(id);
    // An identifier that has left the window lies before its start.
    for (let at = place < this.span ? place + 1 : 0; at < this.span; at++) {
      const next = this.idAt(at);
      if (this.stateOf(next) !== FlightState.Free) return next;
    }
    return 0;
  }

  private covers(id: number): boolean {
    return id !== 0 && this.placeOf(id) < this.span;
  }

  /** How far behind the oldest an identifier lies, or would lie. */
  private placeOf(id: number): number {
    return id >= this.oldest ? id - this.oldest : id + idsMax - this.oldest;
  }

  private idAt(place: number): number {
    const id = this.oldest + place;
    return id > idsMax ? id - idsMax : id;
  }

  private grow(): void {
    const old = this.states;
    const size = old === null ? firstSize : Math.min(old.length * 4, idsMax + 1);
    const states = new Uint8Array(size);
    const items = this.items === null ? null : new Array<Item | null>(size).fill(null);
    if (old !== null) {
      for (let place = 0; place < this.span; place++) {
        const id = this.idAt(place);
        states[id & (size - 1)] = old[id & (old.length - 1)] as number;
        if (items !== null)
          items[id & (size - 1)] = (this.items as (Item | null)[])[id & (old.length - 1)] as Item | null;
      }
    }
    this.states = states;
    this.items = items;
  }
}
