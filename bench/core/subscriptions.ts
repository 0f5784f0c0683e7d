/** A million subscriptions: what they weigh, how long they take to make, and what they cost a message that has nothing to do with them. */

import type { Connection } from '@pipit/broker/core';
import { BenchCore, type Chunk, cpuUs, least, liveBytes, publishChunk } from './bench-core.ts';
import { type Finding, finding } from './finding.ts';

const sessions = 100_000;
const filtersEach = 10;
const messages = 64;
const rounds = 7;
const publishes = 4000;
const topics = 100;

/** Filters as fleets of devices have them: half name one topic, half have a wildcard at the end or in the middle. */
function filterOf(session: number, i: number): string {
  const device = `site-${session % 100}/device-${session}`;
  switch (i % 4) {
    case 0:
      return `fleet/${device}/command/${i}`;
    case 1:
      return `fleet/${device}/+/state-${i}`;
    case 2:
      return `fleet/${device}/config/${i}`;
    default:
      return `fleet/${device}/group-${i}/#`;
  }
}

/** A broker with one publisher and a subscriber of 100 topics, and nothing else yet. */
function pair(): { bench: BenchCore; publisher: Connection; matched: Chunk[]; unmatched: Chunk[] } {
  const bench = new BenchCore();
  const publisher = bench.connect('publisher');
  const subscriber = bench.connect('subscriber');
  const names = Array.from({ length: topics }, (_, i) => `pair/topic-${i}`);
  bench.subscribe(subscriber, names);
  bench.settle();
  const chunk = (name: string) => publishChunk(new Array<string>(messages).fill(name));
  return { bench, publisher, matched: names.map(chunk), unmatched: names.map((name) => chunk(`${name}/nobody`)) };
}

/** CPU nanoseconds of one message: batches of 64 to one topic after the other. */
function cost(
  { bench, publisher }: ReturnType<typeof pair>,
  chunks: readonly Chunk[],
  between?: (i: number) => void,
): number {
  const us = least(rounds, () =>
    cpuUs(() => {
      for (let i = 0; i < publishes; i++) {
        bench.received(publisher, chunks[i % chunks.length] as Chunk);
        between?.(i);
      }
    }),
  );
  return (us * 1000) / (publishes * messages);
}

export function measureSubscriptions(): Finding[] {
  const few = pair();
  cost(few, few.matched);
  cost(few, few.unmatched);
  const matchedFew = cost(few, few.matched);

  const many = pair();
  const { bench } = many;
  const clients = Array.from({ length: sessions }, (_, i) => bench.connect(`client-${i}`));
  const before = liveBytes();
  const made = cpuUs(() => {
    for (let session = 0; session < sessions; session++) {
      const filters = Array.from({ length: filtersEach }, (_, i) => filterOf(session, i));
      bench.subscribe(clients[session] as Connection, filters);
      if (session % 100 === 99) bench.settle();
    }
  });
  const bytes = (liveBytes() - before) / (sessions * filtersEach);
  const matchedMany = cost(many, many.matched);
  const unmatchedMany = cost(many, many.unmatched);
  const single = clients[0] as Connection;
  // One change in a thousand messages: a thousand changes a second beside a million messages a second.
  const churned = cost(many, many.matched.slice(0, 1), (i) => {
    if (i % 31 === 0) bench.subscribe(single, ['elsewhere/+/x']);
    else if (i % 31 === 15) bench.unsubscribe(single, ['elsewhere/+/x']);
  });
  const calm = cost(many, many.matched.slice(0, 1));
  return [
    finding('bytes of a subscription, among a million', bytes, 'B', 150),
    finding('CPU to make 100,000 of them, ten a SUBSCRIBE', made / 10_000, 'ms', 1000),
    finding('a message to one match, 100 subscriptions', matchedFew, 'ns'),
    finding('a message to one match, a million subscriptions', matchedMany, 'ns', matchedFew * 1.15),
    finding('a message to nobody, a million subscriptions', unmatchedMany, 'ns', matchedMany),
    finding('a message of a pair, a million subscriptions', calm, 'ns'),
    finding('the same, with a subscription made or ended elsewhere every 1000 messages', churned, 'ns', calm / 0.8),
  ];
}
