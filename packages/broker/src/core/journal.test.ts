import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Journal } from './journal.ts';
import { Delivery, Message } from './message.ts';
import type { Change } from './ports.ts';
import { QueueTotal } from './queue.ts';
import { Session } from './session.ts';
import { type Topic, TopicTable } from './topic-table.ts';

const topic = new TopicTable(10, 128, 1, () => undefined).internName('t') as Topic;
const unretained = (name: string): Change => ({ kind: 'unretained', topic: name });

function session(key: string): Session {
  const made = new Session(key, key, null, 1, new QueueTotal());
  made.expirySeconds = 60;
  return made;
}

function delivery(sequence: number): Delivery {
  const made = new Delivery(new Message(topic), 1, false, null, null);
  made.sequence = sequence;
  return made;
}

/** Seals at `now`; what it wrote, and the tokens that came free. */
function seal(journal: Journal, now = 0): { kinds: string[] | null; freed: number[] } {
  const freed: number[] = [];
  const batch = journal.seal(now, 1_000 + now, 500, ({ publishes }) => {
    for (const { token } of publishes) freed.push(token);
  });
  return { kinds: batch === null ? null : batch.changes.map(({ kind }) => kind), freed };
}

function commit(journal: Journal, error: string | null, now = 0): number[] {
  const freed: number[] = [];
  assert.ok(journal.inFlight);
  journal.committed(journal.inFlight, error, now, ({ publishes }) => {
    for (const { token } of publishes) freed.push(token);
  });
  return freed;
}

test('one batch at a time: what comes while it is in flight is the next', () => {
  const journal = new Journal();
  assert.deepEqual(seal(journal), { kinds: null, freed: [] });
  journal.record(unretained('a'));
  journal.holdPublish({ token: 1, reasonCode: 0 });
  assert.deepEqual(seal(journal).kinds, ['unretained']);
  assert.deepEqual([journal.inFlight?.number, journal.inFlight?.wall, journal.inFlight?.clock], [1, 1_000, 500]);
  journal.record(unretained('b'));
  journal.holdPublish({ token: 2, reasonCode: 0 });
  assert.deepEqual(seal(journal), { kinds: null, freed: [] });
  assert.deepEqual(commit(journal, null), [1]);
  assert.equal(journal.committedNumber, 1);
  assert.deepEqual(seal(journal).kinds, ['unretained']);
  assert.deepEqual(commit(journal, null), [2]);
  assert.equal(journal.isIdle, true);
});

test('a failed batch is tried again in order, with what came since, not before its time', () => {
  const journal = new Journal();
  journal.record(unretained('a'));
  journal.holdPublish({ token: 1, reasonCode: 0 });
  seal(journal);
  journal.record(unretained('b'));
  assert.deepEqual(commit(journal, 'full', 1_000), []);
  assert.deepEqual([journal.isFailing, journal.retryAt, journal.isIdle], [true, 1_100, false]);
  assert.equal(seal(journal, 1_099).kinds, null);
  seal(journal, 1_100);
  assert.deepEqual(journal.inFlight?.changes, [unretained('a'), unretained('b')]);
  assert.deepEqual(commit(journal, null, 1_200), [1]);
  assert.deepEqual([journal.isFailing, journal.committedNumber], [false, 2]);
});

test('more may wait for one batch than a call takes arguments', () => {
  const journal = new Journal();
  const count = 200_000;
  journal.record(unretained('a'));
  for (let token = 1; token <= count; token++) journal.holdPublish({ token, reasonCode: 0 });
  seal(journal);
  commit(journal, 'full');
  journal.holdPublish({ token: count + 1, reasonCode: 0 });
  seal(journal, 1_000);
  const freed = commit(journal, null, 1_000);
  assert.deepEqual([freed.length, freed[0], freed.at(-1)], [count + 1, 1, count + 1]);
});

test('what is settled before it is sealed is not written; what was written and is settled then, is', () => {
  const journal = new Journal();
  const owner = session('s');
  const [early, late] = [delivery(1), delivery(2)];
  journal.queued(owner, early);
  journal.queued(owner, late);
  journal.settled(owner, early);
  journal.holdPublish({ token: 1, reasonCode: 0 });
  assert.deepEqual(seal(journal).kinds, ['queued']);
  journal.settled(owner, late);
  commit(journal, null);
  assert.deepEqual(seal(journal).kinds, ['settled']);
  commit(journal, null);
  // Nothing is left to write: who waited is free at once.
  const gone = delivery(3);
  journal.queued(owner, gone);
  journal.settled(owner, gone);
  journal.holdPublish({ token: 2, reasonCode: 0 });
  assert.deepEqual(seal(journal), { kinds: null, freed: [2] });
  assert.equal(journal.isIdle, true);
});

test('a session is written once a batch with its state of then; its end only if there is a record of it', () => {
  const journal = new Journal();
  const owner = session('s');
  journal.ended(owner);
  assert.equal(journal.mark, 0, 'nothing to take back');
  journal.touch(owner);
  journal.touch(owner);
  owner.expirySeconds = 99;
  seal(journal);
  const [change] = journal.inFlight?.changes ?? [];
  assert.equal(journal.inFlight?.changes.length, 1);
  assert.equal(change?.kind === 'session' && change.session.expirySeconds, 99);
  commit(journal, null);
  journal.touch(owner);
  owner.isEnded = true;
  journal.ended(owner);
  journal.ended(owner);
  assert.deepEqual(seal(journal).kinds, ['session-ended']);
});

test('ids of messages rise, above those of an earlier run', () => {
  const journal = new Journal();
  journal.startAfter(41);
  const one = delivery(1);
  journal.queued(session('a'), one);
  const again = new Delivery(one.message, 1, false, null, null);
  journal.queued(session('b'), again);
  assert.deepEqual([one.message.id, journal.nextMessageId()], [42, 43]);
});
