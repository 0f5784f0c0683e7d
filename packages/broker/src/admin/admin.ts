/**
 * The HTTP API of a broker: opening it, and what it is made from. What serves it is loaded here, and only here: a broker
 * without it never reads that code.
 */

import type { Broker } from '../node/broker.ts';
import { secureContextOptions, type TlsOptions } from '../node/tls-options.ts';
import { type NewToken, Tokens } from './tokens.ts';

/** What the levels of a log are read and changed by. */
export interface LogLevels {
  /** By area. */
  read(): Readonly<Record<string, string>>;
  /** `all` is for every area that is not named. Throws a RangeError for an area or a level that does not exist; then nothing has changed. */
  change(levels: Readonly<Record<string, string>>): void;
}

export interface AdminOptions {
  /** Default `127.0.0.1`. */
  readonly host?: string;
  /** 0: any free one. */
  readonly port: number;
  /** Serve HTTPS. */
  readonly tls?: TlsOptions;
  /** Where hashes of tokens are kept; null: nowhere, and there are new ones at each start. */
  readonly tokensFile: string | null;
  readonly version?: string;
  /** The configuration in effect, without secrets. */
  readonly configuration?: () => unknown;
  /** Reads the configuration again and applies it; absent: there is nothing to read. */
  readonly reload?: () => Promise<unknown>;
  readonly logLevels?: LogLevels;
}

export interface Admin {
  /** `http://127.0.0.1:8084` */
  readonly url: string;
  /** What was made now: to be shown once, since it is kept nowhere. */
  readonly newTokens: readonly NewToken[];
  /** Reads tokens and certificate again, for what it resolves to to use them. Rejects with a TokenFileError or a ListenError. */
  prepareReload(tls: TlsOptions | undefined): Promise<() => void>;
  close(): Promise<void>;
}

/** Rejects with a ListenError, or a TokenFileError: then nothing is open. */
export async function openAdmin(broker: Broker, options: AdminOptions): Promise<Admin> {
  const tokens = new Tokens(options.tokensFile);
  const newTokens = await tokens.load();
  const { openServer } = await import('./server.ts');
  const { url, close, certify } = await openServer(broker, options, tokens);
  const prepareReload = async (tls: TlsOptions | undefined): Promise<() => void> => {
    const context = tls === undefined ? null : secureContextOptions(tls);
    const takeTokens = await tokens.read();
    return () => {
      takeTokens();
      if (context !== null) certify(context);
    };
  };
  return { url, newTokens, close, prepareReload };
}
