/**
 * The port between the client and a byte stream to a server, whatever carries it. Transports are passed in, by the scheme of
 * their URLs; none is registered anywhere. A link knows no MQTT. Every transport passes `test/transports.suite.ts`.
 */

/** Whom a link tells. Calls never come from within a method of the link, nor from within `open`. */
export interface LinkOwner {
  /** It can be written to. Once, first. */
  opened(): void;
  /** The bytes are the owner's while the call lasts. Not a Buffer. */
  received(bytes: Uint8Array): void;
  /** Fewer bytes are unsent than before. */
  written(): void;
  /** It is over, or never came to be; `why` in a sentence. Once, last. */
  closed(why: string): void;
}

export interface Link {
  /** Bytes written that the system has not taken. */
  readonly unsentBytes: number;
  /** Takes bytes; true when they are of no more use to it and may be overwritten. */
  write(bytes: Uint8Array): boolean;
  /** Reads nothing until `resume`. Does nothing where the platform cannot do that. */
  pause(): void;
  resume(): void;
  /** Closes once all that was written has left, within a time; then `closed`. */
  close(): void;
  /** Closes at once; `closed` follows. */
  destroy(): void;
}

export interface Transport {
  /** Begins to connect to what the URL says. Throws for a URL it can make nothing of. */
  open(url: URL, owner: LinkOwner): Link;
}

/** By scheme, without the colon: `mqtt`, `mqtts`, `ws`, `wss`, `unix`. */
export type Transports = Readonly<Record<string, Transport>>;
