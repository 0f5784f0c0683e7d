/** What a browser has to load: small, and nothing of Node in it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';
import { withBroker } from '../../broker/test/node/running-broker.ts';
import { bundled, bundledInParts } from './bundle.ts';

/** 20 kB, and what a page needs at once must not hide in another file. It may only go down. */
const gzippedBytesMax = 20_000;

/** A module that connects, subscribes, publishes, and ends when it has what it published. */
const application = (url: string): string => `
  import { connect } from '@pipit/client';
  const client = connect('${url}');
  const subscription = await client.subscribe('greenhouse/#', { qos: 1 });
  await client.publish('greenhouse/door', 'open', { qos: 1 });
  export const got = [];
  for await (const message of subscription) {
    got.push(message.topic, message.text());
    break;
  }
  await client.end();
`;

test(`an application that connects, publishes and subscribes takes at most ${gzippedBytesMax} bytes, gzipped`, async (t) => {
  await withBroker({ type: 'ws', port: 0 }, async (port) => {
    const [page = '', ...later] = await bundledInParts(application(`ws://127.0.0.1:${port}/mqtt`));
    const { length } = gzipSync(page, { level: 9 });
    t.diagnostic(`${page.length} bytes minified, ${length} gzipped`);
    assert.ok(length <= gzippedBytesMax, `${length} bytes`);
    assert.deepEqual(later.map((part) => /responseTopic|could not be stored/.exec(part)?.[0]).sort(), [
      'could not be stored',
      'responseTopic',
    ]);
    // The page's own file, with nothing beside it, does all that.
    const folder = mkdtempSync(join(tmpdir(), 'pipit-bundle-'));
    try {
      const file = join(folder, 'page.mjs');
      writeFileSync(file, page);
      const { got } = (await import(pathToFileURL(file).href)) as { got: string[] };
      assert.deepEqual(got, ['greenhouse/door', 'open']);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test('there is nothing of Node in it: no module, no Buffer, no process', async () => {
  const script = await bundled(application('wss://broker.example/mqtt'));
  assert.doesNotMatch(script, /node:|require\(|\bprocess\b|setImmediate/);
  assert.doesNotMatch(script, /(?<!Array)\bBuffer\b/);
});
