import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { type RunCommand, runCommand } from './command.ts';

/** The status of getent for a name that has no address. */
const notFound = 2;

/** Where there is no getent for this. */
async function lookUpHere(host: string, limitMs: number): Promise<readonly string[]> {
  const found = lookup(host, { all: true }).then((list) => list.map(({ address }) => address));
  // A loser that fails later is nobody's error.
  found.catch(() => undefined);
  const late = delay(limitMs, undefined, { ref: false });
  const addresses = await Promise.race([found, late]);
  if (addresses === undefined) throw new Error(`no answer within ${limitMs / 1000} s`);
  return addresses;
}

/**
 * The addresses of a name, by a program that can be ended: a look-up in this process cannot, and a process does not end
 * before a resolver that is silent has been given up. Throws the reason why there are none.
 */
export async function lookUp(
  host: string,
  limitMs: number,
  run: RunCommand = runCommand,
): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  const result = await run({ program: 'getent', args: ['ahosts', host] }, { limitMs });
  if (result.kind === 'timed-out') throw new Error(`no answer within ${limitMs / 1000} s`);
  if (result.kind !== 'exited' || (result.code !== 0 && result.code !== notFound))
    return lookUpHere(host, limitMs);
  const words = result.stdout.split('\n').map((line) => line.split(/\s/)[0] ?? '');
  const addresses = [...new Set(words.filter((word) => isIP(word) !== 0))];
  if (addresses.length === 0) throw new Error(`getent knows no address of "${host}"`);
  return addresses;
}
