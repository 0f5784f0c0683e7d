/** One benchmark of the core, in a process of its own: takes its name, prints what it found as JSON. */

import { measureMessages } from './messages.ts';
import { measureSubscriptions } from './subscriptions.ts';
import { measureDistinctTopics, measureSpread } from './topics.ts';

const benchmarks = {
  messages: measureMessages,
  subscriptions: measureSubscriptions,
  topics: measureDistinctTopics,
  spread: measureSpread,
} as const;

const name = process.argv[2] as keyof typeof benchmarks;
console.log(JSON.stringify(benchmarks[name]()));
