import { expect, test } from 'vitest';
import { receiverOf } from '../../../../src/archiver/status/facts.ts';
import { type Receiver, receiversOf } from '../../../../src/archiver/status/server.ts';
import { capabilitiesOf } from '../../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../../src/postgres/version.ts';

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
const at = (name: string, host = name) => ({ name, host });
const [one, two] = ['pg.east.example', 'pg.west.example'];

test('the receiver of a standby is known by its name, with or without its domain, or by its address', () => {
  const [full, short, address] = [
    receiver(one, '10.0.0.1'),
    receiver('b', '10.0.0.2'),
    receiver('walreceiver', '10.0.0.3'),
  ];
  const all = [full, short, address];
  const standbys = [one, 'b.example', '10.0.0.3', 'c'].map((name) => at(name));
  expect(standbys.map((each) => receiverOf(each, standbys, all))).toEqual([full, short, address, undefined]);
  expect(receiverOf(at('b'), [at('b')], [receiver('b.example', '')])).toBeDefined();
});

test('that of a standby is not taken for that of another one with the same short name', () => {
  const standbys = [at(one), at(two)];
  const all = [receiver(one, '10.0.0.1')];
  expect(standbys.map((each) => receiverOf(each, standbys, all))).toEqual([all[0], undefined]);
});

test('one that may be that of two standbys is not known to be that of either', () => {
  const all = [receiver('pg', '10.0.0.1')];
  for (const name of [one, two])
    expect(() => receiverOf(at(name), [at(one), at(two)], all)).toThrow(/a receiver may be that of/);
  expect(receiverOf(at(one), [at(one), at('b')], all)).toBe(all[0]);
});

test('the receiver of a standby is known by the host of its section as well', () => {
  const [byAddress, byName] = [receiver('walreceiver', '10.0.0.4'), receiver('db5', '10.0.0.5')];
  const standbys = [at('b', '10.0.0.4'), at('c', 'db5.example'), at('d')];
  expect(standbys.map((each) => receiverOf(each, standbys, [byAddress, byName]))).toEqual([
    byAddress,
    byName,
    undefined,
  ]);
});

test('a receiver from the very host of a standby is not that of another one whose host begins with the same word', () => {
  const own = receiver('walreceiver', 'db1.example');
  const standbys = [at('b', 'db1.example'), at('c', 'db1.other')];
  expect(standbys.map((each) => receiverOf(each, standbys, [own]))).toEqual([own, undefined]);
});

test('of two standbys on one host, each has the receiver of its own name', () => {
  const [b, other] = [receiver('b', '10.0.0.4'), receiver('walreceiver', '10.0.0.4')];
  const standbys = [at('b', '10.0.0.4'), at('c', '10.0.0.4')];
  expect(standbys.map((each) => receiverOf(each, standbys, [other, b]))).toEqual([b, other]);
  expect(standbys.map((each) => receiverOf(each, standbys, [b]))).toEqual([b, undefined]);
  for (const each of standbys)
    expect(() => receiverOf(each, standbys, [other])).toThrow(/may be that of [bc] or of [bc]/);
});

test('another program that receives WAL on the host of a standby is not taken for it', () => {
  const program = { ...receiver('pg_receivewal', '10.0.0.4'), replayed: undefined };
  const own = receiver('walreceiver', '10.0.0.4');
  const standbys = [at('b', '10.0.0.4')];
  expect(receiverOf(at('b', '10.0.0.4'), standbys, [program, own])).toBe(own);
  expect(receiverOf(at('10.0.0.4'), [at('10.0.0.4')], [program, own])).toBe(own);
  expect(() => receiverOf(at('b', '10.0.0.4'), standbys, [own, { ...own }])).toThrow(/2 receivers may be/);
});

test('of two connections of one standby, that which was lost does not count', () => {
  const [lost, own] = [receiver('b', '10.0.0.4'), { ...receiver('b', '10.0.0.4'), replayed: 2n }];
  expect(receiverOf(at('b'), [at('b')], [lost, own])).toBe(own);
});

test.each([
  ['9.6', 'before PostgreSQL 10, only a superuser can'],
  ['10', 'GRANT pg_monitor to it'],
])('a role that sees no receivers on %s learns what helps there', async (version, hint) => {
  const hidden = [['walreceiver', '', '', '', '', '', '', '']];
  const ask = () => Promise.resolve({ kind: 'rows' as const, rows: hidden });
  await expect(receiversOf(ask, capabilitiesOf(parseVersion(version)))).rejects.toThrow(hint);
});

test('where a receiver has the name of no standby, it is not said of a standby that it does not stream', () => {
  const [named, foreign] = [receiver('b', '10.0.0.2'), receiver('pg-5\u001B[31m', '10.0.0.5')];
  const standbys = [at('b'), at('standby1')];
  expect(() => receiverOf(at('standby1'), standbys, [named, foreign])).toThrow(
    'the receiver "pg-5\\x1b[31m 10.0.0.5" may be that of standby1: it has the name of no standby',
  );
  expect(receiverOf(at('b'), standbys, [named, foreign])).toBe(named);
  const program = { ...foreign, replayed: undefined };
  expect(receiverOf(at('standby1'), standbys, [named, program])).toBeUndefined();
});
