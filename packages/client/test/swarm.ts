/**
 * Clients and the broker, both of them their real cores, in one world of virtual time: bytes come in pieces, links are cut at
 * any byte, applications are slow. Everything follows from the seed.
 *
 * First faults, then healing; then every message that was asked for must have been answered, and every subscriber must have it:
 * QoS 2 once, QoS 1 at least once, and one publisher's messages in their order.
 */
import assert from 'node:assert/strict';
import { encodeUtf8, type QoS, viewOf } from '@pipit/protocol';
import { World } from '../../broker/test/scenarios/world.ts';
import { Prng } from '../../broker/test/sim/prng.ts';
import { Outgoing } from '../src/core/call.ts';
import { Core } from '../src/core/core.ts';
import type { Effect } from '../src/core/effect.ts';
import { Interest, SubscribeCall } from '../src/core/interests.ts';
import type { Message } from '../src/core/message.ts';
import { defaultLimits, defaultReconnect } from '../src/core/options.ts';

type BrokerConnection = ReturnType<World['core']['opened']>;

/** Two directions of bytes between a client and the broker. It is the broker world's `tag` of its connection, and takes its writes. */
class Wire {
  readonly connection: BrokerConnection;
  readonly toBroker: Uint8Array[] = [];
  readonly toClient: Uint8Array[] = [];
  isPaused = false;
  /** The broker has closed, or the client: nothing follows what is on the way. */
  isClosed = false;
  isLeft = false;
  readonly #world: World;

  constructor(world: World, number: number) {
    this.#world = world;
    const entropy = new Uint8Array(16).fill(number);
    const peer = { transport: 'memory', address: `wire-${number}`, listener: 'memory' } as const;
    this.connection = world.core.opened(peer, entropy, world.now);
    this.connection.tag = this;
  }

  flush(): void {
    for (let slab = this.connection.shift(); slab !== null; slab = this.connection.shift()) {
      this.toClient.push(slab.bytes.slice(0, slab.length));
      this.#world.core.written(this.connection, slab, 0, this.#world.now);
    }
  }
}

/** What the application asked to be published: `payload` names it in the whole world. */
interface Asked {
  readonly payload: string;
  readonly topic: string;
  readonly from: number;
  readonly message: Outgoing;
}

class SwarmClient {
  readonly core: Core;
  readonly number: number;
  wire: Wire | null = null;
  wantsToDial = false;
  isReadingPaused = false;
  /** With the application, not dealt with. */
  readonly held: Message[] = [];
  readonly received: { readonly payload: string; readonly topic: string; readonly qos: QoS }[] = [];
  readonly endings: string[] = [];

  constructor(number: number, version: 4 | 5, seed: number, now: number) {
    this.number = number;
    this.core = new Core(
      {
        version,
        clientId: `client-${number}`,
        // Before 5.0 a clean session does not outlive a connection.
        cleanStart: version === 5,
        sessionExpirySeconds: 0xffff_ffff,
        keepAliveSeconds: 60,
        username: null,
        password: null,
        will: null,
        authentication: null,
        requestResponseInformation: false,
        requestProblemInformation: true,
        userProperties: [],
        limits: { ...defaultLimits, receiveMaximum: 5, sendMaximum: 8, attemptsMax: 1_000_000 },
        reconnect: { ...defaultReconnect, minMs: 50, maxMs: 1_000 },
        servers: 1,
        outboxOverflow: 'refuse',
        followServerReference: false,
      },
      seed,
    );
    this.core.start(now);
  }
}

export class Swarm {
  readonly world: World;
  readonly clients: SwarmClient[];
  readonly asked: Asked[] = [];
  readonly #random: Prng;
  #wires = 0;
  cuts = 0;

  constructor(seed: number) {
    this.#random = new Prng(seed);
    this.world = new World({ store: this.#random.pick(['none', 'instant']) });
    this.clients = Array.from({ length: 4 }, (_, number) => {
      const version = this.#random.chance(50) ? 5 : 4;
      return new SwarmClient(number, version, this.#random.next(), this.world.now);
    });
  }

  run(steps: number): void {
    this.#subscribeAll();
    for (let step = 0; step < steps; step++) this.#step();
    this.#heal();
    this.#judge();
  }

  // ── Faults

  #step(): void {
    const client = this.#random.pick(this.clients);
    switch (this.#random.weighted({ publish: 20, carry: 60, consume: 15, advance: 6, cut: 3 })) {
      case 'publish':
        return this.#publish(client);
      case 'consume':
        return this.#consume(client);
      case 'advance':
        return this.#advance(this.#random.between(1, 400));
      case 'cut':
        return this.#cut(client);
      default:
        return this.#carry(client, this.#random.chance(50));
    }
  }

  #publish(client: SwarmClient): void {
    const qos = this.#random.pick([1, 2] as const);
    const topic = `t/${this.#random.below(this.clients.length)}`;
    const payload = `${client.number}:${this.asked.length}`;
    const message = new Outgoing(topic, encodeUtf8(payload), qos, false, null);
    this.asked.push({ payload, topic, from: client.number, message });
    client.core.publish(message, this.world.now);
    this.#turn(client);
  }

  #consume(client: SwarmClient): void {
    const [message] = client.held.splice(this.#random.below(client.held.length), 1);
    if (message === undefined) return;
    client.core.consumed(message, 0);
    this.#turn(client);
  }

  /** Moves some bytes one way; in pieces while there are faults. */
  #carry(client: SwarmClient, isUp: boolean): void {
    const { wire } = client;
    if (wire === null) {
      if (client.wantsToDial) this.#open(client);
      return;
    }
    const queue = isUp ? wire.toBroker : wire.toClient;
    const first = queue[0];
    if (first === undefined) return this.#ended(client, wire, isUp);
    if (isUp ? wire.isPaused : client.isReadingPaused) return;
    const count = this.#random.chance(70) ? first.length : this.#random.between(1, first.length);
    if (count === first.length) queue.shift();
    else queue[0] = first.subarray(count);
    const piece = first.slice(0, count);
    if (isUp) {
      if (!wire.isClosed) this.world.core.received(wire.connection, piece, viewOf(piece), 0, count, this.world.now);
      this.world.settle();
      return;
    }
    client.core.received(piece, viewOf(piece), 0, piece.length, this.world.now);
    this.#turn(client);
  }

  /** One end has closed, and what it sent has arrived: the other end learns of it. */
  #ended(client: SwarmClient, wire: Wire, isUp: boolean): void {
    if (isUp ? wire.isLeft : wire.isClosed) this.#cut(client);
  }

  #cut(client: SwarmClient): void {
    const { wire } = client;
    if (wire === null) return;
    this.cuts++;
    client.wire = null;
    if (!wire.isClosed) this.world.core.closed(wire.connection, this.world.now, 'cut');
    this.world.settle();
    if (!wire.isLeft) client.core.closed('cut', this.world.now);
    this.#turn(client);
  }

  #open(client: SwarmClient): void {
    client.wantsToDial = false;
    client.isReadingPaused = false;
    client.wire = new Wire(this.world, ++this.#wires);
    client.core.opened(this.world.now);
    this.#turn(client);
  }

  #advance(ms: number): void {
    this.world.advance(ms);
    for (const client of this.clients) this.#turn(client);
  }

  /** Everything a client has to say, as its driver would do it. */
  #turn(client: SwarmClient): void {
    const { core } = client;
    do {
      core.tick(this.world.now);
      for (const message of core.takeDeliveries()) {
        client.received.push({ payload: message.text(), topic: message.topic, qos: message.qos });
        client.held.push(message);
      }
      const bytes = client.wire === null ? null : core.output.take();
      if (bytes !== null) {
        client.wire?.toBroker.push(bytes.slice());
        core.output.give(bytes);
        core.left();
      }
      for (const effect of core.takeEffects()) this.#perform(client, effect);
      core.answers.take();
    } while (core.isDirty && client.wire !== null);
  }

  #perform(client: SwarmClient, effect: Effect): void {
    const { wire } = client;
    if (effect.kind === 'dial') client.wantsToDial = true;
    else if (effect.kind === 'pause' || effect.kind === 'resume') client.isReadingPaused = effect.kind === 'pause';
    else if (effect.kind === 'status' && effect.status.state === 'ended')
      client.endings.push(effect.status.why.message);
    else if ((effect.kind === 'close' || effect.kind === 'cut') && wire !== null) {
      client.wire = null;
      // What it sent before it closed still arrives.
      for (const bytes of effect.kind === 'cut' || wire.isClosed ? [] : wire.toBroker) {
        this.world.core.received(wire.connection, bytes, viewOf(bytes), 0, bytes.length, this.world.now);
      }
      if (!wire.isClosed) this.world.core.closed(wire.connection, this.world.now, 'closed');
      this.world.settle();
    }
  }

  // ── Before and after

  #subscribeAll(): void {
    for (const client of this.clients) {
      const interests = [`t/${client.number}`, 't/0'].map((filter) => {
        const request = { filter, qos: 2, noLocal: false, retainAsPublished: false, retainHandling: 0 } as const;
        return new Interest(request, null, [], client);
      });
      const call = new SubscribeCall(interests);
      client.core.subscribe(call, this.world.now);
      this.#turn(client);
      for (let i = 0; !call.isSettled; i++) {
        assert.ok(i < 1_000, 'a subscription is not answered');
        this.#carry(client, i % 2 === 0);
      }
      assert.equal(call.failure, null);
    }
  }

  /** No more faults: carries everything until nothing is left to carry. */
  #heal(): void {
    for (let round = 0; round < 5_000; round++) {
      let isQuiet = true;
      for (const client of this.clients) {
        for (const isUp of [true, false]) this.#carry(client, isUp);
        this.#consume(client);
        const { wire, held, core } = client;
        const isIdle = wire !== null && wire.toBroker.length + wire.toClient.length === 0 && !wire.isClosed;
        if (!isIdle || held.length > 0 || !core.sender.isIdle) isQuiet = false;
      }
      if (isQuiet) return;
      this.#advance(20);
    }
    assert.fail(`it does not come to rest: ${this.clients.map(({ core }) => core.phase).join(', ')}`);
  }

  #judge(): void {
    for (const { endings } of this.clients) assert.deepEqual(endings, []);
    for (const { payload, message } of this.asked) {
      assert.ok(message.isSettled, `${payload} was not answered`);
      assert.equal(message.failure, null, payload);
    }
    for (const client of this.clients) {
      const topics = new Set([`t/${client.number}`, 't/0']);
      for (const { payload, topic, message } of this.asked) {
        const times = client.received.filter((received) => received.payload === payload).length;
        if (!topics.has(topic)) assert.equal(times, 0, `${payload} reached ${client.number}, who did not want it`);
        else if (message.qos === 2) assert.equal(times, 1, `QoS 2 ${payload} reached ${client.number} ${times} times`);
        else assert.ok(times >= 1, `QoS 1 ${payload} never reached ${client.number}`);
      }
      this.#judgeOrder(client);
    }
  }

  /** Per publisher, topic and QoS: the first copies come in the order of the calls [MQTT-4.6.0-6]. */
  #judgeOrder(client: SwarmClient): void {
    const last = new Map<string, number>();
    const seen = new Set<string>();
    for (const { payload, topic, qos } of client.received) {
      if (seen.has(payload)) continue;
      seen.add(payload);
      const [from = '', index = ''] = payload.split(':');
      const line = `${from} ${topic} ${qos}`;
      assert.ok(Number(index) > (last.get(line) ?? -1), `${payload} came after ${last.get(line)} on ${topic}`);
      last.set(line, Number(index));
    }
  }
}
