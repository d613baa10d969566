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
  test('is a warning where a name leads here, as Debian has it for its own', async () => {
    expect(await said('alpha', ['127.0.1.1'])).toEqual([
      'warning: master_public_ip "alpha" is this very host',
    ]);
    expect(await said('alpha', ['192.0.2.1', '::1'])).toHaveLength(1);
  });

  test('is a notice where it is written as a loopback address', async () => {
    for (const [host, address] of [
      ['localhost', '::1'],
      ['127.0.0.1', '127.0.0.1'],
    ] as const)
      expect(await said(host, [address])).toEqual([`notice: master_public_ip "${host}" is this very host`]);
  });

  test('is not said of another host, nor of a name that does not resolve', async () => {
    expect(await said('alpha', ['192.0.2.1', '2001:db8::1'])).toEqual([]);
    expect(await said('alpha', [])).toEqual([]);
    expect(await said('127.example.org', ['192.0.2.1'])).toEqual([]);
  });
});
