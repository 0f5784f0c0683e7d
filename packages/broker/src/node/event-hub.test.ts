import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventHub, type EventType } from './event-hub.ts';

const banned = { type: 'banned', what: 'client', value: 'x' } as const;

test('who comes or goes while an event is told changes nothing about who is told it', () => {
  const hub = new EventHub(1000);
  const heard: string[] = [];
  const late = (): unknown => heard.push('late');
  const leaving = (): void => {
    heard.push('leaving');
    hub.off('banned', leaving);
    hub.off('banned', last);
    hub.on('banned', late);
  };
  const last = (): unknown => heard.push('last');
  hub.on('banned', leaving);
  hub.on('banned', last);
  hub.tell(banned);
  assert.deepEqual(heard.splice(0), ['leaving', 'last']);
  hub.tell(banned);
  assert.deepEqual(heard, ['late']);
});

test('a handler added twice is called twice, and goes one at a time; others hear only their type', () => {
  const hub = new EventHub(1000);
  const heard: EventType[] = [];
  const all = ({ type }: { type: EventType }): unknown => heard.push(type);
  hub.on('event', all);
  hub.on('banned', all);
  hub.on('banned', all);
  hub.tell(banned);
  hub.off('banned', all);
  hub.off('unbanned', all);
  hub.tell({ ...banned, type: 'unbanned' });
  hub.tell(banned);
  assert.deepEqual(heard, ['banned', 'banned', 'banned', 'unbanned', 'banned', 'banned']);
});
