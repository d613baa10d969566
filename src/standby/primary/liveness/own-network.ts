import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { isIPv4, isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import type { ProbePort } from './port-probe.ts';

/** The address from which packets to there would leave: the kernel's choice, and nothing is sent. */
async function ownAddressFor(address: string): Promise<string | undefined> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  try {
    socket.connect(9, address);
    await once(socket, 'connect');
    return socket.address().address;
  } catch {
    return undefined;
  } finally {
    socket.close();
  }
}

/** Node lists only the addresses of interfaces that are up and have a carrier. */
function hasCarrier(own: string): boolean {
  const [plain] = own.split('%');
  return Object.values(networkInterfaces()).some((entries) =>
    entries?.some(({ address }) => address === plain),
  );
}

function dottedQuad(hex: string): string {
  return [6, 4, 2, 0].map((at) => parseInt(hex.slice(at, at + 2), 16)).join('.');
}

/** IPv4 default routes in the text of /proc/net/route; its numbers are in the byte order of the host. */
export function gatewaysIn(routes: string): readonly string[] {
  return routes
    .split('\n')
    .slice(1)
    .map((line) => line.split('\t'))
    .filter(([, destination, gateway]) => destination === '00000000' && gateway !== '00000000')
    .flatMap(([, , gateway]) => (gateway === undefined ? [] : [dottedQuad(gateway)]));
}

const zero6 = '0'.repeat(32);

/** IPv6 default routes in the text of /proc/net/ipv6_route; a gateway's link-local address is good on its interface only. */
export function gatewaysIn6(routes: string): readonly string[] {
  return routes
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(
      ([to, length, , , via, , , , , name]) =>
        to === zero6 && length === '00' && via !== zero6 && name !== 'lo',
    )
    .flatMap(([, , , , via = '', , , , , name = '']) => {
      const address = (via.match(/.{4}/g) ?? []).join(':');
      return [/^fe[89ab]/.test(via) ? `${address}%${name}` : address];
    });
}
/** Whether the hardware address of an IPv4 neighbour is known: such a neighbour exists, even if it drops our packets. */
export function isKnownNeighbour(table: string, address: string): boolean {
  return table
    .split('\n')
    .slice(1)
    .map((line) => line.split(/\s+/))
    .some(([ip, , flags]) => ip === address && (parseInt(flags ?? '0', 16) & 2) !== 0);
}

type ReadText = (path: string) => Promise<string>;

const readText: ReadText = (path) => readFile(path, 'utf8').catch(() => '');

/** A refusal is as good as an accepted connection: any answer shows that the network works. */
async function doesAnswer(
  probe: ProbePort,
  read: ReadText,
  { host, port }: Neighbour,
  limitMs: number,
): Promise<boolean> {
  const answer = await probe(host, port, limitMs, new AbortController().signal);
  if (answer.kind === 'postgresql' || answer.kind === 'held') return true;
  if (answer.kind === 'none' && answer.timedOutAt === undefined) return true;
  return isKnownNeighbour(await read('/proc/net/arp'), host);
}

/** Another host. The only question is whether it answers at all. */
export interface Neighbour {
  readonly host: string;
  readonly port: number;
}

/** The port of "discard": hardly any host serves it, and any answer is enough. */
const anyPort = 9;

async function gateways(read: ReadText, address: string): Promise<readonly Neighbour[]> {
  const found = isIPv4(address)
    ? gatewaysIn(await read('/proc/net/route'))
    : gatewaysIn6(await read('/proc/net/ipv6_route'));
  return [...new Set(found)].map((host) => ({ host, port: anyPort }));
}

/**
 * A possible reason, on this host itself, why an address does not answer; undefined if there is no sign of one. A
 * host in the same network that is switched off gives EHOSTUNREACH, and must be failed over. Only if this host
 * reaches no other host either is the fault here.
 */
export async function ownNetworkFault(
  address: string,
  hasNoRoute: boolean,
  others: readonly Neighbour[],
  limitMs: number,
  probe: ProbePort,
  read: ReadText = readText,
): Promise<string | undefined> {
  const own = await ownAddressFor(address);
  if (own === undefined) return 'this host has no route to it';
  if (!hasCarrier(own)) return `the interface of this host with address ${own} has no carrier`;
  if (!hasNoRoute) return undefined;
  const asked = [...(await gateways(read, address)), ...others];
  if (asked.length === 0) return undefined;
  const answers = await Promise.all(asked.map((other) => doesAnswer(probe, read, other, limitMs)));
  if (answers.includes(true)) return undefined;
  return `this host reaches nobody else either: ${asked.map(({ host }) => host).join(', ')}`;
}
