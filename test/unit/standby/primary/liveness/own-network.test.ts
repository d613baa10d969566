import { expect, test } from 'vitest';
import {
  gatewaysIn,
  gatewaysIn6,
  isKnownNeighbour,
  ownNetworkFault,
} from '../../../../../src/standby/primary/liveness/own-network.ts';
import type { PortAnswer } from '../../../../../src/standby/primary/liveness/verdict.ts';

test('the gateways are those of the default routes that have one', () => {
  const routes = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100630A\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t0000630A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0
`;
  expect(gatewaysIn(routes)).toEqual(['10.99.0.1']);
  expect(gatewaysIn('')).toEqual([]);
});

test('an IPv6 gateway has its interface if its address needs one', () => {
  const zero = '0'.repeat(32);
  const line = (via: string, length = '00') =>
    `${zero} ${length} ${zero} 00 ${via} 00000400 00000001 00000000 00000003 eth0\n`;
  const routes =
    line('fe800000000000000000000000000001') + line('20010db8000000000000000000000001') + line(zero);
  expect(gatewaysIn6(routes + line('fe800000000000000000000000000002', '40'))).toEqual([
    'fe80:0000:0000:0000:0000:0000:0000:0001%eth0',
    '2001:0db8:0000:0000:0000:0000:0000:0001',
  ]);
});

test('a neighbour is present if its hardware address is known', () => {
  const table = `IP address       HW type     Flags       HW address            Mask     Device
10.99.0.1        0x1         0x2         52:54:00:12:34:56     *        eth0
10.99.0.7        0x1         0x0         00:00:00:00:00:00     *        eth0
`;
  expect(isKnownNeighbour(table, '10.99.0.1')).toBe(true);
  expect(isKnownNeighbour(table, '10.99.0.7')).toBe(false);
  expect(isKnownNeighbour(table, '10.99.0.9')).toBe(false);
});

test.each<[PortAnswer, boolean]>([
  [{ kind: 'postgresql' }, false],
  [{ kind: 'held', how: 'does not answer' }, false],
  [{ kind: 'none', reason: 'ECONNREFUSED' }, false],
  [{ kind: 'none', reason: 'no answer', timedOutAt: '192.0.2.1' }, true],
  [{ kind: 'unasked', reason: 'no name', check: '' }, true],
])('another host answers %j, so the problem is on this host: %s', async (answer, isFault) => {
  const others = [{ host: '192.0.2.1', port: 5432 }];
  const fault = await ownNetworkFault(
    '127.0.0.1',
    true,
    others,
    100,
    () => Promise.resolve(answer),
    () => Promise.resolve(''),
  );
  expect(fault !== undefined).toBe(isFault);
});

test('an address that did not answer within the limit is no sign of a problem on this host', async () => {
  const never = () => Promise.reject(new Error('asked'));
  expect(await ownNetworkFault('127.0.0.1', false, [], 100, never)).toBeUndefined();
});
