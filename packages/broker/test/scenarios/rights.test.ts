/** Rights beyond the login: a review counts for who is connected, for who sleeps, and for who slept through a restart. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReasonCode } from '@pipit/protocol';
import {
  type AuthenticationRequest,
  type Holder,
  Permissions,
  type Rule,
  type Standing,
  type Subject,
  type Verdict,
} from '../../src/core/index.ts';
import { disconnect, puback, publish, suback, subscribe } from './packets.ts';
import { storeKinds, text, World, type WorldOptions } from './world.ts';

const lasting = { cleanStart: false, properties: { sessionExpiryInterval: 3600 } };
const everything: Rule = { effect: 'allow', action: 'all', filter: '#' };

/** An authority with one set of rules for all, who knows its users by name and site. */
class Office {
  readonly rules: Permissions;
  readonly gone = new Set<string>();
  readonly stale = new Set<string>();
  /** Who is at another site than where it logged in. */
  readonly moved = new Map<string, string>();
  /** Rules that come with the login of one user. */
  readonly own = new Map<string, Permissions>();

  constructor(...rules: Rule[]) {
    this.rules = new Permissions(rules);
  }

  readonly authority = ({ username, clientId }: AuthenticationRequest): Verdict => {
    const name = username ?? '';
    if (name === 'watcher') return { outcome: 'accept', principal: name };
    const site = this.moved.get(name) ?? 'north';
    const subject: Subject = { name, groups: ['staff'], values: { clientId, site }, via: 'office' };
    return { outcome: 'accept', principal: name, permissions: (this.own.get(name) ?? this.rules).for(subject) };
  };

  readonly review = ({ principal, permissions }: Holder): Standing => {
    const name = principal ?? '';
    if (name === 'watcher' || permissions === null) return { permissions, ends: null };
    if (this.gone.has(name)) return { permissions: new Permissions([]).for(permissions.subject), ends: 'unknown' };
    const { subject } = permissions;
    const site = this.moved.get(name) ?? subject.values['site'] ?? '';
    const isKnown = permissions.sharesRulesWith(this.rules) && subject.values['site'] === site;
    const isCurrent = permissions.isOwn || isKnown;
    const current = isCurrent ? permissions : this.rules.for({ ...subject, values: { ...subject.values, site } });
    return { permissions: current, ends: this.stale.has(name) ? 'stale' : null };
  };

  world(options: WorldOptions): World {
    return new World({ authority: this.authority, review: this.review, ...options });
  }
}

function revoked(world: World): string[] {
  return world.takeEvents('subscription-revoked').map(({ clientId, filter }) => `${clientId} ${filter}`);
}

for (const store of storeKinds) {
  test(`a review ends what is not granted any more, connected and asleep, and disconnects who has to go, ${store}`, () => {
    const office = new Office(everything);
    const world = office.world({ store });
    const will = { topic: 'gone', payload: text('w'), qos: 0, retain: false } as const;
    const clients = ['ada', 'bob', 'eve'].map((username) => {
      const client = world.connect({ clientId: username, username, ...lasting, will });
      client.send(subscribe(1, { filter: 'a', qos: 1 }, { filter: 'b', qos: 1 }));
      client.expect(suback(1, 1, 1));
      return client;
    });
    const sleeper = world.connect({ clientId: 'sleeper', username: 'bob', ...lasting });
    sleeper.send(subscribe(1, { filter: 'a', qos: 1 }), disconnect());
    sleeper.takeAll();
    const watcher = world.connect({ clientId: 'watcher', username: 'watcher' });
    watcher.send(subscribe(1, 'gone'));
    watcher.expect(suback(1, 0));
    world.publish('a', 'waits', { qos: 1 });
    for (const client of clients) client.receiveWhole(publish({ topic: 'a', qos: 1, packetId: 1, payload: 'waits' }));

    office.gone.add('bob');
    office.stale.add('eve');
    office.rules.replace([
      { effect: 'allow', action: 'all', filter: 'b' },
      { ...everything, action: 'publish' },
    ]);
    world.core.reviewed(office.review, world.now);
    // Before any step of the sweep.
    world.publish('a', 'too late');
    const [ada, bob, eve] = clients;
    ada?.expectNothing();
    bob?.expectDisconnected(ReasonCode.NotAuthorized);
    eve?.expectDisconnected(ReasonCode.NotAuthorized);
    assert.deepEqual(revoked(world).sort(), ['ada a', 'bob a', 'bob b', 'eve a', 'sleeper a']);
    assert.equal(world.core.metrics.drops.get('not-authorized'), 1, 'what waited for the sleeper');
    // Who is gone may not even leave a will; who only has to come back still may.
    watcher.expect(publish({ topic: 'gone', payload: 'w' }));
    assert.deepEqual(
      world.takeEvents('will-refused').map(({ clientId }) => clientId),
      ['bob'],
    );
    world.publish('b', 'still');
    ada?.expect(publish({ topic: 'b', payload: 'still' }));
    world.end();
  });

  test(`a review may give more: what comes later works, what was lost does not come back, ${store}`, () => {
    const office = new Office({ effect: 'allow', action: 'all', filter: 'b' });
    const world = office.world({ store });
    const client = world.connect({ clientId: 'c', username: 'ada' });
    client.send(subscribe(1, 'a'), publish({ topic: 'a', qos: 1, packetId: 7 }));
    client.expect(suback(1, ReasonCode.NotAuthorized), puback(7, ReasonCode.NotAuthorized));
    office.rules.replace([everything]);
    world.core.reviewed(office.review, world.now);
    client.send(publish({ topic: 'a', qos: 1, packetId: 8 }), subscribe(2, 'a'));
    client.expect(puback(8, ReasonCode.NoMatchingSubscribers), suback(2, 0));
    world.end();
  });

  if (store === 'none') continue;

  for (const [memory, limits] of [
    ['all in the store', { queuePrefixMessages: 1, turnDeliveriesMax: 4 }],
    ['some in memory', { queuePrefixMessages: 5 }],
    ['all in memory', {}],
  ] as const) {
    test(`what waits goes with the right, and its room with it, before the client comes back: ${memory}, ${store}`, () => {
      const office = new Office(everything);
      const before = office.world({ store, limits });
      const client = before.connect({ clientId: 'c', username: 'ada', ...lasting });
      client.send(subscribe(1, { filter: 'a/#', qos: 1 }, { filter: 'b/#', qos: 1 }));
      client.expect(suback(1, 1, 1));
      client.drop();
      for (let i = 0; i < 20; i++) before.publish(`${i % 3 === 0 ? 'b' : 'a'}/${i}`, 'waits', { qos: 1 });
      const kept = (world: World) => world.core.state.sessions.get('c')?.queue?.count ?? 0;
      assert.equal(kept(before), 20);
      const bytes = before.core.state.queueTotal.bytes;
      office.rules.replace([{ ...everything, filter: 'b/#' }]);
      before.core.reviewed(office.review, before.now);
      before.settle();
      assert.equal(kept(before), 7);
      assert.equal(before.core.metrics.drops.get('not-authorized'), 13);
      assert.ok(before.core.state.queueTotal.bytes < bytes / 2);
      before.publish('b/new', 'after', { qos: 1 });
      before.end();
      // Given back, the right does not bring them back, nor does a restart.
      office.rules.replace([everything]);
      const after = office.world({ store, after: before, limits });
      assert.equal(kept(after), 8);
      const again = after.connect({ clientId: 'c', username: 'ada', ...lasting });
      const topics = again.takeAll().map((packet) => 'topic' in packet && packet.topic);
      assert.deepEqual(topics, ['b/0', 'b/3', 'b/6', 'b/9', 'b/12', 'b/15', 'b/18', 'b/new']);
      again.drop();
      after.end();
    });
  }

  test(`what waits in the store is looked through after a restart with other rules, and where the client leaves again, ${store}`, () => {
    const office = new Office(everything);
    const before = office.world({ store });
    const client = before.connect({ clientId: 'c', username: 'ada', ...lasting });
    client.send(subscribe(1, { filter: 'a/#', qos: 1 }, { filter: '$share/g/a/#', qos: 1 }));
    client.takeAll();
    client.drop();
    for (let i = 0; i < 10; i++) before.publish(`a/${i}`, 'waits', { qos: 1 });
    before.end();
    office.rules.replace([{ ...everything, filter: 'a/9' }]);
    const after = office.world({ store, after: before, limits: { turnDeliveriesMax: 3 } });
    const session = after.core.state.sessions.get('c');
    assert.equal(session?.queue?.count, 2, 'by each of its subscriptions');
    assert.equal(session?.tailReader, null);
    assert.equal(after.core.metrics.drops.get('not-authorized'), 18);
    const properties = { sessionExpiryInterval: 3600, receiveMaximum: 1 };
    const short = after.connect({ clientId: 'c', username: 'ada', cleanStart: false, properties });
    assert.equal(short.takeAll().length, 1);
    office.rules.replace([]);
    after.core.reviewed(office.review, after.now);
    short.drop();
    assert.equal(session?.queue ?? null, null);
    after.end();
  });

  for (const when of store === 'failing' ? [] : (['connected', 'gone again'] as const)) {
    test(`what is read for a client after its right went does not wait for the right to come back: ${when}, ${store}`, () => {
      const office = new Office(everything);
      const world = office.world({ store, limits: { queuePrefixMessages: 1 } });
      const client = world.connect({ clientId: 'c', username: 'ada', ...lasting });
      client.send(subscribe(1, { filter: '#', qos: 1 }));
      client.expect(suback(1, 1));
      client.drop();
      for (let i = 0; i < 9; i++) world.publish(`${i % 3 === 0 ? 'b' : 'a'}/${i}`, 'waits', { qos: 1 });
      const double = world.store;
      assert.ok(double !== null);
      double.isPagingStalled = true;
      const properties = { sessionExpiryInterval: 3600, receiveMaximum: 1 };
      const reader = world.connect({ clientId: 'c', username: 'ada', cleanStart: false, properties });
      assert.deepEqual(
        reader.takeAll().map((packet) => 'topic' in packet && packet.topic),
        ['b/0'],
      );
      reader.send(puback(1));
      if (when === 'gone again') reader.drop();
      office.rules.replace([{ ...everything, filter: 'b/#' }]);
      world.core.reviewed(office.review, world.now);
      world.settle();
      double.isPagingStalled = false;
      world.settle();
      if (when === 'connected') {
        assert.equal(reader.takeAll().length, 1);
        reader.drop();
      }
      world.settle();
      office.rules.replace([everything]);
      world.core.reviewed(office.review, world.now);
      const again = world.connect({ clientId: 'c', username: 'ada', ...lasting });
      assert.deepEqual(
        again.takeAll().map((packet) => 'topic' in packet && packet.topic),
        ['b/3', 'b/6'],
      );
      again.drop();
      world.end();
    });
  }

  test(`what is being looked through waits for the review, which may know the session as somebody else, ${store}`, () => {
    const office = new Office(everything);
    const world = office.world({ store, limits: { queuePrefixMessages: 3, turnDeliveriesMax: 4 } });
    // The sweep of the sessions has all these before it.
    for (let i = 0; i < 40; i++) world.connect({ clientId: `other${i}`, username: 'eve' });
    const client = world.connect({ clientId: 'c', username: 'ada', ...lasting });
    client.send(subscribe(1, { filter: '#', qos: 1 }));
    client.expect(suback(1, 1));
    client.drop();
    const inMemory = ['m/0', 'm/1', 'm/2'];
    for (const topic of [...inMemory, 'gone', 'sites/north', 'sites/south']) world.publish(topic, 'waits', { qos: 1 });
    const double = world.store;
    assert.ok(double !== null);
    double.isPagingStalled = true;
    office.rules.replace([{ ...everything, effect: 'deny', filter: 'gone' }, everything]);
    world.core.reviewed(office.review, world.now);
    world.settle();
    assert.equal(double.pagesWaiting, 1);
    // Its page comes between the change and the review of its session.
    office.rules.replace([
      { ...everything, filter: 'm/+' },
      { ...everything, filter: 'sites/${site}' },
    ]);
    office.moved.set('ada', 'south');
    world.core.reviewed(office.review, world.now);
    double.isPagingStalled = false;
    assert.ok(double.answer(world.core, world.now));
    world.settle();
    const again = world.connect({ clientId: 'c', username: 'ada', ...lasting });
    const topics = again.takeAll().map((packet) => 'topic' in packet && packet.topic);
    assert.deepEqual(topics, [...inMemory, 'sites/south']);
    assert.equal(world.core.metrics.drops.get('not-authorized'), 2);
    world.end();
  });

  test(`a right that goes while shared messages move on takes what waited by it when they have moved, ${store}`, () => {
    const office = new Office(everything);
    const world = office.world({ store, limits: { queuePrefixMessages: 1 } });
    const properties = { sessionExpiryInterval: 3600, receiveMaximum: 1 };
    const client = world.connect({ clientId: 'c', username: 'ada', cleanStart: false, properties });
    client.send(subscribe(1, { filter: '$share/g/jobs/#', qos: 1 }, { filter: 'own/#', qos: 1 }));
    client.expect(suback(1, 1, 1));
    for (const topic of ['own/0', 'own/1', 'jobs/2', 'own/3', 'jobs/4']) world.publish(topic, 'waits', { qos: 1 });
    client.expect(publish({ topic: 'own/0', qos: 1, packetId: 1, payload: 'waits' }));
    const member = world.connect({ clientId: 'member', username: 'eve' });
    member.send(subscribe(1, { filter: '$share/g/jobs/#', qos: 1 }));
    member.expect(suback(1, 1));
    const double = world.store;
    assert.ok(double !== null);
    double.isPagingStalled = true;
    client.drop();
    const session = world.core.state.sessions.get('c');
    assert.notEqual(session?.tailReader ?? null, null, 'its shared messages are looked for');
    office.rules.replace([{ ...everything, effect: 'deny', filter: 'own/3' }, everything]);
    world.core.reviewed(office.review, world.now);
    world.settle();
    double.isPagingStalled = false;
    world.settle();
    member.expect(
      publish({ topic: 'jobs/2', qos: 1, packetId: 1, payload: 'waits' }),
      publish({ topic: 'jobs/4', qos: 1, packetId: 2, payload: 'waits' }),
    );
    assert.equal(session?.queue?.count, 1, 'own/1');
    assert.equal(world.core.metrics.drops.get('not-authorized'), 1);
    world.end();
  });

  test(`after a restart a session is held to what it was let in as, by the rules of now, ${store}`, () => {
    const office = new Office(
      { effect: 'allow', action: 'all', filter: 'sites/${site}/#', groups: ['staff'] },
      { effect: 'allow', action: 'all', filter: 'old/#' },
      { effect: 'allow', action: 'all', filter: 'clients/${clientId}' },
    );
    const before = office.world({ store });
    const filters = ['sites/north/#', 'old/#', 'clients/c'].map((filter) => ({ filter, qos: 1 as const }));
    const client = before.connect({ clientId: 'c', username: 'ada', ...lasting });
    client.send(subscribe(1, ...filters));
    client.expect(suback(1, 1, 1, 1));
    client.drop();
    before.publish('old/x', 'waited', { qos: 1 });
    before.publish('sites/north/x', 'waited too', { qos: 1 });
    before.end();

    office.rules.replace([
      { effect: 'allow', action: 'all', filter: 'sites/${site}/#', groups: ['staff'] },
      { effect: 'allow', action: 'all', filter: 'clients/${clientId}' },
    ]);
    const after = office.world({ store, after: before });
    assert.deepEqual(revoked(after), ['c old/#']);
    for (const topic of ['old/y', 'sites/north/y', 'sites/south/y', 'clients/c']) {
      after.publish(topic, 'new', { qos: 1 });
    }
    const again = after.connect({ clientId: 'c', username: 'ada', ...lasting });
    const expected = ['sites/north/x', 'sites/north/y', 'clients/c'].map((topic, i) =>
      publish({ topic, qos: 1, packetId: i + 1, payload: i === 0 ? 'waited too' : 'new' }),
    );
    again.expect(...expected);
    again.send(puback(1), puback(2), puback(3));
    assert.equal(after.core.metrics.drops.get('not-authorized'), 1);
    after.end();
  });

  test(`a will that fires after a restart goes through the rules of now, and through whether its owner is known, ${store}`, () => {
    const office = new Office({ effect: 'allow', action: 'publish', filter: 'wills/${clientId}' });
    const before = office.world({ store });
    const lastWill = (clientId: string, willDelayInterval = 0) =>
      ({
        topic: `wills/${clientId}`,
        payload: text('w'),
        qos: 0,
        retain: true,
        properties: { willDelayInterval },
      }) as const;
    for (const [clientId, delay] of [
      ['now', 0],
      ['later', 10],
    ] as const) {
      before.connect({ clientId, username: 'ada', ...lasting, will: lastWill(clientId, delay) });
    }
    before.connect({ clientId: 'gone', username: 'bob', ...lasting, will: lastWill('gone') });
    office.gone.add('bob');
    const after = office.world({ store, after: before });
    after.advance(5_000);
    office.rules.replace([]);
    after.core.reviewed(office.review, after.now);
    after.advance(10_000);
    const told = (type: 'will-published' | 'will-refused') => after.takeEvents(type).map(({ clientId }) => clientId);
    assert.deepEqual(told('will-published'), ['now']);
    assert.deepEqual(told('will-refused'), ['gone', 'later']);
    const watcher = after.connect({ clientId: 'watcher', username: 'watcher' });
    watcher.send(subscribe(1, 'wills/#'));
    watcher.expect(suback(1, 0), publish({ topic: 'wills/now', payload: 'w', retain: true }));
    after.end();
  });

  test(`rules that came with the login are kept with the session, also where nobody reviews, ${store}`, () => {
    const office = new Office();
    const own = [{ effect: 'allow', action: 'all', filter: 'own/${clientId}', qos: [0, 1], users: ['ada'] }] as const;
    office.own.set('ada', new Permissions(own, {}, { isOwn: true }));
    const before = office.world({ store });
    const will = {
      topic: 'own/c',
      payload: text('w'),
      qos: 1,
      retain: false,
      properties: { willDelayInterval: 5 },
    } as const;
    const client = before.connect({ clientId: 'c', username: 'ada', ...lasting, will });
    client.send(subscribe(1, { filter: 'own/c', qos: 2 }));
    client.expect(suback(1, 1));
    client.drop();
    before.end();
    for (const reviewed of [true, false]) {
      const options: WorldOptions = { store, after: before };
      const after: World = reviewed ? office.world(options) : new World({ authority: office.authority, ...options });
      const session = after.core.state.sessions.get('c');
      assert.equal(session?.permissions?.publish('own/c', 1, false), 0);
      assert.equal(session?.permissions?.publish('own/c', 2, false), ReasonCode.NotAuthorized);
      assert.equal(session?.permissions?.publish('own/d', 1, false), ReasonCode.NotAuthorized);
      assert.deepEqual(revoked(after), []);
      if (reviewed) continue;
      after.advance(5_000);
      const again = after.connect({ clientId: 'c', username: 'ada', ...lasting });
      again.receiveWhole(publish({ topic: 'own/c', qos: 1, packetId: 1, payload: 'w' }));
      after.end();
    }
  });

  test(`new rights by authenticating again are the ones that are kept, ${store}`, () => {
    const office = new Office(everything);
    const before = office.world({ store });
    const properties = { sessionExpiryInterval: 3600, authenticationMethod: 'm' };
    const client = before.connect({ clientId: 'c', username: 'ada', cleanStart: false, properties });
    office.own.set('ada', new Permissions([{ ...everything, filter: 'b' }], {}, { isOwn: true }));
    client.send({ type: 15, reasonCode: ReasonCode.ReAuthenticate, properties: { authenticationMethod: 'm' } });
    client.takeAll();
    client.drop();
    const after = new World({ store, after: before });
    const permissions = after.core.state.sessions.get('c')?.permissions;
    assert.deepEqual([permissions?.isOwn, permissions?.receive('b'), permissions?.receive('a')], [true, 0, 0x87]);
    after.end();
  });
}

test('a store from before rights were kept, and text that is none, leave a session to the rules for its name', () => {
  const seen: Holder[] = [];
  const review = (holder: Holder): Standing => {
    seen.push(holder);
    return { permissions: null, ends: null };
  };
  const before = new World({ store: 'instant' });
  before.connect({ clientId: 'c', ...lasting }).drop();
  const [kept] = [...(before.store?.state().sessions ?? [])];
  assert.ok(kept !== undefined && kept.session.rights === undefined);
  for (const rights of [
    '',
    'nonsense',
    '{}',
    '{"subject":{"name":7}}',
    '{"subject":{"name":"","groups":[],"values":{"a":"#"}}}',
  ]) {
    Object.assign(kept.session, { rights });
    const state = before.store?.state();
    assert.ok(state !== undefined);
    const after = new World({ store: 'instant', review });
    const sessions = [{ ...kept, session: { ...kept.session, rights } }];
    for (const _ of after.core.restore({ ...state, sessions }, after.now));
    assert.deepEqual(seen.pop(), { clientId: 'c', principal: null, peer: null, permissions: null }, rights);
  }
});

test('a review of a great many sessions takes its turns, and holds nobody up', () => {
  const office = new Office(everything);
  const world = office.world({ limits: { turnDeliveriesMax: 50 } });
  const clients = Array.from({ length: 300 }, (_, i) => world.connect({ clientId: `c${i}`, username: `u${i % 3}` }));
  for (const client of clients) client.send(subscribe(1, 'a'));
  for (const client of clients) client.takeAll();
  office.gone.add('u1');
  office.rules.replace([]);
  const before = world.turns;
  world.core.reviewed(office.review, world.now);
  world.settle();
  assert.ok(world.turns - before > 5, `${world.turns - before} turns`);
  assert.equal(revoked(world).length, 300);
  for (const client of clients.filter((_, i) => i % 3 === 1)) client.expectDisconnected(ReasonCode.NotAuthorized);
  assert.equal(world.core.state.connections.size, 200);
  world.end();
});
