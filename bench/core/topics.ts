/** Many topics: memory while ten million different ones pass, and a thousand subscribers of a topic each beside a single one. */

import { BenchCore, type Chunk, cpuUs, least, liveBytes, publishChunk } from './bench-core.ts';
import { type Finding, finding } from './finding.ts';

const million = 1_000_000;
const messages = 64;
const subscribersMax = 1000;
const rounds = 7;
const publishes = 8000;

export function measureDistinctTopics(): Finding[] {
  const bench = new BenchCore();
  const publisher = bench.connect('publisher');
  bench.subscribe(bench.connect('subscriber'), ['never/+/matches']);
  bench.settle();
  let next = 0;
  const publish = (count: number): number =>
    cpuUs(() => {
      for (const end = next + count; next < end; next += messages) {
        bench.received(publisher, publishChunk(Array.from({ length: messages }, (_, i) => `flood/${next + i}/value`)));
      }
    });
  publish(million);
  const before = liveBytes();
  const us = publish(9 * million);
  const grown = liveBytes() - before;
  return [
    finding('growth from one million topics to ten million', grown / 1024 / 1024, 'MB', 32),
    finding('a message to a topic never seen before, making it included', (us * 1000) / (9 * million), 'ns'),
  ];
}

export function measureSpread(): Finding[] {
  const bench = new BenchCore();
  const publisher = bench.connect('publisher');
  const names = Array.from({ length: subscribersMax }, (_, i) => `spread/topic-${i}`);
  for (const name of names) bench.subscribe(bench.connect(name), [name]);
  bench.settle();
  const chunks = names.map((name) => publishChunk(new Array<string>(messages).fill(name)));
  const cost = (used: readonly Chunk[]): number => {
    const us = least(rounds, () =>
      cpuUs(() => {
        for (let i = 0; i < publishes; i++) bench.received(publisher, used[i % used.length] as Chunk);
      }),
    );
    return (us * 1000) / (publishes * messages);
  };
  cost(chunks);
  const one = cost(chunks.slice(0, 1));
  return [
    finding('a message to one subscriber, always the same', one, 'ns'),
    finding('a message to one of a thousand, in batches of 64', cost(chunks), 'ns', one * 1.2),
  ];
}
