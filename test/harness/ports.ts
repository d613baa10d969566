import { createServer, type Server } from 'node:net';

/** Below the range from which the kernel gives ports to outgoing connections (32768 up). */
const lowest = 20_000;
const highest = 32_000;
const attempts = 200;

export interface Port {
  readonly number: number;
  release(): Promise<void>;
}

/**
 * A TCP port that nobody uses and that no other test run on this machine is given meanwhile: a listening
 * socket in the abstract namespace stands for the reservation, and the kernel drops it if we die.
 */
export async function reservePort(): Promise<Port> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const number = lowest + Math.floor(Math.random() * (highest - lowest));
    const mark = await listen({ path: `\0pitrtools-test-port-${number}` });
    if (mark === undefined) continue;
    if (await isFree(number)) return { number, release: () => close(mark) };
    await close(mark);
  }
  throw new Error(`no free port between ${lowest} and ${highest} in ${attempts} attempts`);
}

/** A network of this run's own inside 127.0.0.0/8, reserved in the same way: `prefix` wants its last number. */
export async function reserveNetwork(): Promise<{ prefix: string; release: () => Promise<void> }> {
  for (let attempt = 0; attempt < attempts; attempt++) {
    const prefix = `127.${1 + randomByte()}.${randomByte()}`;
    const mark = await listen({ path: `\0pitrtools-test-network-${prefix}` });
    if (mark !== undefined) return { prefix, release: () => close(mark) };
  }
  throw new Error(`no free loopback network in ${attempts} attempts`);
}

function randomByte(): number {
  return Math.floor(Math.random() * 254);
}

/** On the wildcard address, so that a listener on any address of the machine is noticed. */
async function isFree(number: number): Promise<boolean> {
  const server = await listen({ port: number, host: '0.0.0.0' });
  if (server === undefined) return false;
  await close(server);
  return true;
}

function listen(where: { path: string } | { port: number; host: string }): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => {
      resolve(undefined);
    });
    server.listen(where, () => {
      resolve(server.unref());
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
  });
}
