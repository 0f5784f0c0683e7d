/** The URL of `-L`: `mqtt[s]://[user[:password]@]host[:port][/topic]`, or that of a WebSocket. */

import { InvalidArgumentError } from 'commander';
import { wholeNumber } from './whole-number.ts';

/** Its parts; the topic is '' for a WebSocket, where the path is the path. */
export interface BrokerUrl {
  readonly scheme: 'mqtt' | 'mqtts' | 'ws' | 'wss';
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly host: string;
  readonly port: number | undefined;
  readonly topic: string;
  readonly href: string;
}

// Not the URL class: in a topic, `#` and `?` mean something else.
const urlForm = /^(mqtts?|wss?):\/\/(?:([^:@/]*)(?::([^@/]*))?@)?(\[[^\]]+\]|[^:/[\]]+)(?::(\d{1,5}))?(?:\/(.*))?$/s;

/** Parser of the option. Throws an InvalidArgumentError. */
export function parseBrokerUrl(href: string): BrokerUrl {
  const match = urlForm.exec(href);
  if (match === null) throw new InvalidArgumentError('It has to look like mqtt://user:password@host:port/topic.');
  const [, scheme, username, password, host = '', port, path = ''] = match;
  const isWebSocket = scheme === 'ws' || scheme === 'wss';
  return {
    scheme: scheme as BrokerUrl['scheme'],
    username: decoded(username),
    password: decoded(password),
    host: host.replace(/^\[|\]$/g, ''),
    port: port === undefined ? undefined : wholeNumber(1, 65_535)(port),
    topic: isWebSocket ? '' : path,
    href: `${scheme}://${host}${port === undefined ? '' : `:${port}`}/${path === '' ? 'mqtt' : path}`,
  };
}

function decoded(text: string | undefined): string | undefined {
  try {
    return text === undefined ? undefined : decodeURIComponent(text);
  } catch {
    throw new InvalidArgumentError('A % in the user name or password has to be written %25.');
  }
}
