import { describe, expect, test } from 'vitest';
import { parseConninfo } from '../../../src/postgres/conninfo.ts';

describe('a connection string', () => {
  test.each([
    ['', {}],
    ['  ', {}],
    [
      'user=replicator host=m1 port=5432 sslmode=prefer application_name=m2 dbname=postgres',
      {
        user: 'replicator',
        host: 'm1',
        port: '5432',
        sslmode: 'prefer',
        application_name: 'm2',
        dbname: 'postgres',
      },
    ],
    // As Patroni escapes: a backslash before a blank, a quote or a backslash.
    [String.raw`user=a\ b dbname=o\'c host=\\x`, { user: 'a b', dbname: "o'c", host: String.raw`\x` }],
    ["host = 'm 1'  user='it\\'s'", { host: 'm 1', user: "it's" }],
    ["password='' host=m1", { password: '', host: 'm1' }],
    // libpq skips blanks behind the sign, too.
    ['host= port=1', { host: 'port=1' }],
  ])('%j', (text, values) => {
    expect(Object.fromEntries(parseConninfo(text) ?? [])).toEqual(values);
  });

  test.each([
    'host',
    'host=m1 postgres',
    "host='m1",
    "host='m1'x",
    'postgresql://m1/postgres',
    '=m1',
    'host=m1\\',
  ])('%j is none', (text) => {
    expect(parseConninfo(text)).toBeUndefined();
  });
});
