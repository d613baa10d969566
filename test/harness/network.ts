import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { reservePort } from './ports.ts';
import { sendSignal } from './processes.ts';

export interface Endpoint {
  readonly address: string;
  readonly port: number;
  close(): Promise<void>;
}

export interface Place {
  readonly address?: string;
  readonly port?: number;
}

/** Whether a TCP connection is established within the limit. */
export async function accepts(address: string, port: number, limitMs = 1_000): Promise<boolean> {
  const socket = await dial(address, port, limitMs);
  socket?.destroy();
  return socket !== undefined;
}

/** A listener that accepts connections, and counts them, and never says a word. */
export async function hangingListener(place: Place = {}): Promise<Endpoint & { accepted(): number }> {
  const { address, port, release } = await settle(place);
  const sockets = new Set<Socket>();
  let accepted = 0;
  const server = createServer((socket) => {
    accepted += 1;
    sockets.add(socket.on('error', () => undefined));
  });
  server.listen({ host: address, port });
  await once(server, 'listening');
  return {
    address,
    port,
    accepted: () => accepted,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await release();
    },
  };
}

/** A port on which nobody listens and, while it is held, nobody else of ours will: connections are refused. */
export async function refusedPort(address = '127.0.0.1'): Promise<Endpoint> {
  const port = await reservePort();
  return { address, port: port.number, close: () => port.release() };
}

const listenerCode = `
  const [host, port] = process.argv.slice(1);
  require('node:net').createServer().listen({ host, port: Number(port), backlog: 1 }, () => console.log('listening'));
`;

/**
 * An address whose packets are swallowed: connections are neither refused nor ever established, as in front
 * of a host that lost its power. A stopped process never accepts, so its short backlog stays full and the
 * kernel drops whatever else knocks.
 */
export async function packetSink(place: Place = {}): Promise<Endpoint> {
  const { address, port, release } = await settle(place);
  const child = spawn(process.execPath, ['-e', listenerCode, address, String(port)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const reap = once(child, 'exit');
  process.once('exit', () => child.kill('SIGKILL'));
  await once(createInterface(child.stdout), 'line');
  sendSignal(child.pid ?? 0, 'SIGSTOP');
  const fillers = await fillBacklog(address, port);
  return {
    address,
    port,
    async close() {
      for (const socket of fillers) socket.destroy();
      child.kill('SIGKILL');
      await reap;
      await release();
    },
  };
}

async function fillBacklog(address: string, port: number): Promise<Socket[]> {
  const sockets: Socket[] = [];
  while (sockets.length < 32) {
    const socket = await dial(address, port, 500);
    if (socket === undefined) return sockets;
    sockets.push(socket);
  }
  throw new Error(`${address}:${port} still establishes connections, so it is no packet sink`);
}

function dial(address: string, port: number, limitMs: number): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const end = (result: Socket | undefined): void => {
      clearTimeout(limit);
      if (result === undefined) socket.destroy();
      resolve(result);
    };
    const limit = setTimeout(end, limitMs, undefined);
    socket.once('connect', () => {
      end(socket);
    });
    socket.on('error', () => {
      end(undefined);
    });
  });
}

interface Settled {
  readonly address: string;
  readonly port: number;
  readonly release: () => Promise<void>;
}

async function settle(place: Place): Promise<Settled> {
  const address = place.address ?? '127.0.0.1';
  if (place.port !== undefined) return { address, port: place.port, release: () => Promise.resolve() };
  const port = await reservePort();
  return { address, port: port.number, release: () => port.release() };
}
