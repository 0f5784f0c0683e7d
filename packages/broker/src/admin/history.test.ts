import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AnyEvent } from '../node/event-hub.ts';
import { History, type HistoryOptions } from './history.ts';

function historyOf(options: HistoryOptions): {
  history: History;
  tell: (event: AnyEvent) => void;
  left: () => boolean;
} {
  let handler: ((event: AnyEvent) => void) | null = null;
  const source = {
    on: (_: 'event', given: (event: AnyEvent) => void) => {
      handler = given;
    },
    off: () => {
      handler = null;
    },
  };
  const history = new History(source, options);
  return { history, tell: (event) => handler?.(event), left: () => handler === null };
}

function created(clientId: string): AnyEvent {
  return { type: 'session-created', clientId };
}

test('one client in trouble pushes out its own past, not that of others', () => {
  const { history, tell } = historyOf({ eventsMax: 10, eventsPerClientMax: 3 });
  tell(created('quiet'));
  for (let i = 0; i < 100; i++) tell(created('loud'));
  assert.equal(history.of('quiet').length, 1);
  assert.deepEqual(
    history.of('loud').map(({ number }) => number),
    [99, 100, 101],
  );
  assert.equal(history.size, 4);
  assert.deepEqual(
    [...history.latest()].map(({ number }) => number),
    [101, 100, 99, 1],
  );
});

test('all clients together are bounded, and what is forgotten leaves nothing behind', () => {
  const { history, tell, left } = historyOf({ eventsMax: 10, eventsPerClientMax: 3 });
  for (let i = 0; i < 100; i++) tell(created(`c${i}`));
  tell({ type: 'store-full' });
  assert.equal(history.size, 10);
  assert.equal(history.of('c90').length, 0);
  assert.equal(history.of('c91').length, 1);
  history.close();
  assert.ok(left());
});

test('an address that comes by another name each time pushes out its own past, not that of others', () => {
  const { history, tell } = historyOf({ eventsMax: 100, eventsPerClientMax: 10 });
  const refused = (clientId: string, address: string): AnyEvent => {
    const peer = { transport: 'tcp' as const, address, listener: 'l' };
    return { type: 'refused', clientId, peer, reasonCode: 0x87, reason: 'no' };
  };
  for (let i = 0; i < 10; i++) tell(refused(`honest-${i}`, `192.0.2.${i}:1`));
  // It names no address, and is honest-0's all the same.
  tell(created('honest-0'));
  for (let i = 0; i < 1_000; i++) tell(refused(`hostile-${i}`, `[2001:db8::${i.toString(16)}]:${i + 1}`));
  assert.equal(history.size, 100);
  for (let i = 0; i < 10; i++) assert.equal(history.of(`honest-${i}`).length, i === 0 ? 2 : 1);
  assert.equal(history.of('hostile-910').length, 0);
  assert.equal(history.of('hostile-911').length, 1);
  assert.deepEqual(
    [...history.latest()].slice(0, 2).map(({ number }) => number),
    [1_011, 1_010],
  );
});

test('long texts are cut off, client ids are not', () => {
  const { history, tell } = historyOf({});
  const clientId = 'c'.repeat(1000);
  tell({ type: 'will-published', clientId, topic: 't'.repeat(60_000) });
  const event = history.of(clientId)[0]?.event;
  assert.ok(event?.type === 'will-published');
  assert.deepEqual([event.clientId.length, event.topic.length], [1000, 513]);
});
