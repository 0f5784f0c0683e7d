/**
 * The whole broker under a script: nothing is thrown, invariants and bounds hold, an honest pair notices nothing, and when the
 * hostile peers and all they left are gone every table is back where it was.
 */

import assert from 'node:assert/strict';
import { packetTypeName } from '@pipit/protocol';
import type { Features, Target } from '../../../protocol/test/fuzz/target.ts';
import { script } from './arbitrary.ts';
import { Arena, type Socket } from './arena.ts';
import { sizesOf } from './bounds.ts';
import { HonestPair } from './honest-pair.ts';
import { afterEverythingMs, smallLimits } from './limits.ts';
import { type KeptScript, keepScript, type PeerStep, restoreScript, type Script, type Step } from './script.ts';

class Run {
  private readonly arena: Arena;
  private readonly sockets: (Socket | undefined)[] = [];
  private inside = 0;
  private answers = 0;

  constructor(arena: Arena) {
    this.arena = arena;
    const { core, now } = arena;
    core.subscribe({ filters: ['inside/#', 'x'], clientId: 'inside' }, now);
    core.subscribe({ filters: ['claim/#'], claim: true, clientId: 'claim' }, now);
    arena.settle();
  }

  step(step: Step): void {
    const { arena } = this;
    const { core, authority } = arena;
    if ('peer' in step) return this.peerStep(step);
    switch (step.do) {
      case 'wait':
        arena.advance(step.ms);
        return;
      case 'verdict': {
        const question = authority.open.shift();
        if (question === undefined) return;
        core.authenticated(question.connection, question.exchange, authority.decide(question.request), arena.now);
        break;
      }
      case 'permit':
        core.permissionsChanged(authority.permissions, authority.nextRules(), arena.now);
        break;
      case 'inside': {
        const publish = { topic: 'x', payload: Uint8Array.of(1), qos: 1, retain: this.inside % 2 === 1 } as const;
        core.publish(publish, ++this.inside, arena.now);
        break;
      }
      case 'settle':
        this.settleOne();
        break;
      default:
        this.storeStep(step.do);
    }
    arena.settle();
  }

  private settleOne(): boolean {
    const { arena } = this;
    const next = arena.delivered.shift();
    if (next === undefined) return false;
    arena.core.settled(next.subscriber, next.token, ++this.answers % 3 === 0 ? 0x83 : 0, arena.now);
    return true;
  }

  private storeStep(what: 'stall' | 'flow' | 'break' | 'heal' | 'break-pages'): void {
    const { store } = this.arena;
    if (store === null) return;
    if (what === 'stall' || what === 'flow') store.isStalled = what === 'stall';
    else if (what === 'break-pages') store.isPagingBroken = true;
    else {
      store.isBroken = what === 'break';
      if (what === 'heal') store.isPagingBroken = false;
    }
  }

  private peerStep(step: PeerStep): void {
    const { arena } = this;
    const known = this.sockets[step.peer];
    const isThere = known !== undefined && !known.isClosed;
    if (step.do === 'hello' && isThere) return;
    if (!isThere && !('bytes' in step)) return;
    const socket = isThere ? known : arena.open(false);
    this.sockets[step.peer] = socket;
    switch (step.do) {
      case 'hello':
      case 'send':
        arena.features.add(`in phase ${socket.connection.phase}: ${packetTypeName((step.bytes[0] ?? 0) >> 4)}`);
        arena.send(socket, step.bytes);
        return;
      case 'trickle':
        for (const byte of step.bytes) arena.send(socket, Uint8Array.of(byte));
        return;
      case 'freeze':
        socket.isFrozen = true;
        return;
      case 'thaw':
        arena.thaw(socket);
        return;
      case 'drop':
        arena.drop(socket);
        socket.isClosed = true;
    }
  }

  /** Somebody is not read although no answer of the authority is due. */
  private waitsForNothing(): boolean {
    const { open } = this.arena.authority;
    return this.sockets.some(
      (socket) =>
        socket?.isPaused === true &&
        !socket.isClosed &&
        !open.some(({ connection }) => connection === socket.connection),
    );
  }

  /** The disk is well again, everybody leaves, and what was left behind expires. */
  leave(): void {
    const { arena } = this;
    this.storeStep('flow');
    this.storeStep('heal');
    arena.settle();
    for (const socket of this.sockets) if (socket?.isClosed === false) arena.thaw(socket);
    for (; this.settleOne(); arena.settle());
    // Who sent too fast is read again a little at a time.
    for (let i = 0; i < 20 && this.waitsForNothing(); i++) {
      arena.advance(smallLimits.throttledMsMax);
      for (; this.settleOne(); arena.settle());
    }
    assert.ok(!this.waitsForNothing(), 'who waits for nothing is read again');
    for (const socket of this.sockets) if (socket?.isClosed === false) arena.drop(socket);
    for (; this.settleOne(); arena.settle());
    arena.advance(afterEverythingMs);
  }
}

function run(input: Script, features: Features): void {
  const arena = new Arena(input, features);
  const pair = new HonestPair(arena);
  const hostile = new Run(arena);
  for (let i = 0; i < 3; i++) pair.exchange();
  const before = sizesOf(arena.core);
  for (const step of input.steps) {
    hostile.step(step);
    pair.exchange();
    pair.expectNothing();
  }
  hostile.leave();
  for (let i = 0; i < 3; i++) pair.exchange();
  pair.expectNothing();
  assert.deepEqual(sizesOf(arena.core), before, 'nothing stays of those who were here');
}

export const brokerTarget: Target<Script, KeptScript> = {
  name: 'broker',
  weight: 7,
  arbitrary: script,
  run,
  keep: keepScript,
  restore: restoreScript,
};
