import { describe, expect, test } from 'vitest';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { sayWherePrimaryIsHere } from '../../../../src/standby/primary/primary-is-here.ts';

async function said(host: string, addresses: readonly string[]): Promise<readonly string[]> {
  const lines: string[] = [];
  const log = {
    notice: (message: string) => lines.push(`notice: ${message}`),
    warning: (message: string) => lines.push(`warning: ${message}`),
  };
  const deps = { settings: { master_public_ip: host }, log } as unknown as StandbyDeps;
  await sayWherePrimaryIsHere(deps, () => Promise.resolve(addresses));
  return lines;
}

describe('a master_public_ip that is this very host', () => {
  test("causes a warning if a name resolves to this host, as Debian's own name does", async () => {
    expect(await said('alpha', ['127.0.1.1'])).toEqual([
      'warning: master_public_ip "alpha" is this very host',
    ]);
    expect(await said('alpha', ['192.0.2.1', '::1'])).toHaveLength(1);
  });

  test('causes a notice if it is a loopback address', async () => {
    for (const [host, address] of [
      ['localhost', '::1'],
      ['127.0.0.1', '127.0.0.1'],
    ] as const)
      expect(await said(host, [address])).toEqual([`notice: master_public_ip "${host}" is this very host`]);
  });

  test('is not reported for another host, or for a name that does not resolve', async () => {
    expect(await said('alpha', ['192.0.2.1', '2001:db8::1'])).toEqual([]);
    expect(await said('alpha', [])).toEqual([]);
    expect(await said('127.example.org', ['192.0.2.1'])).toEqual([]);
  });
});
