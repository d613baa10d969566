import { request } from 'node:http';
import { eventually } from './eventually.ts';
import type { Host } from './host.ts';
import { start } from './processes.ts';

/** A Unix socket of this machine that leads to a port as a host sees it. */
export interface Route {
  readonly socket: string;
  readonly address: string;
  readonly port: number;
}

const relayCode = `
  const { connect, createServer } = require('node:net');
  const routes = JSON.parse(process.argv[1]);
  let left = routes.length;
  for (const { socket, address, port } of routes) {
    const server = createServer((near) => {
      const far = connect({ host: address, port });
      near.pipe(far).pipe(near);
      for (const [one, other] of [[near, far], [far, near]])
        one.on('error', () => undefined).on('close', () => other.destroy());
    });
    server.listen(socket, () => (left -= 1) === 0 && console.log('ready'));
  }
`;

/**
 * Lets a test speak with servers as a client on this host does: what cuts the network between them cuts its connections. Returns
 * what ends it.
 */
export async function startRelay(host: Host, routes: readonly Route[]): Promise<() => Promise<void>> {
  const relay = start(process.execPath, ['-e', relayCode, JSON.stringify(routes)], {
    env: host.env,
    limitMs: 86_400_000,
  });
  await eventually(() => relay.output().includes('ready'), { what: 'the relay' }).catch((error: unknown) => {
    throw new Error(relay.output(), { cause: error });
  });
  return async () => {
    relay.killFamily();
    await relay.finished;
  };
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** One HTTP request through a socket; nothing if there was no whole answer within the limit. */
export function askHttp(
  socketPath: string,
  path: string,
  { body, limitMs = 3_000 }: { readonly body?: string; readonly limitMs?: number } = {},
): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    const asked = request({
      ...{ socketPath, path, method: body === undefined ? 'GET' : 'POST' },
      ...{ headers: { Connection: 'close' }, signal: AbortSignal.timeout(limitMs) },
    });
    asked.on('error', () => {
      resolve(undefined);
    });
    asked.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('error', () => {
        resolve(undefined);
      });
      response.on('end', () => {
        resolve({ status: response.statusCode ?? 0, text });
      });
    });
    asked.end(body);
  });
}
