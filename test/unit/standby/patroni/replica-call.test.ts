import { describe, expect, test } from 'vitest';
import { PitrError } from '../../../../src/errors.ts';
import { readReplicaCall } from '../../../../src/standby/patroni/replica-call.ts';

const connstring = 'user=replicator host=10.0.0.1 port=5433 sslmode=prefer dbname=postgres';
const ours = ['-C', '/etc/cmd_standby.ini', '--patroni-replica'];
/** In the order in which Patroni 3.0.2 appends them. */
const theirs = (connection = connstring, ...more: readonly string[]) => [
  '--keep_data=True',
  ...more,
  '--scope=main',
  '--role=replica',
  '--datadir=/data/m2',
  `--connstring=${connection}`,
];

function problemOf(argv: readonly string[]): string {
  try {
    readReplicaCall(argv)?.call();
  } catch (error) {
    if (error instanceof PitrError && error.exitCode === 2) return error.message;
    throw error;
  }
  return 'none';
}

describe("Patroni's call of a replica method", () => {
  test('is split into its words and ours', () => {
    const split = readReplicaCall([...ours, ...theirs()]);
    expect(split?.argv).toEqual(ours);
    expect(split?.call()).toEqual({
      datadir: '/data/m2',
      source: { host: '10.0.0.1', port: 5433 },
      verify: false,
    });
  });

  test('without a leader has no source', () => {
    const call = readReplicaCall([...ours, ...theirs('', '--no_leader=True')])?.call();
    expect(call).toEqual({ datadir: '/data/m2', source: undefined, verify: false });
  });

  test.each([
    ['verify=True', true],
    ['verify=False', false],
    ['verify=yes', true],
  ])('%s in its section', (word, verify) => {
    expect(readReplicaCall([...ours, ...theirs(connstring, `--${word}`)])?.call().verify).toBe(verify);
  });

  test('by an IPv6 address, and without a port', () => {
    const call = readReplicaCall([...ours, ...theirs('host=fe80::1 user=x')])?.call();
    expect(call?.source).toEqual({ host: 'fe80::1', port: undefined });
  });

  test('leaves a word that nobody knows to be refused', () => {
    const argv = readReplicaCall([...ours, ...theirs(connstring, '--thraeds=4')])?.argv;
    expect(argv).toEqual([...ours, '--thraeds=4']);
  });

  test.each([
    [['--scope=main', '--role=replica', '--datadir=/d'], /needs --datadir and --connstring/],
    [theirs('host=m1,m2 port=5432'), /does not name one host/],
    [theirs('host=-oProxyCommand=x'), /does not name one host/],
    [theirs('host=m1 port=0'), /does not name one host/],
    [theirs('postgresql://m1'), /does not name one host/],
    [theirs('user=x'), /does not name one host/],
    [theirs(connstring, '--verify=perhaps'), /neither true nor false/],
    [[...theirs(), '--role=master'], /is not replica/],
    [[...theirs(), '--datadir=data'], /not an absolute path/],
  ])('is refused: %j', (words, reason) => {
    expect(problemOf([...ours, ...words])).toMatch(reason);
  });

  test('is no other call', () => {
    expect(readReplicaCall(['-C', '/etc/cmd_standby.ini', '-B'])).toBeUndefined();
  });
});
