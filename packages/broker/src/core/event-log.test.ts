import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Deadlines } from './deadlines.ts';
import { EventLog } from './event-log.ts';
import type { BrokerEvent } from './events.ts';
import type { State } from './state.ts';

const intervalMs = 1_000;

function dropped(clientId: string, topic = 't') {
  return { type: 'dropped', clientId, topic, reason: 'expired', count: 1 } as const;
}

/** A log, what it told, and the end of its interval. */
function observed() {
  const told: BrokerEvent[] = [];
  const deadlines = new Deadlines();
  let now = 0;
  const log = new EventLog(intervalMs, (event) => told.push(event));
  const count = (clientId: string, topic?: string) => log.count(dropped(clientId, topic), deadlines, now);
  const endInterval = () => {
    now += intervalMs;
    deadlines.take(now)?.fire({ deadlines, now } as State);
  };
  return { told, deadlines, count, endInterval };
}

test('a kind is told at once, and what follows within its interval at the end of it', () => {
  const { told, deadlines, count, endInterval } = observed();
  count('a');
  count('a');
  count('a');
  assert.deepEqual(told, [dropped('a')]);
  endInterval();
  assert.deepEqual(told.at(-1), { ...dropped('a'), count: 2 });
  endInterval();
  assert.equal(deadlines.next, Number.POSITIVE_INFINITY);
});

test('what a flood of kinds names is bounded in characters, and gone with its interval', () => {
  const { told, deadlines, count, endInterval } = observed();
  const long = 'x'.repeat(65_000);
  // Of different lengths: engines hash texts of this size by their length alone, and comparing them all is slow.
  const nameOf = (i: number) => long.slice(i);
  for (let i = 0; i < 2_000; i++) count(nameOf(i), long);
  const kinds = told.length;
  assert.ok(kinds > 100 && kinds < 150, `${kinds} kinds are kept`);
  count(nameOf(0), 't');
  endInterval();
  assert.equal(told.length, kinds + 1);
  endInterval();
  assert.equal(deadlines.next, Number.POSITIVE_INFINITY);
  for (let i = 0; i < 2_000; i++) count(nameOf(i), long);
  assert.equal(told.length, 2 * kinds + 1, 'as much as before');
});
