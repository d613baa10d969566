import { networkInterfaces } from 'node:os';
import { lookUp } from './look-up.ts';

/** Every address of this host's interfaces. */
export function ownAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
}

/** An address that means this host wherever it is used. */
export function isLoopback(address: string): boolean {
  return /^127\.\d+\.\d+\.\d+$/.test(address) || address === '::1';
}

export type Resolve = (host: string) => Promise<readonly string[]>;

/** A resolver that does not answer must not delay us. */
const lookupLimitMs = 2_000;

/** The addresses of a name; none if it has none, or if no answer comes in time. */
export async function addressesOf(host: string): Promise<readonly string[]> {
  return lookUp(host, lookupLimitMs).catch(() => []);
}

/** Whether a name or an address is this host's own. For a name that does not resolve the answer is no. */
export async function isThisHost(host: string, resolve: Resolve = addressesOf): Promise<boolean> {
  const own = new Set(ownAddresses());
  return (await resolve(host)).some((address) => own.has(address) || isLoopback(address));
}
