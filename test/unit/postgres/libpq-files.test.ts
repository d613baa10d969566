import { describe, expect, test } from 'vitest';
import { findPassword, findService } from '../../../src/postgres/libpq-files.ts';

const question = { hosts: ['/run/pg', 'localhost'], port: 5432, database: 'postgres', user: 'postgres' };

describe("a line of libpq's password file", () => {
  test.each([
    ['localhost:5432:postgres:postgres:secret', 'secret'],
    ['/run/pg:*:*:*:secret', 'secret'],
    ['*:*:*:postgres:with\\:colon\\\\and more:yes', 'with:colon\\and more:yes'],
    ['# localhost\n127.0.0.1:*:*:*:no\nlocalhost:*:*:*:first\n*:*:*:*:second', 'first'],
    ['localhost:*:postgres:post\\gres:escaped', 'escaped'],
    ['localhost:*:*:*:secret\r\n', 'secret'],
    ['localhost:5433:*:*:no', undefined],
    ['localhost:*:*:other:no', undefined],
    ['\\*:*:*:*:no', undefined],
    ['localhost:5432:postgres', undefined],
    ['localhost:*:*:*:\n*:*:*:*:second', undefined],
    ['', undefined],
  ])('is read: %j', (text, password) => {
    expect(findPassword(text, question)).toBe(password);
  });

  test('has backslashes in a host with colons', () => {
    expect(findPassword('\\:\\:1:*:*:*:six', { ...question, hosts: ['::1'] })).toBe('six');
  });
});

describe("a section of libpq's service file", () => {
  const text =
    '# all\n[other]\npassword=no\n\n[mine]\n passfile = /etc/pass\nsslmode=require\nsslmode=disable\n[next]\nuser=x\n';

  test('contains the parameters up to the next section, and the first value of each', () => {
    expect([...(findService(text, 'mine') ?? [])]).toEqual([
      ['passfile', '/etc/pass'],
      ['sslmode', 'require'],
    ]);
  });

  test('is undefined if the file has no service of that name', () => {
    expect(findService(text, 'nobody')).toBeUndefined();
  });
});
