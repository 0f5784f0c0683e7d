/** Another program decides who may connect: real requests to a real server. */

import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { type Packet, PacketType, ReasonCode } from '@pipit/protocol';
import { chain } from '../../src/auth/chain.ts';
import { type HttpOptions, httpJudge } from '../../src/auth/http.ts';
import type { AuthenticationRequest, Verdict } from '../../src/core/index.ts';
import { brokerOptions, type EventOf } from '../../src/index.ts';
import { parseConfiguration } from '../../src/node/config-file.ts';
import { connectRequest } from './connect-request.ts';
import { dialTcp } from './dial.ts';
import { connectPacket, MqttPeer } from './mqtt-peer.ts';
import { withBroker } from './running-broker.ts';

type Handler = (body: string, response: ServerResponse, request: IncomingMessage) => void;

async function served(handler: Handler, run: (url: string) => Promise<void>): Promise<void> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on('end', () => handler(body, response, request));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  try {
    await run(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mqtt`);
  } finally {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  }
}

function login(username: string, password: Uint8Array | string = 'secret', port = 1000): AuthenticationRequest {
  return connectRequest({
    peer: { transport: 'tcp', address: `192.0.2.1:${port}`, listener: 'mqtt://127.0.0.1:1883' },
    username,
    password: typeof password === 'string' ? Buffer.from(password) : password,
  });
}

async function ask(options: HttpOptions, request = login('ada')): Promise<Verdict> {
  return chain([httpJudge(options)]).authenticate(request);
}

const codeOf = (verdict: Verdict) => verdict.outcome === 'refuse' && verdict.reasonCode;

test('what CONNECT said is asked, and the answer is the verdict', async () => {
  const asked: { question: unknown; authorization: string | undefined }[] = [];
  const answer = {
    outcome: 'accept',
    principal: 'ada',
    groups: ['staff'],
    values: { 'claim.site': 'north' },
    rules: [{ effect: 'allow', action: 'publish', filter: 'a/#' }],
    expiresInSeconds: 1.5,
  };
  await served(
    (body, response, { headers }) => {
      asked.push({ question: JSON.parse(body), authorization: headers.authorization });
      response.end(JSON.stringify(answer));
    },
    async (url) => {
      const headers = { authorization: 'Bearer t' };
      const verdict = await ask({ url, headers });
      assert.ok(verdict.outcome === 'accept');
      const { permissions, ...rest } = verdict;
      assert.deepEqual(rest, {
        outcome: 'accept',
        principal: 'ada',
        groups: ['staff'],
        values: { 'claim.site': 'north' },
        expiresInMs: 1500,
      });
      assert.deepEqual([permissions?.publish('a/b', 0, false), permissions?.publish('b', 0, false)], [0, 0x87]);
      await ask({ url, headers }, login('bob', new Uint8Array([0xff, 0x00])));
    },
  );
  const question = {
    clientId: 'c',
    username: 'ada',
    password: 'secret',
    address: '192.0.2.1',
    transport: 'tcp',
    listener: 'mqtt://127.0.0.1:1883',
    version: 5,
  };
  assert.deepEqual(asked, [
    { question, authorization: 'Bearer t' },
    { question: { ...question, username: 'bob', password: { base64: '/wA=' } }, authorization: 'Bearer t' },
  ]);
});

test('refusals carry their code and reason; a pass asks the next', async () => {
  const answers: Record<string, object> = {
    ada: { outcome: 'refuse', reasonCode: ReasonCode.Banned, reason: 'not today' },
    bob: { outcome: 'refuse' },
    eve: { outcome: 'pass' },
  };
  await served(
    (body, response) => void response.end(JSON.stringify(answers[JSON.parse(body).username])),
    async (url) => {
      assert.deepEqual(await ask({ url }), { outcome: 'refuse', reasonCode: ReasonCode.Banned, reason: 'not today' });
      assert.equal(codeOf(await ask({ url }, login('bob'))), ReasonCode.NotAuthorized);
      const next = { authenticate: () => ({ outcome: 'accept', principal: 'next' }) as const };
      const verdict = await chain([httpJudge({ url }), next]).authenticate(login('eve'));
      assert.deepEqual(verdict, { outcome: 'accept', principal: 'next' });
    },
  );
});

test('what is no answer in time is a no: another status, no JSON, another shape, too much, a redirect, silence, nobody there', async () => {
  const reasons: string[] = [];
  const onFailure = (reason: string): void => void reasons.push(reason);
  const verdict = '{"outcome":"accept","principal":"ada"}';
  const handlers: readonly [Handler, RegExp][] = [
    [(_, response) => void response.writeHead(500).end(verdict), /status 500/],
    [(_, response) => void response.end('yes'), /JSON/],
    [(_, response) => void response.end('{"outcome":"accept"}'), /not a verdict/],
    [(_, response) => void response.end('{"outcome":"accept","principal":"a","superuser":true}'), /not a verdict/],
    [(_, response) => void response.end(verdict.padEnd(300_000)), /more than 262144 bytes/],
    [
      (_, response, { url }) => void response.writeHead(url === '/mqtt' ? 307 : 200, { location: '/' }).end(verdict),
      /fetch/,
    ],
    [(_, response) => void response.destroy(), /fetch/],
    [() => undefined, /timeout/],
  ];
  let gone = '';
  for (const [handler, reason] of handlers) {
    await served(handler, async (url) => {
      gone = url;
      assert.equal(codeOf(await ask({ url, onFailure, timeoutMs: 300 })), ReasonCode.ServerUnavailable);
      assert.match(reasons.pop() ?? '', reason);
    });
  }
  assert.equal(codeOf(await ask({ url: gone, onFailure })), ReasonCode.ServerUnavailable);
  assert.match(reasons.pop() ?? '', /ECONNREFUSED/);
});

test('an answer may be remembered, for the same question and for so long; failures are not', async () => {
  let now = 0;
  let asked = 0;
  let isWell = false;
  await served(
    (body, response) => {
      asked++;
      const { username } = JSON.parse(body);
      response.writeHead(isWell ? 200 : 503).end(JSON.stringify({ outcome: 'accept', principal: username }));
    },
    async (url) => {
      const judge = httpJudge({ url, cacheMs: 1_000, cacheEntriesMax: 2, now: () => now });
      const outcome = async (request: AuthenticationRequest) => (await judge.authenticate(request)).outcome;
      assert.equal(await outcome(login('ada')), 'refuse');
      isWell = true;
      assert.equal(await outcome(login('ada')), 'accept');
      assert.equal(await outcome(login('ada', 'secret', 2000)), 'accept');
      assert.equal(asked, 2, 'the second answer counts from any port');
      assert.equal(await outcome(login('ada', 'other')), 'accept');
      assert.equal(asked, 3, 'another password is another question');
      now += 1_001;
      await outcome(login('ada'));
      assert.equal(asked, 4);
      await outcome(login('bob'));
      await outcome(login('eve'));
      await outcome(login('ada'));
      assert.equal(asked, 7, 'no more is remembered than was said');
    },
  );
});

test('a service that is slow is asked a hundred questions at once, and each gets its answer', {
  timeout: 20_000,
}, async () => {
  const open: ServerResponse[] = [];
  let most = 0;
  let isSlow = true;
  const full = Promise.withResolvers<void>();
  const answer = (response: ServerResponse) => response.end('{"outcome":"accept","principal":"ada"}');
  await served(
    (_, response) => {
      if (!isSlow) return void answer(response);
      most = Math.max(most, open.push(response));
      if (open.length === 100) full.resolve();
    },
    async (url) => {
      const judge = httpJudge({ url, timeoutMs: 10_000 });
      const answers = Array.from({ length: 150 }, (_, i) => judge.authenticate(login(`u${i}`)));
      await full.promise;
      // Whoever was let through beyond that would be here by now.
      await new Promise((done) => setTimeout(done, 100));
      assert.equal(most, 100);
      isSlow = false;
      for (const response of open) answer(response);
      for (const { outcome } of await Promise.all(answers)) assert.equal(outcome, 'accept');
    },
  );
});

test('what is remembered lasts no longer than it was said to', async () => {
  let now = 0;
  let asked = 0;
  await served(
    (_, response) => {
      asked++;
      response.end(JSON.stringify({ outcome: 'accept', principal: 'ada', expiresInSeconds: 10 }));
    },
    async (url) => {
      const judge = httpJudge({ url, cacheMs: 60_000, now: () => now });
      const expiry = async () => {
        const answer = await judge.authenticate(login('ada'));
        return answer.outcome === 'accept' && answer.expiresInMs;
      };
      assert.equal(await expiry(), 10_000);
      now += 9_000;
      assert.equal(await expiry(), 1_000);
      assert.equal(asked, 1);
      now += 1_000;
      assert.equal(await expiry(), 10_000);
      assert.equal(asked, 2);
    },
  );
});

test('a yes is good for as long as the configuration allows at most, remembered or not', async () => {
  let now = 0;
  let said: object = {};
  await served(
    (_, response) => void response.end(JSON.stringify({ outcome: 'accept', principal: 'ada', ...said })),
    async (url) => {
      const expiries: unknown[] = [];
      for (const expiresInSeconds of [undefined, 5, 600]) {
        said = { expiresInSeconds };
        const judge = httpJudge({ url, cacheMs: 600_000, expiresInSecondsMax: 60, now: () => now });
        for (const ageMs of [0, 4_000]) {
          now = ageMs;
          const answer = await judge.authenticate(login('ada'));
          expiries.push(answer.outcome === 'accept' && answer.expiresInMs);
        }
      }
      assert.deepEqual(expiries, [60_000, 56_000, 5_000, 1_000, 60_000, 56_000]);
    },
  );
});

test('who was let in has to come again after that, and then the service may say no', { timeout: 20_000 }, async () => {
  let isKnown = true;
  await served(
    (_, response) =>
      void response.end(JSON.stringify(isKnown ? { outcome: 'accept', principal: 'ada' } : { outcome: 'refuse' })),
    async (url) => {
      const text = `authentication: [{ type: http, url: '${url}', expiresInSecondsMax: 1 }]`;
      const options = { ...brokerOptions(parseConfiguration(text, 'test')), listeners: [] };
      await withBroker(
        { type: 'tcp', port: 0 },
        async (port) => {
          const peer = new MqttPeer(await dialTcp(port));
          const connack = await peer.connect('c');
          assert.ok(connack !== 'end' && connack.type === PacketType.Connack && connack.reasonCode === 0);
          isKnown = false;
          const goodbye = await peer.next();
          assert.ok(goodbye !== 'end' && goodbye.type === PacketType.Disconnect);
          assert.equal(goodbye.reasonCode, ReasonCode.MaximumConnectTime);
          assert.equal(await peer.next(), 'end');
          const again = await new MqttPeer(await dialTcp(port)).connect('c');
          assert.ok(again !== 'end' && again.type === PacketType.Connack);
          assert.equal(again.reasonCode, ReasonCode.NotAuthorized);
        },
        options,
      );
    },
  );
});

test('a service that fails lets nobody in, and events say why, and count how often', { timeout: 20_000 }, async () => {
  await served(
    (_, response) => void response.writeHead(503).end(),
    async (url) => {
      const text = `authentication: [{ type: http, url: '${url}' }]\nlimits: { eventIntervalMs: 100 }`;
      const options = { ...brokerOptions(parseConfiguration(text, 'test')), listeners: [] };
      await withBroker(
        { type: 'tcp', port: 0 },
        async (port, broker) => {
          const events: EventOf<'authority-failed'>[] = [];
          const counted = new Promise<void>((done) => {
            broker.on('authority-failed', (event) => {
              events.push(event);
              if (events.reduce((sum, { count }) => sum + count, 0) === 3) done();
            });
          });
          const logins = Array.from({ length: 3 }, async () => {
            const peer = new MqttPeer(await dialTcp(port));
            const packet = { ...connectPacket('c', 5), username: 'ada', password: Buffer.from('secret') };
            peer.send(packet as Packet);
            const connack = await peer.next();
            assert.equal(
              connack !== 'end' && 'reasonCode' in connack && connack.reasonCode,
              ReasonCode.ServerUnavailable,
            );
            assert.equal(await peer.next(), 'end');
          });
          await Promise.all([...logins, counted]);
          const told = { type: 'authority-failed', authority: 'http', reason: 'status 503' };
          assert.deepEqual(events[0], { ...told, count: 1 });
          for (const event of events) assert.deepEqual(event, { ...told, count: event.count });
        },
        options,
      );
    },
  );
});
