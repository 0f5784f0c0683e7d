import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, Socket } from 'node:net';
import { test } from 'node:test';
import { newReadBuffer, readAccepted, readInto } from '../../src/node/accepted-socket.ts';

test('a server reads what it accepts into the buffer; when that is undone its sockets can still be taken over', {
  timeout: 20_000,
}, async () => {
  const buffer = newReadBuffer();
  const { bytes } = buffer;
  let read = Promise.withResolvers<{ socket: unknown; text: string }>();
  function onRead(this: unknown, length: number): boolean {
    read.resolve({ socket: this, text: new TextDecoder().decode(bytes.subarray(0, length)) });
    return true;
  }
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const undo = readAccepted(server, buffer, onRead);
  for (const isDirect of [true, false]) {
    if (!isDirect) undo();
    const remote = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const [accepted] = await once(server, 'connection');
    assert.ok(accepted instanceof Socket && accepted.isPaused() && accepted.remotePort === remote.localPort);
    const socket = readInto(accepted, buffer, onRead);
    assert.equal(socket === accepted, isDirect);
    assert.equal(accepted.destroyed, !isDirect);
    remote.write('into the buffer');
    socket?.resume();
    assert.deepEqual(await read.promise, { socket, text: 'into the buffer' });
    read = Promise.withResolvers();
    // Half-open: it can still speak when the other end has said its last.
    remote.end();
    await once(socket as Socket, 'end');
    socket?.end('and back');
    const [back] = await once(remote, 'data');
    assert.equal(String(back), 'and back');
  }
  server.close();
  await once(server, 'close');
});
