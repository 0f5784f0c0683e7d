/** A broker with its HTTP API for the length of a test, and asking it over HTTP. */

import {
  type Admin,
  type AdminOptions,
  type Broker,
  type BrokerOptions,
  createBroker,
  openAdmin,
} from '../../src/index.ts';
import { MqttPeer } from '../node/mqtt-peer.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects of it.
  readonly json: any;
}

export class Api {
  readonly admin: Admin;
  readonly broker: Broker;
  readonly #tokens: ReadonlyMap<string, string>;

  constructor(admin: Admin, broker: Broker) {
    this.admin = admin;
    this.broker = broker;
    this.#tokens = new Map(admin.newTokens.map(({ right, token }) => [right, token]));
  }

  token(right: 'read' | 'write'): string {
    return this.#tokens.get(right) ?? '';
  }

  /** `path` begins with /; `token` null: without one. */
  async ask(method: string, path: string, body?: unknown, token: string | null = this.token('write')): Promise<Answer> {
    const headers = {
      ...(token !== null && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
    };
    const response = await fetch(this.admin.url + path, {
      method,
      headers,
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = /json/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : null };
  }

  get(path: string): Promise<Answer> {
    return this.ask('GET', path);
  }

  /** Every item of a list, page by page. */
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  async all(path: string, limit = 100): Promise<any[]> {
    const items: unknown[] = [];
    const sign = path.includes('?') ? '&' : '?';
    let cursor = '';
    for (;;) {
      const { status, json } = await this.get(`${path}${sign}limit=${limit}${cursor}`);
      if (status !== 200) throw new Error(`${path}: ${status}`);
      items.push(...json.items);
      if (json.next === null) return items;
      cursor = `&cursor=${json.next}`;
    }
  }

  /** A client that was let in. */
  async client(clientId: string): Promise<MqttPeer> {
    const peer = new MqttPeer(this.broker.connect());
    const connack = await peer.connect(clientId);
    if (connack === 'end') throw new Error('no CONNACK');
    return peer;
  }
}

export async function withApi(
  body: (api: Api) => Promise<void>,
  options: BrokerOptions = {},
  settings: Partial<AdminOptions> = {},
): Promise<void> {
  const broker = createBroker({ sysIntervalMs: null, ...options });
  await broker.start();
  try {
    const admin = await openAdmin(broker, { port: 0, tokensFile: null, version: '1.2.3', ...settings });
    try {
      await body(new Api(admin, broker));
    } finally {
      await admin.close();
    }
  } finally {
    await broker.stop();
  }
}
