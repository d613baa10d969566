import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { probePort } from '../../../../../src/standby/primary/liveness/port-probe.ts';

let server: Server | undefined;
afterEach(() => {
  server?.close();
  server = undefined;
});

async function portThat(answer: (write: (text: string) => void, end: () => void) => void): Promise<number> {
  server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      answer(
        (text) => socket.write(text),
        () => socket.end(),
      );
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

const ask = (port: number, signal = new AbortController().signal) =>
  probePort('127.0.0.1', port, 300, signal);

describe('a port', () => {
  test.each(['S', 'N', 'E'])('that answers %s is PostgreSQL', async (letter) => {
    const port = await portThat((write) => {
      write(letter);
    });
    expect(await ask(port)).toEqual({ kind: 'postgresql' });
  });

  test('that answers anything else is something else', async () => {
    const port = await portThat((write) => {
      write('HTTP/1.1 400 Bad Request');
    });
    expect(await ask(port)).toEqual({ kind: 'held', how: 'answers, but not as PostgreSQL does' });
  });

  test('that closes the connection or does not answer is held by another program', async () => {
    const hangsUp = await portThat((_, end) => {
      end();
    });
    expect(await ask(hangsUp)).toEqual({ kind: 'held', how: 'closes them without an answer' });
    server?.close();
    const silent = await portThat(() => undefined);
    expect(await ask(silent)).toEqual({ kind: 'held', how: 'does not answer' });
  });

  test('that is closed refuses, and one that is no longer wanted is abandoned', async () => {
    const port = await portThat(() => undefined);
    const controller = new AbortController();
    const answer = ask(port, controller.signal);
    controller.abort();
    expect(await answer).toEqual({ kind: 'none', reason: 'not waited for' });
    server?.close();
    server = undefined;
    expect(await ask(port)).toMatchObject({
      kind: 'none',
      reason: expect.stringContaining('ECONNREFUSED') as string,
    });
  });
});

describe('a query that does not leave this host', () => {
  test('has a name that does not resolve', async () => {
    const answer = await probePort('no-such-host.invalid', 5432, 5_000, new AbortController().signal);
    expect(answer).toMatchObject({
      kind: 'unasked',
      reason: expect.stringContaining('the name "no-such-host.invalid" does not resolve') as string,
    });
  });

  test('has an address that this host cannot connect to from its network', async () => {
    // The kernel refuses a broadcast address to TCP, whatever the network is.
    const answer = await probePort('255.255.255.255', 5432, 5_000, new AbortController().signal);
    expect(answer.kind).toBe('unasked');
  });
});
