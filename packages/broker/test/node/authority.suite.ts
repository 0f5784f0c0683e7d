/** What every authority has to do, whatever it asks for. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeUtf8, type Packet, PacketType, ReasonCode } from '@pipit/protocol';
import fc from 'fast-check';
import { Access } from '../../src/auth/access.ts';
import { BackOff } from '../../src/auth/back-off.ts';
import { chain, type Judge, type JudgeAnswer } from '../../src/auth/chain.ts';
import type { Identification } from '../../src/auth/permitting.ts';
import type { AuthenticationRequest } from '../../src/core/index.ts';
import { type Broker, createBroker } from '../../src/index.ts';
import { connectRequest } from './connect-request.ts';
import { MqttPeer } from './mqtt-peer.ts';
import { nextEvent } from './running-broker.ts';

/** What somebody shows. */
export interface Login {
  readonly request: Partial<AuthenticationRequest>;
  /** The next step of an exchange. */
  readonly answer?: (challenge: string) => string;
}

export interface Candidate {
  readonly judge: Judge;
  /** Who is let in, as whom. */
  readonly good: Login;
  readonly principal: string | null;
  /** Who is known and shows what is wrong; null: nothing can be wrong. */
  readonly bad: Login | null;
  /** Whom it does not know. */
  readonly unknown: Login;
  /** Whether what is shown can be said in a CONNECT alone, whatever the transport. */
  readonly isInConnect: boolean;
  readonly dispose?: () => Promise<void>;
}

const blank = connectRequest();

/** Goes through the exchange to its end. */
async function ask(judge: Judge, { request, answer }: Login, from = blank): Promise<JudgeAnswer> {
  let asked = { ...from, ...request };
  for (let steps = 0; steps < 5; steps++) {
    const said = await judge.authenticate(asked);
    if (said.outcome !== 'continue') return said;
    const data = encodeUtf8(answer?.(Buffer.from(said.data ?? []).toString()) ?? '');
    asked = { ...asked, kind: 'continue', memory: said.memory ?? null, data };
  }
  throw new Error('the exchange does not end');
}

function assertIn(answer: JudgeAnswer, principal: string | null): void {
  assert.equal(answer.outcome === 'accept' ? answer.principal : answer.outcome, principal);
}

function assertRefused(answer: JudgeAnswer, ...codes: number[]): void {
  assert.ok(answer.outcome === 'refuse', `${answer.outcome}, not refused`);
  const expected = codes.length > 0 ? codes : [ReasonCode.BadUserNameOrPassword, ReasonCode.NotAuthorized];
  assert.ok(expected.includes(answer.reasonCode), `code ${answer.reasonCode}`);
}

type Body = (candidate: Candidate) => Promise<void>;

export function authoritySuite(name: string, make: () => Promise<Candidate>): void {
  const each = (title: string, body: Body): void => {
    test(`${name}: ${title}`, { timeout: 10_000 }, async () => {
      const candidate = await make();
      try {
        await body(candidate);
      } finally {
        await candidate.dispose?.();
      }
    });
  };
  verdicts(each);
  company(each);
  inTheBroker(each);
}

type Each = (title: string, body: Body) => void;

function verdicts(each: Each): void {
  each('lets in who it knows, refuses what is wrong, and passes on whom it does not know', async (candidate) => {
    const { judge, good, bad, unknown, principal } = candidate;
    for (let i = 0; i < 2; i++) {
      assertIn(await ask(judge, good), principal);
      if (bad !== null) assertRefused(await ask(judge, bad));
      assert.equal((await ask(judge, unknown)).outcome, 'pass');
    }
  });

  each('answers each of many at once for itself', async ({ judge, good, bad, unknown, principal }) => {
    const logins = Array.from({ length: 12 }, (_, i) => [good, bad ?? good, unknown][i % 3] as Login);
    const answers = await Promise.all(logins.map((login) => ask(judge, login)));
    for (const [i, answer] of answers.entries()) {
      if (logins[i] === good) assertIn(answer, principal);
      else if (logins[i] === bad) assertRefused(answer);
      else assert.equal(answer.outcome, 'pass');
    }
  });

  each('does not throw, and lets nobody in, whatever is shown', async ({ judge, good }) => {
    const bytes = fc.option(fc.uint8Array({ maxLength: 40 }));
    const text = fc.option(fc.string({ maxLength: 20 }));
    const method = fc.option(fc.constantFrom('SCRAM-SHA-256', 'JWT', 'GS2', ''));
    const shown = fc.record({ username: text, password: bytes, method, data: bytes });
    const isGood = good.request.username ?? null;
    await fc.assert(
      fc.asyncProperty(shown, async (request) => {
        if (request.username === isGood) return;
        const { outcome } = await ask(judge, { request, answer: () => 'c=biws,r=x,p=AAAA' });
        assert.ok(outcome === 'pass' || outcome === 'refuse', outcome);
      }),
      { numRuns: 20 },
    );
  });

  each('stands by whom it let in', async ({ judge, good }) => {
    const answer = (await ask(judge, good)) as Identification;
    const { principal, mark } = answer;
    const subject = { name: principal ?? '', groups: [], values: {}, ...(mark !== undefined && { mark }) };
    for (const peer of [{ ...blank.peer, ...good.request.peer }, null]) {
      assert.equal(judge.wordFor?.(subject, peer) ?? 'stands', 'stands');
    }
  });
}

function company(each: Each): void {
  each(
    'in a chain: alone nobody else gets in, with another that one is asked, and its own are not',
    async (candidate) => {
      const { judge, good, bad, unknown, principal } = candidate;
      assertRefused(
        await ask(chain([judge]), unknown),
        ReasonCode.BadUserNameOrPassword,
        ReasonCode.BadAuthenticationMethod,
      );
      const next: Judge = { authenticate: () => ({ outcome: 'accept', principal: 'next' }) };
      const both = chain([judge, next]);
      assertIn(await ask(both, unknown), 'next');
      assertIn(await ask(both, good), principal);
      if (bad !== null) assertRefused(await ask(both, bad));
    },
  );

  each(
    'who shows what is wrong has to wait: its address for all names, and its name from elsewhere',
    async (candidate) => {
      const { judge, good, bad, principal } = candidate;
      if (bad === null) return;
      const authority = chain([judge], new BackOff({ freeFailures: 2, now: () => 0 }));
      const from = (address: string): AuthenticationRequest => ({ ...blank, peer: { ...blank.peer, address } });
      for (let i = 0; i < 3; i++) assertRefused(await ask(authority, bad, from('192.0.2.1:1')));
      const early = await ask(authority, good, from('192.0.2.1:2'));
      assertRefused(early, ReasonCode.ConnectionRateExceeded);
      const elsewhere = await ask(authority, good, from('198.51.100.1:1'));
      // Where the name is not said before it is proven, only the address is known.
      if (good.request.username == null) assertIn(elsewhere, principal);
      else assertRefused(elsewhere, ReasonCode.ConnectionRateExceeded);
    },
  );
}

// ── In a running broker

function connectOf({ request: { username, password, method, data } }: Login): Packet {
  const properties =
    method == null ? {} : { authenticationMethod: method, ...(data != null && { authenticationData: data }) };
  return {
    type: PacketType.Connect,
    version: 5,
    clientId: 'c',
    cleanStart: true,
    keepAlive: 0,
    properties: { sessionExpiryInterval: 60, ...properties },
    ...(username != null && { username }),
    ...(password != null && { password }),
  };
}

/** The reason code of the CONNACK. */
async function connack(peer: MqttPeer, login: Login): Promise<number> {
  peer.send(connectOf(login));
  for (;;) {
    const packet = await peer.next();
    assert.ok(packet !== 'end', 'closed without an answer');
    if (packet.type === PacketType.Connack) return packet.reasonCode;
    assert.equal(packet.type, PacketType.Auth);
    const challenge = Buffer.from(packet.properties?.authenticationData ?? []).toString();
    const authenticationData = encodeUtf8(login.answer?.(challenge) ?? '');
    const authenticationMethod = login.request.method ?? '';
    const properties = { authenticationMethod, authenticationData };
    peer.send({ type: PacketType.Auth, reasonCode: ReasonCode.ContinueAuthentication, properties });
  }
}

async function running(judge: Judge, body: (broker: Broker) => Promise<void>): Promise<void> {
  const rules = [{ effect: 'allow', action: 'all', filter: '#' }] as const;
  const broker = createBroker({
    access: new Access({ judges: [{ type: 'x', make: () => judge }], rules, groups: {} }),
  });
  await broker.start();
  try {
    await body(broker);
  } finally {
    await broker.stop();
  }
}

function inTheBroker(each: Each): void {
  each('over a connection: in, refused and closed, or not known and closed', async (candidate) => {
    const { judge, good, bad, unknown, isInConnect } = candidate;
    if (!isInConnect) return;
    await running(judge, async (broker) => {
      for (const login of [good, bad, unknown, good]) {
        if (login === null) continue;
        const peer = new MqttPeer(broker.connect());
        const code = await connack(peer, login);
        assert.equal(code === ReasonCode.Success, login === good);
        if (login !== good) assert.equal(await peer.next(), 'end');
      }
    });
  });

  each('is not held up by who leaves before the verdict, and gives that one nothing', async (candidate) => {
    const { judge, good, isInConnect } = candidate;
    if (!isInConnect) return;
    const gate = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    let isFirst = true;
    const slow: Judge = {
      authenticate: async (request) => {
        if (!isFirst) return judge.authenticate(request);
        isFirst = false;
        asked.resolve();
        await gate.promise;
        return judge.authenticate(request);
      },
    };
    await running(slow, async (broker) => {
      const gone = new MqttPeer(broker.connect());
      gone.send(connectOf(good));
      await asked.promise;
      const over = nextEvent(broker, 'refused');
      gone.stream.destroy();
      await over;
      const other = new MqttPeer(broker.connect());
      assert.equal(await connack(other, good), ReasonCode.Success);
      const told: string[] = [];
      broker.on('event', ({ type }) => told.push(type));
      gate.resolve();
      await new Promise((done) => setTimeout(done, 50));
      assert.deepEqual(told, [], 'a verdict for nobody does nothing, and takes nothing from who is there');
      other.stream.destroy();
    });
  });
}
