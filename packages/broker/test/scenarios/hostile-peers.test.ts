/** Peers that send anything at all: the core never throws, its invariants hold after every turn, an honest pair notices nothing. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodePacket, type Packet, PacketType, type ProtocolVersion, type QoS } from '@pipit/protocol';
import fc from 'fast-check';
import { packet as anyPacket } from '../../../protocol/test/arbitrary.ts';
import { publish, suback, subscribe } from './packets.ts';
import { type Client, type StoreKind, storeKinds, World } from './world.ts';

const peers = 4;
const version = fc.constantFrom<ProtocolVersion>(3, 4, 5);
const qos = fc.constantFrom<QoS>(0, 1, 2);
const packetId = fc.integer({ min: 1, max: 4 });
const payload = fc.oneof(
  { weight: 6, arbitrary: fc.uint8Array({ maxLength: 8 }) },
  { weight: 1, arbitrary: fc.constantFrom(400, 33_000, 65_536).map((length) => new Uint8Array(length)) },
);
const topic = fc.constantFrom('x', 'y', 'x/y', '$SYS/x');
const filter = fc.constantFrom('#', '+', 'x', 'x/#', 'honest/#', '$share/g/x', '$share/g/honest/t', '$SYS/#', 'bad#');

const seconds = fc.constantFrom(0, 1, 3_600, 0xffff_ffff);

/** What only 5.0 has. */
function since5<Value extends object>(of: ProtocolVersion, value: Value): Value | object {
  return of === 5 ? value : {};
}

function connects(of: ProtocolVersion): fc.Arbitrary<Packet> {
  const will = fc.option(fc.record({ topic, qos, retain: fc.boolean(), delay: seconds }));
  return fc
    .record({
      clientId: fc.constantFrom('p', 'q', 'r'),
      cleanStart: fc.boolean(),
      expiry: seconds,
      small: fc.integer({ min: 1, max: 60 }),
      will,
      bits: fc.nat(7),
    })
    .map(({ expiry, small, will: last, bits, ...rest }): Packet => {
      const properties = {
        sessionExpiryInterval: expiry,
        ...((bits & 1) === 0 ? {} : { receiveMaximum: small }),
        ...((bits & 2) === 0 ? {} : { maximumPacketSize: small * 3 }),
        ...((bits & 4) === 0 ? {} : { topicAliasMaximum: small }),
      };
      const connect = {
        type: PacketType.Connect,
        version: of,
        keepAlive: bits,
        ...rest,
        ...since5(of, { properties }),
      };
      if (last === null) return connect;
      const { delay, ...fields } = last;
      const delayed = since5(of, { properties: { willDelayInterval: delay } });
      return { ...connect, will: { payload: new Uint8Array(3), ...fields, ...delayed } };
    });
}

function publishes(of: ProtocolVersion): fc.Arbitrary<Packet> {
  const flags = { retain: fc.boolean(), dup: fc.boolean() };
  return fc
    .record({ topic, qos, packetId, payload, ...flags, alias: fc.nat(3), life: fc.option(seconds) })
    .map(({ alias, life, ...rest }) => {
      const properties = {
        ...(alias === 0 ? {} : { topicAlias: alias }),
        ...(life === null ? {} : { messageExpiryInterval: life }),
      };
      const sent = { dup: rest.dup && rest.qos > 0, packetId: rest.qos === 0 ? 0 : rest.packetId };
      return publish({ ...rest, ...sent, ...since5(of, { properties }) });
    });
}

function subscribes(of: ProtocolVersion): fc.Arbitrary<Packet> {
  const retainHandling = fc.constantFrom(0 as const, 1 as const, 2 as const);
  const request = fc.record({ filter, qos, noLocal: fc.boolean(), retainHandling }).map((each) => {
    const hasOptions = of === 5 && !each.filter.startsWith('$share');
    return hasOptions ? each : { filter: each.filter, qos: each.qos };
  });
  return fc
    .tuple(packetId, fc.array(request, { minLength: 1, maxLength: 3 }))
    .map(([id, requests]) => subscribe(id, ...requests));
}

function acknowledgements(of: ProtocolVersion): fc.Arbitrary<Packet> {
  const type = fc.constantFrom(PacketType.Puback, PacketType.Pubrec, PacketType.Pubrel, PacketType.Pubcomp);
  return fc.record({ type, packetId, isBad: fc.boolean() }).map(({ isBad, ...rest }): Packet => {
    const bad = rest.type === PacketType.Puback || rest.type === PacketType.Pubrec ? 0x80 : 0x92;
    return { ...rest, reasonCode: isBad && of === 5 ? bad : 0 };
  });
}

/** Packets that mean something to one another: few ids, few topics, few client ids. */
function meaningful(of: ProtocolVersion): fc.Arbitrary<Packet> {
  const unsubscribes = fc
    .tuple(packetId, filter)
    .map(([id, each]): Packet => ({ type: PacketType.Unsubscribe, packetId: id, filters: [each] }));
  const rest = fc.constantFrom<Packet>(
    { type: PacketType.Pingreq },
    { type: PacketType.Disconnect, reasonCode: 0 },
    { type: PacketType.Disconnect, reasonCode: of === 5 ? 4 : 0 },
  );
  return fc.oneof(
    { weight: 3, arbitrary: connects(of) },
    { weight: 6, arbitrary: publishes(of) },
    { weight: 4, arbitrary: subscribes(of) },
    { weight: 1, arbitrary: unsubscribes },
    { weight: 6, arbitrary: acknowledgements(of) },
    { weight: 2, arbitrary: rest },
  );
}

interface Action {
  readonly peer: number;
  readonly what: 'send' | 'drop' | 'freeze' | 'thaw' | 'wait' | 'publish';
  readonly bytes: Uint8Array;
  readonly ms: number;
}

const legal = version.chain((of) =>
  fc
    .array(fc.oneof({ weight: 5, arbitrary: meaningful(of) }, { weight: 1, arbitrary: anyPacket(of, 'client') }), {
      minLength: 1,
      maxLength: 6,
    })
    .map((packets) => packets.flatMap((each) => encodeIfLegal(each, of))),
);

function encodeIfLegal(packet: Packet, of: ProtocolVersion): Uint8Array[] {
  try {
    return [encodePacket(packet, of, 'client')];
  } catch {
    return []; // 'bad#' and the like: what the encoder refuses comes as a mutation instead.
  }
}

const whole = legal.map((parts) => Uint8Array.from(parts.flatMap((part) => [...part])));
const mutated = fc
  .tuple(whole, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 }), fc.nat())
  .map(([bytes, changes, cut]) => {
    const copy = bytes.slice();
    for (const [at, value] of changes) if (copy.length > 0) copy[at % copy.length] = value;
    return cut % 3 === 0 ? copy.slice(0, cut % (copy.length + 1)) : copy;
  });
const bytes = fc.oneof(
  { weight: 8, arbitrary: whole },
  { weight: 2, arbitrary: mutated },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }) },
);
const action: fc.Arbitrary<Action> = fc.record({
  peer: fc.nat(peers - 1),
  what: fc.oneof(
    { weight: 20, arbitrary: fc.constant('send' as const) },
    { weight: 6, arbitrary: fc.constantFrom<Action['what']>('drop', 'freeze', 'thaw', 'wait', 'wait', 'publish') },
  ),
  bytes,
  ms: fc.constantFrom(0, 100, 1_500, 20_000),
});

/** A pair that keeps to the rules, and checks that everybody else does not matter. */
class HonestPair {
  private readonly publisher: Client;
  private readonly subscriber: Client;
  private sent = 0;
  private received = 0;

  constructor(world: World) {
    this.publisher = world.connect({ clientId: 'honest-publisher', version: 4 });
    this.subscriber = world.connect({
      clientId: 'honest-subscriber',
      cleanStart: false,
      properties: { sessionExpiryInterval: 9_999 },
    });
    this.subscriber.send(subscribe(1, { filter: 'honest/t', qos: 2 }));
    this.subscriber.expect(suback(1, 2));
  }

  exchange(): void {
    const at = ++this.sent;
    const of = (at % 3) as QoS;
    const message = (id: number) =>
      publish({ topic: 'honest/t', qos: of, packetId: of === 0 ? 0 : id, payload: `message ${at}` });
    this.publisher.publishWhole(message(at));
    if (of > 0) this.received++;
    this.subscriber.receiveWhole(message(this.received));
  }

  expectNothing(): void {
    this.publisher.expectNothing();
    this.subscriber.expectNothing();
    assert.equal(this.publisher.isClosed || this.subscriber.isClosed, false);
  }
}

function run(store: StoreKind, actions: readonly Action[], turnDeliveriesMax: number): void {
  const limits = {
    turnDeliveriesMax,
    queueMessagesMax: 20,
    queuePrefixMessages: 4,
    receiveMaximum: 6,
    sessionExpiryMax: 30,
    unsentBytesMax: 2_000,
    unsentBytesStalledMax: 500,
    retainedMessagesMax: 3,
    subscriptionsPerSessionMax: 3,
    packetBytesMax: 70_000,
    internedTopicsMax: 5,
  };
  const world = new World({ store, limits: { ...limits, sessionExpiryMax: 20_000 } });
  const pair = new HonestPair(world);
  const clients: Client[] = [];
  for (const { peer, what, bytes: raw, ms } of actions) {
    let client = clients[peer];
    if (client === undefined || client.isClosed) {
      client = world.open();
      client.isDeaf = true;
      clients[peer] = client;
      // Most begin with a CONNECT, or nothing would ever get further.
      const first = world.clients.length % 5;
      if (first > 0) {
        const of = ([3, 4, 5, 5] as const)[first - 1] as ProtocolVersion;
        const properties = of === 5 ? { properties: { sessionExpiryInterval: 100, topicAliasMaximum: 2 } } : {};
        client.sendRaw(
          encodePacket(
            {
              type: PacketType.Connect,
              version: of,
              clientId: `p${peer}`,
              cleanStart: false,
              keepAlive: 0,
              ...properties,
            },
            of,
            'client',
          ),
        );
      }
    }
    if (what === 'send') client.sendRaw(raw);
    else if (what === 'drop') client.drop();
    else if (what === 'freeze') client.freeze();
    else if (what === 'thaw') client.thaw();
    else if (what === 'publish') world.publish('x', 'inside', { qos: 1, retain: ms === 0 });
    else world.advance(ms);
    pair.expectNothing();
    if (raw.length % 4 === 0) pair.exchange();
  }
  for (const client of clients) client?.drop();
  pair.exchange();
  pair.expectNothing();
  // Nothing stays of those who were here, once their sessions have expired.
  world.advance(21_000_000);
  const { state } = world.core;
  assert.deepEqual([...state.sessions.keys()].sort(), ['honest-publisher', 'honest-subscriber']);
  assert.equal(state.router.count, 1);
  assert.equal(state.connections.size, 2);
  assert.equal(state.unsentTotal, 0);
}

for (const store of storeKinds) {
  test(`anything from anybody harms nobody else, ${store} [MQTT-4.13.1-1]`, () => {
    fc.assert(
      fc.property(fc.array(action, { minLength: 5, maxLength: 60 }), fc.constantFrom(3, 20_000), (actions, budget) => {
        run(store, actions, budget);
      }),
      { numRuns: 60 },
    );
  });
}
