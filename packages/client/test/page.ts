/** A page in a real browser: a script of ours in Chromium, and what it reports. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const timeoutMs = 60_000;

/**
 * Opens a page with the script, a module, and resolves to what it posts to `/seen` as JSON. `query` is the page's. Rejects when it
 * reports nothing in a minute, or there is no Chromium.
 */
export async function reported(script: string, query = ''): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const server = createServer((request, response) => {
    if (request.method === 'POST') {
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        response.end();
        resolve(JSON.parse(body));
      });
    } else if (request.url === '/script.js') {
      response.setHeader('content-type', 'text/javascript; charset=utf-8').end(script);
    } else {
      response.setHeader('content-type', 'text/html').end('<script type="module" src="/script.js"></script>');
    }
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  const profile = mkdtempSync(join(tmpdir(), 'pipit-chromium-'));
  const page = `http://127.0.0.1:${port}/${query}`;
  // Our test certificate is nobody's.
  const flags = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--ignore-certificate-errors',
    `--user-data-dir=${profile}`,
  ];
  const browser = spawn('chromium', [...flags, page], { stdio: 'ignore' });
  browser.on('error', () => reject(new Error('there is no Chromium; apt-get install chromium')));
  const timer = setTimeout(() => reject(new Error('the page has reported nothing')), timeoutMs);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    const gone = new Promise((done) => browser.once('close', done));
    if (browser.pid !== undefined) {
      browser.kill('SIGKILL');
      await gone;
    }
    server.closeAllConnections();
    server.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}
