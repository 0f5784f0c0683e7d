/**
 * A broker's life in virtual time: the driver of the core, its network, its store and its clients, all from one seed.
 *
 * Here is what happens; what of it is right is for the oracle to say. Whatever the core is given passes through `input`, so that
 * the oracle knows on whose behalf, and every packet the core takes up is shown to the oracle first.
 */

import { decodePacket, Framer, viewOf } from '@pipit/protocol';
import {
  type AuthenticationRequest,
  type Batch,
  type Connection,
  type Core,
  defaultLimits,
  type Effect,
  type FetchRequest,
  type Limits,
  type PageRequest,
  type Permissions,
  type Rule,
  type StoredState,
  type Verdict,
} from '../../src/core/index.ts';
import { Client } from './client.ts';
import { Disk, type DiskWorld } from './disk.ts';
import type { Engine } from './engine.ts';
import { type Faults, faultsOf } from './faults.ts';
import { listen, watchFrames } from './hooks.ts';
import { Link } from './link.ts';
import { noteMade } from './made.ts';
import { Marks } from './marks.ts';
import { Model, type Snapshot, View } from './model.ts';
import type { SimOptions } from './options.ts';
import { Oracle } from './oracle.ts';
import { Prng } from './prng.ts';
import { reviewing } from './reviewing.ts';
import { salvage } from './salvage.ts';
import { Schedule } from './schedule.ts';
import { SimulationFailure, Trace } from './trace.ts';
import { judgeTurn } from './turn-end.ts';
import { WallClock } from './wall-clock.ts';
import { judgeWritten } from './written.ts';

const worldStart = 1_700_000_000_000;
/** Turns in a row without the clock moving, after which the core is said not to come to rest. */
const idleTurnsMax = 20_000;

export class Simulation {
  readonly options: SimOptions;
  readonly prng: Prng;
  readonly trace: Trace;
  readonly marks = new Marks();
  readonly schedule = new Schedule(worldStart);
  readonly model = new Model();
  readonly oracle: Oracle;
  readonly disk: Disk<Snapshot> | null;
  readonly clients: Client[] = [];
  readonly faults: Faults;
  readonly permissions = new Map<string, Permissions>();
  readonly limits: Limits;
  core: Core;
  turns = 0;
  private readonly engine: Engine;
  private readonly views = new Map<Link, View>();
  private readonly observers = new Map<Link, Framer>();
  private readonly deliveredCounts = new Map<number, number>();
  private readonly wall = new WallClock();
  private links: Link[] = [];
  private messages = 0;
  private opened = 0;
  private run = 0;
  private bootedAt = worldStart;
  private turnAt = Number.POSITIVE_INFINITY;
  private turnedAt = worldStart;
  private idleTurns = 0;
  private inputs = 0;
  private deliveries = 0;

  constructor(options: SimOptions, engine: Engine, print = false) {
    this.options = options;
    this.engine = engine;
    this.prng = new Prng(options.seed, 1);
    this.trace = new Trace(print);
    this.limits = { ...defaultLimits, ...options.limits };
    this.faults = faultsOf(options);
    this.disk = options.disk === null ? null : this.newDisk();
    this.oracle = new Oracle({
      model: this.model,
      limits: this.limits,
      disk: this.disk,
      queueQos0: options.queueQos0,
      queueOverflow: options.queueOverflow,
      now: () => this.schedule.now,
      timeOf: (coreMs) => coreMs - this.coreNow + this.schedule.now,
      isThere: (clientId) => this.core.state.sessions.has(clientId),
      estatesOf: (clientId) =>
        [...this.core.state.sessions.values()].filter((each) => each.isEstate && each.clientId === clientId).length,
      isInFlight: (clientId, packetId) =>
        (this.core.state.sessions.get(clientId)?.window?.stateOf(packetId) ?? 0) !== 0,
      mark: (name) => this.marks.add(name),
      trace: (line) => this.trace.add(this.schedule.now - worldStart, line),
    });
    for (let i = 0; i < options.clients; i++) this.clients.push(this.newClient(`c${i}`));
    this.core = this.boot(null);
  }

  private newDisk(): Disk<Snapshot> {
    const { engine, faults, prng, model } = this;
    const world: DiskWorld<Snapshot> = {
      prng,
      faults,
      later: (maximumMs, give) => this.later(maximumMs, give),
      mark: (name) => this.marks.add(name),
      log: (line) => this.log(line),
      salvage: (found, kept, snapshot) => salvage(model, found, { kept, snapshot }, this.wall.lastSealed(found)),
    };
    return engine.newDisk?.<Snapshot>(this.options.seed, world) ?? new Disk(world);
  }

  private newClient(clientId: string): Client {
    const username = `u-${clientId}`;
    if (this.options.permissions) {
      const rules: Rule[] = [{ effect: 'allow', action: 'all', filter: '#' }];
      this.permissions.set(username, new this.engine.Permissions(rules));
      this.model.rules.set(username, rules);
    }
    return new Client(clientId, username, this.prng.pick(this.options.versions), {
      schedule: this.schedule,
      prng: this.prng,
      ackDelayMs: () => this.faults.ackDelayMs,
      refusePercent: () => this.faults.refusePercent,
      nextMessage: () => this.nextMessage(),
      generationOf: (link) => this.views.get(link)?.session?.generation ?? 0,
      delivered: (client, packetId) => this.delivered(client, packetId),
      fail: (rule) => this.oracle.fail(rule),
    });
  }

  get coreNow(): number {
    return 1000 + this.schedule.now - this.bootedAt;
  }

  nextMessage(): number {
    return ++this.messages;
  }

  log(line: string): void {
    this.trace.add(this.schedule.now - worldStart, line);
  }

  viewOf(link: Link): View | undefined {
    return this.views.get(link);
  }

  /** Links whose broker end is open. */
  get openLinks(): readonly Link[] {
    this.links = this.links.filter((link) => !link.isBrokerClosed || (link.isFrozen && !link.isClientClosed));
    return this.links;
  }

  // ── the broker's process

  /** Starts the broker on what is on its disk. */
  boot(stored: StoredState | null): Core {
    this.run++;
    this.bootedAt = this.schedule.now;
    this.turnAt = Number.POSITIVE_INFINITY;
    const { seed, limits, queueQos0, queueOverflow } = this.options;
    const rest = { durability: this.disk === null ? 'memory' : 'fsync', sysIntervalMs: null } as const;
    const options = { seed, limits, queueQos0, queueOverflow, ...rest, ...reviewing(seed, this) };
    const core = new this.engine.Core(options, this.coreNow, this.wallOffsetMs);
    listen(core, this.oracle, ({ clientId }) => this.startIds(core, clientId));
    this.core = core;
    if (stored !== null) this.input(null, () => [...core.restore(stored, this.coreNow)]);
    this.planTurn(this.schedule.now);
    return core;
  }

  private startIds(core: Core, clientId: string): void {
    if (this.options.firstPacketId === 1) return;
    const session = core.state.sessions.get(clientId);
    if (session === undefined || session.window !== null) return;
    session.window = new this.engine.SendWindow();
    session.window.startAt(this.options.firstPacketId);
  }

  /** The power goes, at this moment; the broker starts again on what was committed. */
  crash(isBatchWritten: boolean): void {
    const { disk, core, model, marks } = this;
    if (disk?.isCommitting === true) marks.add('power lost in mid-commit');
    for (const connection of core.state.connections) if (connection.isHolding) marks.add('power lost with acks held');
    if ([...model.sessions.values()].some((session) => session.will !== null))
      marks.add('power lost with a will pending');
    this.log(`power lost, batch under way ${isBatchWritten ? 'written' : 'lost'}`);
    this.oracle.forget();
    for (const link of this.openLinks) link.cut();
    this.start(disk?.losePower(isBatchWritten) ?? null);
  }

  /** Says goodbye to everybody, waits until all is on the disk, and starts again. */
  restart(): void {
    this.log('graceful stop');
    this.oracle.isStopping = true;
    this.input(null, () => this.core.stop(this.coreNow));
    const deadline = this.schedule.now + 10_000;
    while (!this.core.isQuiet() && this.schedule.next <= deadline) this.schedule.step();
    const isClean = this.core.isQuiet();
    if (isClean) this.marks.add('graceful restart');
    for (const link of this.openLinks) link.cut();
    this.oracle.forget();
    this.start(this.disk?.restart() ?? null);
  }

  private start(stored: StoredState | null): void {
    const { now } = this.schedule;
    const delayMs = stored === null ? 0 : this.wall.delayOf(stored, now);
    if (delayMs !== 0) this.marks.add('restart after the wall clock was set');
    this.model.restore(this.disk?.snapshot ?? null, now, delayMs);
    for (const session of this.model.sessions.values()) {
      if (session.isRemnant)
        session.loseUnstored([...(this.disk?.sessions.get(session.clientId)?.queue.values() ?? [])]);
    }
    this.boot(stored);
  }

  private get wallOffsetMs(): number {
    return this.schedule.now + this.wall.aheadMs - this.coreNow;
  }

  /** The operator sets the wall clock, so many milliseconds ahead of what it should be. */
  setClock(aheadMs: number): void {
    this.log(`wall clock ${aheadMs} ms ahead`);
    this.marks.add('wall clock set');
    this.wall.aheadMs = aheadMs;
    this.input(null, () => this.core.wallStepped(this.wallOffsetMs, this.coreNow));
  }

  /** Lets time pass. */
  runFor(ms: number): void {
    const end = this.schedule.now + ms;
    while (this.schedule.next <= end) this.schedule.step();
    this.schedule.now = end;
  }

  changePermissions(name: string, permissions: Permissions, rules: readonly Rule[]): void {
    // A turn now, so that what was written before is not taken for what comes after.
    this.turn();
    this.input(null, () => {
      this.model.rules.set(name, rules);
      for (const session of this.model.sessions.values()) {
        if (session.permissions === name) for (const replay of session.replays) replay.mayLackSome = true;
      }
      this.core.permissionsChanged(permissions, rules, this.coreNow);
    });
  }

  // ── inputs

  /** Gives the core something, on behalf of a connection or of nobody. */
  input(link: Link | null, give: () => void): void {
    this.oracle.acting = link === null ? null : (this.views.get(link) ?? null);
    give();
    this.oracle.finish();
    this.fed();
  }

  private fed(): void {
    this.oracle.finish();
    this.inputs++;
    this.planTurn(this.schedule.now + this.prng.below(this.faults.turnDelayMs + 1));
  }

  /** A new network connection. `refusals`: reason codes with which the broker must refuse its CONNECT. */
  open(
    toClient: (link: Link, bytes: Uint8Array | null) => void,
    refusals: readonly number[],
    willNumber: number,
  ): Link {
    const number = ++this.opened;
    const entropy = new Uint8Array(16);
    for (let i = 0; i < 16; i++) entropy[i] = this.prng.below(256);
    const peer = { transport: 'memory', address: `peer-${number}`, listener: 'memory' } as const;
    const connection = this.core.opened(peer, entropy, this.coreNow);
    const link: Link = new Link(number, this.core, connection, this.schedule, this.prng, this.faults, {
      toClient: (bytes) => toClient(link, bytes),
      fed: () => this.fed(),
      coreNow: () => this.coreNow,
      acting: () => {
        this.oracle.acting = this.views.get(link) ?? null;
      },
      split: () => this.marks.add('packet split by the network'),
    });
    connection.tag = link;
    const view = new View(link, new Set(refusals));
    view.willNumber = willNumber;
    this.views.set(link, view);
    this.observers.set(link, new Framer(1 << 24));
    this.links.push(link);
    watchFrames(view, connection, this.oracle);
    this.planTurn(this.schedule.now);
    return link;
  }

  // ── turns

  private planTurn(at: number): void {
    if (at >= this.turnAt || at === Number.POSITIVE_INFINITY) return;
    const { run } = this;
    this.turnAt = at;
    this.schedule.at(at, () => {
      if (this.turnAt === at && this.run === run) this.turn();
    });
  }

  private turn(): void {
    this.turnAt = Number.POSITIVE_INFINITY;
    this.turns++;
    this.idleTurns = this.turnedAt === this.schedule.now ? this.idleTurns + 1 : 0;
    this.oracle.expect(this.idleTurns < idleTurnsMax, 'the core does not come to rest');
    this.oracle.acting = null;
    const { writes, effects } = this.core.take(this.coreNow);
    if (this.core.state.dirty.length > 0) this.marks.add('deliveries kept in a burst');
    this.oracle.finish();
    this.judgeBudget();
    this.noteMade();
    // What the batch holds is what is known now: performing the effects may bring in more.
    const isSealed = effects.some(({ kind }) => kind === 'commit');
    const snapshot = isSealed ? this.model.snapshot() : null;
    for (const connection of [...writes]) this.write(connection);
    for (const effect of [...effects]) this.perform(effect, snapshot);
    this.turnedAt = this.schedule.now;
    this.oracle.turnBegan = this.schedule.now;
    this.engine.checkInvariants(this.core);
    this.noteMade();
    judgeTurn(this);
    const due = this.core.deadline();
    this.planTurn(due <= this.coreNow ? this.schedule.now : due + this.schedule.now - this.coreNow);
  }

  private noteMade(): void {
    for (const { view } of this.model.sessions.values()) if (view !== null) noteMade(this.oracle, view);
  }

  private write(connection: Connection): void {
    const link = connection.tag as Link;
    const view = this.views.get(link) as View;
    for (;;) {
      // Writing may have made more: a reader that is shed leaves a will, and shared messages, behind.
      this.oracle.finish();
      noteMade(this.oracle, view);
      const slab = connection.shift();
      if (slab === null) return;
      this.observe(link, slab.bytes.slice(0, slab.length));
      link.write(slab);
    }
  }

  private observe(link: Link, bytes: Uint8Array): void {
    const view = this.views.get(link) as View;
    const framer = this.observers.get(link) as Framer;
    framer.feed(bytes, viewOf(bytes), 0, bytes.length);
    while (framer.next()) {
      const length = framer.end - framer.start;
      this.oracle.expect(
        length <= view.packetBytesMax,
        `a packet of ${length} bytes for a peer that takes ${view.packetBytesMax}`,
      );
      const packet = decodePacket(framer.bytes, framer.start, framer.end, link.connection.version, 'server');
      judgeWritten(this.oracle, view, packet);
    }
  }

  /** Two budgets between two turns, one for inputs and one for waiting work; a PUBLISH is the atom. */
  private judgeBudget(): void {
    const sent = this.core.metrics.publishesSent.total;
    const deliveries = sent < this.deliveries ? sent : sent - this.deliveries;
    this.deliveries = sent;
    const atom = this.model.sessions.size + 4;
    const most = 2 * this.limits.turnDeliveriesMax + (this.inputs + 2) * atom;
    this.inputs = 0;
    this.oracle.expect(
      this.oracle.isStopping || deliveries <= most,
      `${deliveries} deliveries in a turn, ${most} are allowed`,
    );
  }

  // ── effects

  private perform(effect: Effect, snapshot: Snapshot | null): void {
    switch (effect.kind) {
      case 'pause':
        this.marks.add('connection paused');
        if (!effect.connection.isStalled) this.marks.add('budget spent in mid-chunk');
        return (effect.connection.tag as Link).pause();
      case 'resume':
        return (effect.connection.tag as Link).resume();
      case 'close':
        return (effect.connection.tag as Link).close(effect.linger);
      case 'authenticate':
        return this.authenticate(effect.connection, effect.exchange, effect.request);
      case 'commit':
        return this.commit(effect.batch, snapshot as Snapshot);
      case 'page':
        return this.page(effect.request);
      case 'fetch':
        return this.fetch(effect.request);
      default:
    }
  }

  private later(maximumMs: number, give: () => void): void {
    const { run } = this;
    this.schedule.at(this.schedule.now + this.prng.below(maximumMs + 1), () => {
      if (this.run === run) give();
    });
  }

  private authenticate(connection: Connection, exchange: number, request: AuthenticationRequest): void {
    this.later(this.faults.authorityDelayMs, () => {
      this.input(connection.tag as Link, () =>
        this.core.authenticated(connection, exchange, this.verdict(request), this.coreNow),
      );
    });
  }

  private verdict({ username, password, clientId }: AuthenticationRequest): Verdict {
    if (password?.[0] !== 1) return { outcome: 'refuse', reasonCode: 0x86 };
    const owner = this.model.sessions.get(clientId)?.principal;
    // A stranger is only let through where the core has to turn it away.
    if (username !== `u-${clientId}` && owner === undefined) return { outcome: 'refuse', reasonCode: 0x87 };
    const permissions = this.permissions.get(username ?? '');
    return { outcome: 'accept', principal: username, ...(permissions === undefined ? {} : { permissions }) };
  }

  private commit(batch: Batch, snapshot: Snapshot): void {
    this.wall.sealed(batch, this.schedule.now);
    this.disk?.write(batch, snapshot, (error) => this.committed(batch.number, error));
  }

  private committed(number: number, error: string | null): void {
    this.log(`batch ${number} ${error === null ? 'committed' : `failed: ${error}`}`);
    this.oracle.isFailing = error !== null;
    this.oracle.diskAnsweredAt = this.schedule.now;
    const isHolding = [...this.core.state.connections].some((connection) => connection.isHolding);
    if (error !== null && isHolding) this.marks.add('ack held across a failed commit');
    this.input(null, () => this.core.committed(number, error, this.coreNow));
  }

  private page(request: PageRequest): void {
    this.disk?.readPage(request, (deliveries) => {
      if (deliveries === null) this.marks.add('page failed');
      else if (deliveries.length > 0) this.marks.add('queue paged in from the store');
      this.log(
        `page of ${request.key} after ${request.after}: ${deliveries?.map(({ sequence }) => sequence).join() ?? 'failed'}`,
      );
      const error = deliveries === null ? 'cannot read' : null;
      const page = deliveries === null ? null : { deliveries, lost: [] };
      this.input(null, () => this.core.paged(request.number, page, error, this.coreNow));
    });
  }

  private fetch(request: FetchRequest): void {
    this.disk?.readMessages(request, (messages) => {
      this.marks.add(messages === null ? 'fetch failed' : 'retained message read from the store');
      this.log(`fetch of ${request.messages.map(({ topic }) => topic).join()}`);
      this.input(null, () => this.core.fetched(request.number, messages, 'cannot read', this.coreNow));
    });
  }

  // ── what clients report

  private delivered(client: Client, packetId: number): void {
    const serial = client.link === null ? undefined : this.views.get(client.link)?.sent.get(packetId);
    if (serial === undefined) return;
    const count = (this.deliveredCounts.get(serial) ?? 0) + 1;
    this.deliveredCounts.set(serial, count);
    if (count > 1) throw new SimulationFailure(`a QoS 2 message came twice to ${client.clientId}`);
  }
}
