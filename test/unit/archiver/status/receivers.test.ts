import { expect, test } from 'vitest';
import { receiverOf } from '../../../../src/archiver/status/facts.ts';
import type { Receiver } from '../../../../src/archiver/status/server.ts';

const receiver = (application: string, address: string): Receiver => ({
  application,
  address,
  hostname: '',
  state: 'streaming',
  sync: 'async',
  sent: 2n,
  replayed: 1n,
  replayLagS: undefined,
});
const [one, two] = ['pg.east.example', 'pg.west.example'];

test('the receiver of a standby is known by its name, with or without its domain, or by its address', () => {
  const [full, short, address] = [
    receiver(one, '10.0.0.1'),
    receiver('b', '10.0.0.2'),
    receiver('walreceiver', '10.0.0.3'),
  ];
  const all = [full, short, address];
  const standbys = [one, 'b.example', '10.0.0.3', 'c'];
  expect(standbys.map((name) => receiverOf(name, standbys, all))).toEqual([full, short, address, undefined]);
  expect(receiverOf('b', ['b'], [receiver('b.example', '')])).toBeDefined();
});

test('that of a standby is not taken for that of another one with the same short name', () => {
  const standbys = [one, two];
  const all = [receiver(one, '10.0.0.1')];
  expect(standbys.map((name) => receiverOf(name, standbys, all))).toEqual([all[0], undefined]);
});

test('one that may be that of two standbys is not known to be that of either', () => {
  const all = [receiver('pg', '10.0.0.1')];
  for (const name of [one, two])
    expect(() => receiverOf(name, [one, two], all)).toThrow(/a receiver may be that of/);
  expect(receiverOf(one, [one, 'b'], all)).toBe(all[0]);
});
