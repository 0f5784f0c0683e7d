import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';

test('what serves the API is loaded when it is opened, and not before', { timeout: 20_000 }, () => {
  const script = `
    import { createRequire } from 'node:module';
    import { createBroker, openAdmin } from '@pipit/broker';
    const { cache } = createRequire(import.meta.url);
    const isLoaded = () => ['fastify', 'prom-client'].map((name) => Object.keys(cache).some((path) => path.includes('/node_modules/' + name + '/')));
    const broker = createBroker({ sysIntervalMs: null });
    await broker.start();
    const before = isLoaded();
    const admin = await openAdmin(broker, { port: 0, tokensFile: null });
    console.log(JSON.stringify([before, isLoaded()]));
    await admin.close();
    await broker.stop();
  `;
  const options = ['--conditions=pipit-source', '--input-type=module', '--eval', script];
  const told = execFileSync(process.execPath, options, { cwd: import.meta.dirname, encoding: 'utf8' });
  assert.deepEqual(JSON.parse(told), [
    [false, false],
    [true, true],
  ]);
});
