/** Whatever a server does, the suite ends with a result for every case: no exception, no wait without an end. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { brokerCases, exitCodeOf, isMeant, reportLines, runSuite } from '@pipit/conformance';
import { listening } from './unruly-server.ts';

const connack: Readonly<Record<number, readonly number[]>> = {
  5: [0x20, 3, 0, 0, 0],
  4: [0x20, 2, 0, 0],
  3: [0x20, 2, 0, 0],
};
const only = [
  'MQTT-3.12.4-1',
  'MQTT-3.1.2-7',
  'MQTT-2.1.3-1',
  'MQTT3-3.8.4-6',
  '3.1/connect',
  'info/1-overlapping 5.0',
];

/** Answers CONNECT in its version, then whatever `next` does. */
function accepting(next: (socket: Socket, bytes: Buffer) => void): (socket: Socket) => void {
  return (socket) => {
    let isFirst = true;
    socket.on('data', (bytes: Buffer) => {
      if (!isFirst) return next(socket, bytes);
      isFirst = false;
      const level = bytes[8] === 3 ? 3 : (bytes[8] as number);
      socket.write(Uint8Array.from(connack[level] ?? connack[4] ?? []));
    });
  };
}

const servers: Readonly<Record<string, (socket: Socket) => void>> = {
  'closes at once': (socket) => socket.destroy(),
  'never answers': (socket) => socket.resume(),
  'accepts, then is silent': accepting(() => {}),
  'accepts, then closes': accepting((socket) => socket.destroy()),
  'accepts, then sends garbage': accepting((socket) => socket.write(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff))),
  'accepts, then echoes': accepting((socket, bytes) => socket.write(bytes)),
  'accepts, then never stops': accepting((socket) => socket.write(new Uint8Array(100_000).fill(0xd0))),
  'speaks HTTP': (socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
};

for (const [what, onSocket] of Object.entries(servers)) {
  test(`a server that ${what}`, async () => {
    const { url, close } = await listening(onSocket);
    try {
      const report = await runSuite({ url, only, timeoutMs: 50 });
      const expected = brokerCases.filter((each) => isMeant(each, only));
      assert.equal(report.results.length, expected.length);
      assert.equal(exitCodeOf(report.results), 1);
      for (const { id, outcome, seen = '' } of report.results) {
        // Closing is the right answer to wrong flags.
        if (outcome === 'pass') assert.match(id, /^MQTT-2\.1\.3-1/);
        assert.doesNotMatch(seen, /\n {4}at /, 'a fault of the suite itself');
      }
      assert.ok(reportLines(report, true).length > 0);
    } finally {
      close();
    }
  });
}

test('a port nobody listens on', async () => {
  const { url, close } = await listening(() => {});
  close();
  const report = await runSuite({ url, only, timeoutMs: 50 });
  assert.ok(report.results.every(({ outcome, seen }) => outcome === 'fail' && /ECONNREFUSED/.test(seen ?? '')));
});

test('a URL of another kind is refused before anything is sent', async () => {
  await assert.rejects(runSuite({ url: 'http://127.0.0.1' }), TypeError);
});
