/** A broker process to kill: a durable store in the directory given, a listener on a free port, which is told to the parent. */

import { createBroker, openStore } from '../../src/index.ts';

const [directory = ''] = process.argv.slice(2);
const store = openStore(directory, {
  segmentBytes: 256 * 1024,
  onReport: ({ damage }) => process.send?.({ damage: damage.filter(({ kind }) => kind !== 'unfinished') }),
});
const broker = createBroker({
  store,
  sysIntervalMs: null,
  listeners: [{ type: 'tcp', host: '127.0.0.1', port: 0 }],
});
process.on('disconnect', () => process.exit());
await broker.start();
process.send?.({ port: broker.listeners[0]?.port });
