import { createServer, type Server } from 'node:net';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { judgeLiveness } from '../../../src/standby/liveness.ts';
import { probePort } from '../../../src/standby/liveness/port-probe.ts';

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
    expect((await ask(port)).kind).toBe('other');
  });

  test('that hangs up or says nothing is nobody', async () => {
    const hangsUp = await portThat((_, end) => {
      end();
    });
    expect(await ask(hangsUp)).toEqual({ kind: 'none', reason: 'it closed the connection without a word' });
    server?.close();
    const silent = await portThat(() => undefined);
    expect(await ask(silent)).toEqual({
      kind: 'none',
      reason: 'it accepted the connection and said nothing within 0.3 s',
    });
  });

  test('that is closed is refused, and one that is no longer wanted is let go', async () => {
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

describe('both answers together', () => {
  const none = { kind: 'none', reason: 'refused' } as const;
  test.each([
    [{ kind: 'postgresql' } as const, { kind: 'unreachable', reason: 'x' } as const, 'alive'],
    [{ kind: 'postgresql' } as const, { kind: 'dead', unsent: 0 } as const, 'alive'],
    [none, { kind: 'alive', by: 'pid' } as const, 'alive'],
    [none, { kind: 'dead', unsent: 0 } as const, 'dead'],
    [none, { kind: 'unreachable', reason: 'x' } as const, 'unreachable'],
    [none, { kind: 'unclear', reason: 'x' } as const, 'unreachable'],
    [{ kind: 'other', reason: 'http' } as const, { kind: 'dead', unsent: 0 } as const, 'dead'],
  ])('%j and %j make %s', (port, remote, kind) => {
    expect(judgeLiveness('p:1', port, remote).kind).toBe(kind);
  });
});
