/**
 * Every limit: reached here in the way it is meant to be, and then counted under its name, told as an event with its reason, and
 * of no concern to anybody else; or listed with what counts instead.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { encodePacket, PacketType, ReasonCode } from '@pipit/protocol';
import { type Acceptance, defaultLimits, type LimitName, type Limits } from '../../src/core/index.ts';
import { publish, subscribe } from './packets.ts';
import { type Client, text, World, type WorldOptions } from './world.ts';

interface Case {
  readonly limits: Partial<Limits>;
  readonly options?: WorldOptions;
  /** Passes the limit once, and asserts what its client gets to know. */
  readonly pass: (world: World) => void;
  /** What tells of it. */
  readonly event: string;
}

const named: Acceptance = { outcome: 'accept', principal: 'ada' };
const asAda: WorldOptions = { authority: () => named };
const long = (length: number): string => 'x'.repeat(length);
const property = (length: number): readonly [string, string] => ['n', long(length)];

function will(payload: number): { topic: string; payload: Uint8Array; qos: 0; retain: false } {
  return { topic: 'w', payload: new Uint8Array(payload), qos: 0, retain: false };
}

function closed(client: Client, reasonCode: number): void {
  client.expectDisconnected(reasonCode);
}

/** A PUBLISH with these User Properties ends the connection with 0x97. */
function publishesWith(userProperties: readonly (readonly [string, string])[]): Case['pass'] {
  return (world) => {
    const client = world.connect({ clientId: 'hostile' });
    client.send(publish({ topic: 't', properties: { userProperties: [...userProperties] } }));
    closed(client, ReasonCode.QuotaExceeded);
  };
}

/** Retains three messages, of which the third is refused. */
function retainsThree(world: World): void {
  const client = world.connect({ clientId: 'hostile' });
  client.publishWhole(publish({ topic: 'a', payload: 'a', qos: 1, packetId: 1, retain: true }), 0x10);
  client.publishWhole(publish({ topic: 'b', payload: 'b', qos: 1, packetId: 2, retain: true }), 0x10);
  client.publishWhole(publish({ topic: 'c', payload: long(400), qos: 1, packetId: 3, retain: true }), 0x97);
  const reader = world.connect({ clientId: 'reader' });
  reader.send(subscribe(1, '#'));
  assert.equal(reader.takeAll().length, 3, 'SUBACK and two messages');
}

const cases: { readonly [Name in LimitName]?: Case } = {
  connectPacketBytesMax: {
    limits: { connectPacketBytesMax: 100 },
    pass: (world) => {
      const client = world.open();
      client.sendRaw('10ffffff7f');
      client.expectClosed();
    },
    event: 'refused',
  },
  packetBytesMax: {
    limits: { packetBytesMax: 100 },
    pass: (world) => {
      const client = world.connect({ clientId: 'hostile' });
      client.sendRaw('30ffffff7f');
      closed(client, ReasonCode.PacketTooLarge);
    },
    event: 'disconnected',
  },
  connectTimeoutMs: {
    limits: { connectTimeoutMs: 100 },
    pass: (world) => {
      const client = world.open();
      client.sendRaw('10');
      world.advance(100);
      client.expectClosed();
    },
    event: 'refused',
  },
  clientIdBytesMax: {
    limits: { clientIdBytesMax: 23 },
    pass: (world) => world.connecting({ clientId: long(24) }).expectRefused(ReasonCode.ClientIdentifierNotValid),
    event: 'refused',
  },
  connectionsMax: {
    limits: { connectionsMax: 2 },
    pass: (world) => {
      world.connect({ clientId: 'one' });
      world.open().expectClosed();
    },
    event: 'refused',
  },
  connectionsPerPrincipalMax: {
    limits: { connectionsPerPrincipalMax: 2 },
    options: asAda,
    pass: (world) => {
      world.connect({ clientId: 'one' });
      world.connecting({ clientId: 'two' }).expectRefused(ReasonCode.QuotaExceeded);
      // A takeover makes room for itself.
      world.connect({ clientId: 'one' });
    },
    event: 'refused',
  },
  publishesPerSecondMax: {
    limits: { publishesPerSecondMax: 5 },
    pass: (world) => {
      const client = world.connect({ clientId: 'hostile' });
      client.send(...Array.from({ length: 15 }, () => publish({ topic: 't' })));
      assert.equal(client.isPaused, true);
      world.advance(999);
      assert.equal(client.isPaused, true);
      world.advance(1);
      assert.equal(client.isPaused, false);
    },
    event: 'throttled',
  },
  receivedBytesPerSecondMax: {
    limits: { receivedBytesPerSecondMax: 1_000 },
    pass: (world) => {
      const client = world.connect({ clientId: 'hostile' });
      client.send(publish({ topic: 't', payload: long(3_000) }));
      assert.equal(client.isPaused, true);
      world.advance(1_100);
      assert.equal(client.isPaused, false);
    },
    event: 'throttled',
  },
  throttledMsMax: {
    limits: { publishesPerSecondMax: 5, throttledMsMax: 3_000 },
    pass: (world) => {
      const client = world.connect({ clientId: 'hostile' });
      const burst = encodePacket(publish({ topic: 't' }), 5, 'client');
      for (let i = 0; i < 10 && !client.isClosed; i++) {
        for (let j = 0; j < 15; j++) client.sendRaw(burst);
        world.advance(1_000);
      }
      closed(client, ReasonCode.MessageRateTooHigh);
    },
    event: 'disconnected',
  },
  receiveMaximum: {
    limits: { receiveMaximum: 2 },
    pass: (world) => {
      const client = world.connect({ clientId: 'hostile' });
      for (const packetId of [1, 2, 3]) client.send(publish({ topic: 't', qos: 2, packetId }));
      assert.equal(client.takeAll().length, 3, 'PUBREC, PUBREC, DISCONNECT');
      client.expectClosed();
    },
    event: 'disconnected',
  },
  topicAliasMaximum: {
    limits: { topicAliasMaximum: 2 },
    pass: (world) => {
      const client = world.connect({ clientId: 'hostile' });
      client.send(publish({ topic: 't', properties: { topicAlias: 3 } }));
      closed(client, ReasonCode.TopicAliasInvalid);
    },
    event: 'disconnected',
  },
  topicBytesMax: {
    limits: { topicBytesMax: 10 },
    pass: (world) => {
      const client = world.connect({ clientId: 'hostile' });
      client.send(subscribe(1, long(10)), publish({ topic: long(10) }));
      assert.equal(client.takeAll().length, 2);
      client.send(publish({ topic: 'é'.repeat(6) }));
      closed(client, ReasonCode.TopicNameInvalid);
    },
    event: 'disconnected',
  },
  topicLevelsMax: {
    limits: { topicLevelsMax: 3 },
    pass: (world) => {
      const client = world.connect({ clientId: 'hostile' });
      client.send(subscribe(1, 'a/b/c/#'));
      client.expect({ type: PacketType.Suback, packetId: 1, reasonCodes: [ReasonCode.TopicFilterInvalid] });
    },
    event: 'subscribe-refused',
  },
  subscriptionsPerSessionMax: {
    limits: { subscriptionsPerSessionMax: 2 },
    pass: (world) => {
      const client = world.connect({ clientId: 'hostile' });
      client.send(subscribe(1, 'a', 'b', 'c', 'a'));
      client.expect({ type: PacketType.Suback, packetId: 1, reasonCodes: [0, 0, ReasonCode.QuotaExceeded, 0] });
    },
    event: 'subscribe-refused',
  },
  subscriptionBytesPerSessionMax: {
    limits: { subscriptionBytesPerSessionMax: 60 },
    pass: (world) => {
      const client = world.connect({ clientId: 'hostile' });
      client.send(subscribe(1, 'a', long(60)));
      client.expect({ type: PacketType.Suback, packetId: 1, reasonCodes: [0, ReasonCode.QuotaExceeded] });
    },
    event: 'subscribe-refused',
  },
  filtersPerPacketMax: {
    limits: { filtersPerPacketMax: 2 },
    pass: (world) => {
      const client = world.connect({ clientId: 'hostile' });
      client.send(subscribe(1, 'a', 'b', 'c'));
      closed(client, ReasonCode.QuotaExceeded);
      assert.equal(world.core.state.router.count, 1, 'that of the honest client');
    },
    event: 'disconnected',
  },
  userPropertiesMax: {
    limits: { userPropertiesMax: 2 },
    pass: publishesWith([property(1), property(1), property(1)]),
    event: 'disconnected',
  },
  userPropertyBytesMax: {
    limits: { userPropertyBytesMax: 50 },
    pass: publishesWith([property(20), property(20)]),
    event: 'disconnected',
  },
  willBytesMax: {
    limits: { willBytesMax: 200 },
    pass: (world) => world.connecting({ clientId: 'hostile', will: will(300) }).expectRefused(ReasonCode.QuotaExceeded),
    event: 'refused',
  },
  willBytesTotalMax: {
    limits: { willBytesTotalMax: 500 },
    pass: (world) => {
      const first = world.connect({ clientId: 'first', will: will(300) });
      world.connecting({ clientId: 'second', will: will(300) }).expectRefused(ReasonCode.QuotaExceeded);
      first.drop();
      assert.equal(world.core.state.queueTotal.willBytes, 0);
      world.connect({ clientId: 'third', will: will(300) });
    },
    event: 'refused',
  },
  unsentBytesTotalMax: {
    limits: { unsentBytesTotalMax: 2_000 },
    pass: (world) => {
      const client = world.connect({ clientId: 'hostile' });
      client.send(subscribe(1, 't'));
      client.takeAll();
      client.freeze();
      world.publish('t', long(3_000));
      client.isDeaf = true;
      assert.equal(client.isClosed, true);
      client.takeAll();
    },
    event: 'disconnected',
  },
  sessionsMax: {
    limits: { sessionsMax: 2 },
    pass: (world) => {
      world.connect({ clientId: 'one' });
      world.connecting({ clientId: 'two' }).expectRefused(ReasonCode.QuotaExceeded);
    },
    event: 'refused',
  },
  retainedMessagesMax: { limits: { retainedMessagesMax: 2 }, pass: retainsThree, event: 'publish-refused' },
  retainedBytesMax: { limits: { retainedBytesMax: 800 }, pass: retainsThree, event: 'publish-refused' },
  retainedMessagesPerPrincipalMax: {
    limits: { retainedMessagesPerPrincipalMax: 2 },
    options: asAda,
    pass: retainsThree,
    event: 'publish-refused',
  },
  retainedBytesPerPrincipalMax: {
    limits: { retainedBytesPerPrincipalMax: 800 },
    options: asAda,
    pass: retainsThree,
    event: 'publish-refused',
  },
};

/** Where the other limits are counted and tested: nothing may be in neither list. */
const elsewhere: { readonly [Name in LimitName]?: string } = {
  ...sameFor('before the core: packages/broker/src/node/admission.test.ts, test/node/listeners.test.ts', [
    'handshakeTimeoutMs',
    'connectionsPerAddressMax',
    'acceptsPerSecondMax',
    'acceptsPerSecondPerAddressMax',
  ]),
  ...sameFor('what is agreed with a client, which is refused nothing', [
    'keepAliveFactor',
    'serverKeepAliveMax',
    'sendMaximum',
    'sentTopicAliasMaximum',
    'sessionExpiryMax',
    'retainedExpiryMax',
  ]),
  ...sameFor(
    'drops, counted by reason (queue-full, displaced, unsent-full, store-lost): queue-overflow.test.ts, slow-reader.test.ts',
    [
      'queueMessagesMax',
      'queueBytesMax',
      'queueMessagesTotalMax',
      'queueBytesTotalMax',
      'unsentBytesMax',
      'unsentBytesStalledMax',
      'stalledAfterMs',
      'unreadableMsMax',
    ],
  ),
  ...sameFor('memory against speed, or the order of work: nobody is refused anything', [
    'queuePrefixMessages',
    'queuePrefixBytes',
    'queuePrefixBytesTotalMax',
    'retainedBytesInMemoryMax',
    'internedTopicsMax',
    'plannedRecipientsMax',
    'turnDeliveriesMax',
    'turnBytesMax',
    'eventIntervalMs',
    'burstInputsMin',
    'burstTurnsMax',
    'localWindow',
    'claimedPublishesMax',
    'heldBytesMax',
    'uncommittedBytesMax',
  ]),
  ...sameFor('needs a store that hangs: durability-failure.test.ts', ['heldMsMax']),
};

function sameFor(why: string, names: readonly LimitName[]): { readonly [Name in LimitName]?: string } {
  return Object.fromEntries(names.map((name) => [name, why]));
}

test('every limit is in one of the two lists', () => {
  assert.deepEqual([...Object.keys(cases), ...Object.keys(elsewhere)].sort(), Object.keys(defaultLimits).sort());
});

describe('limits are counted, told, and felt by who passes them alone', () => {
  for (const [name, { limits, options = {}, pass, event }] of Object.entries(cases)) {
    test(name, () => {
      const world = new World({ ...options, limits });
      const honest = world.connect({ clientId: 'h', keepAlive: 0 });
      honest.send(subscribe(1, 'ok'));
      honest.takeAll();
      world.events.length = 0;
      pass(world);
      assert.equal(world.core.metrics.limitsReached.get(name as LimitName), 1);
      const [told, ...more] = world.takeEvents(event as 'refused').filter((each) => !/taken over/.test(each.reason));
      assert.deepEqual(more, []);
      assert.notEqual(told?.reason, '');
      honest.takeAll();
      world.publish('ok', 'fine');
      assert.equal(honest.take().type, PacketType.Publish);
      for (const client of world.clients) if (!client.isClosed) client.drop();
      assert.equal(world.core.state.principals.size, world.core.state.retained.count > 0 && options === asAda ? 1 : 0);
    });
  }
});

test('a client that keeps to its rate is never slowed down; one just above it is, and stays', () => {
  const world = new World({ limits: { publishesPerSecondMax: 100, throttledMsMax: 2_000 } });
  const reader = world.connect({ clientId: 'reader' });
  reader.send(subscribe(1, 't'));
  reader.takeAll();
  const good = world.connect({ clientId: 'good' });
  const fast = world.connect({ clientId: 'fast' });
  for (let second = 0; second < 60; second++) {
    for (let at = 0; at < 100; at++) good.send(publish({ topic: 't', payload: 'good' }));
    assert.equal(good.isPaused, false);
    for (let at = 0; at < 120; at++) if (!fast.isPaused) fast.send(publish({ topic: 't', payload: 'fast' }));
    world.advance(1_000);
  }
  assert.equal(fast.isClosed, false);
  assert.ok((world.core.metrics.limitsReached.get('publishesPerSecondMax') ?? 0) > 5);
  const got = reader.takeAll().filter((packet) => packet.type === PacketType.Publish);
  const of = (payload: string): number => got.filter((each) => Buffer.from(each.payload).toString() === payload).length;
  assert.equal(of('good'), 6_000);
  assert.ok(of('fast') > 5_900 && of('fast') <= 6_200 + 20, `${of('fast')} messages`);
});

test('a verdict lowers the rate of its connection alone', () => {
  const authority: WorldOptions['authority'] = ({ clientId }) => ({
    outcome: 'accept',
    principal: null,
    ...(clientId === 'slow' && { limits: { publishesPerSecondMax: 5 } }),
  });
  const world = new World({ authority });
  const slow = world.connect({ clientId: 'slow' });
  const other = world.connect({ clientId: 'other' });
  for (const client of [slow, other]) client.send(...Array.from({ length: 50 }, () => publish({ topic: 't' })));
  assert.deepEqual([slow.isPaused, other.isPaused], [true, false]);
  // Silence of the broker's making is not the client's.
  world.advance(7_999);
  assert.equal(slow.isPaused, true);
  world.advance(1);
  assert.equal(slow.isPaused, false);
  world.end();
});

test('what one user has retained counts for nobody else, moves to who sets it next, and is given back', () => {
  const authority: WorldOptions['authority'] = ({ clientId }) => ({ outcome: 'accept', principal: clientId });
  const world = new World({ authority, limits: { retainedMessagesPerPrincipalMax: 1 } });
  const [ada, bob] = ['ada', 'bob'].map((clientId) => world.connect({ clientId })) as [Client, Client];
  const retain = (client: Client, topic: string, payload: string, reasonCode: number): void =>
    client.publishWhole(publish({ topic, payload: text(payload), qos: 1, packetId: 1, retain: true }), reasonCode);
  retain(ada, 'a', '1', 0x10);
  retain(ada, 'b', '1', 0x97);
  retain(bob, 'b', '1', 0x10);
  retain(ada, 'a', 'longer', 0x10);
  // Bob sets what was Ada's: he has one already.
  retain(bob, 'a', '2', 0x97);
  retain(bob, 'b', '', 0x10);
  retain(bob, 'a', '2', 0x10);
  retain(ada, 'b', '1', 0x10);
  const holdings = [...world.core.state.principals].map(({ name, retainedMessages }) => [name, retainedMessages]);
  assert.deepEqual(holdings.sort(), [
    ['ada', 1],
    ['bob', 1],
  ]);
  world.publish('a', '', { retain: true });
  world.publish('b', '', { retain: true });
  ada.drop();
  bob.drop();
  assert.equal(world.core.state.principals.size, 0);
});

for (const store of ['instant', 'late', 'failing'] as const) {
  test(`what one user has retained counts for him after a restart, ${store}`, () => {
    const authority: WorldOptions['authority'] = ({ clientId }) => ({
      outcome: 'accept',
      principal: clientId === 'nobody' ? null : clientId,
    });
    const limits = { retainedMessagesPerPrincipalMax: 2 };
    const before = new World({ store, authority, limits });
    const retain = (client: Client, topic: string, payload: string): number => {
      client.send(publish({ topic, payload: text(payload), qos: 1, packetId: 1, retain: true }));
      const answer = client.take('PUBACK');
      assert.ok(answer.type === PacketType.Puback);
      return answer.reasonCode;
    };
    const connect = (world: World, clientId: string): Client => world.connect({ clientId });
    const [ada, bob, nobody] = [connect(before, 'ada'), connect(before, 'bob'), connect(before, 'nobody')];
    for (const topic of ['a', 'b', 'c']) assert.equal(retain(nobody, topic, 'x'), 0x10);
    assert.deepEqual([retain(ada, 'a', '1'), retain(ada, 'd', 'a longer one')], [0x10, 0x10]);
    assert.deepEqual([retain(bob, 'b', '1'), retain(bob, 'e', '1'), retain(bob, 'e', '')], [0x10, 0x10, 0x10]);
    const had = holdingsIn(before);
    before.end();
    const world = new World({ store, authority, limits, after: before });
    assert.deepEqual(holdingsIn(world), had);
    assert.deepEqual(
      had.map(([name, messages]) => [name, messages]),
      [
        ['ada', 2],
        ['bob', 1],
      ],
    );
    const again = connect(world, 'ada');
    assert.equal(retain(again, 'f', '1'), 0x97);
    assert.equal(retain(again, 'd', ''), 0x10);
    assert.equal(retain(again, 'f', '1'), 0x10);
    world.end();
  });
}

/** Of who has something retained: name, messages, bytes. */
function holdingsIn(world: World): (readonly [string, number, number])[] {
  const all = [...world.core.state.principals].filter(({ retainedMessages }) => retainedMessages > 0);
  return all
    .map(({ name, retainedMessages, retainedBytes }) => [name, retainedMessages, retainedBytes] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1));
}
