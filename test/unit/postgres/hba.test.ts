import { describe, expect, test } from 'vitest';
import { askHba } from '../../../src/postgres/hba.ts';

const login = { user: 'postgres', database: 'postgres' };

function answer(text: string, wanted = login): string {
  const said = askHba(text, wanted);
  return said.kind === 'line' ? `${said.method} (${said.number})` : said.kind;
}

describe('the text of pg_hba.conf', () => {
  test.each([
    ['local all all trust', 'trust (1)'],
    ['host all all 127.0.0.1/32 trust\nlocal all postgres peer', 'peer (2)'],
    ['# local all all trust\nlocal replication all trust\nlocal all all md5 # why', 'md5 (3)'],
    ['local all alice trust\nlocal shop,postgres all reject', 'reject (2)'],
    ['local shop , postgres alice, postgres scram-sha-256', 'scram-sha-256 (1)'],
    ['local "all" all trust\nlocal "postgres" "postgres" md5', 'md5 (2)'],
    ['local sameuser all peer', 'peer (1)'],
    ['local all \\\n  all peer map=dba', 'peer (1)'],
    ['host all all all trust', 'no-line'],
    ['', 'no-line'],
    ['local all +dba reject\nlocal all all trust', 'unknown'],
    ['local all @admins trust', 'unknown'],
    ['local all /^post trust', 'unknown'],
    ['include other.conf\nlocal all all trust', 'unknown'],
    ['local other +dba reject\nlocal all all trust', 'trust (2)'],
  ])('decides a login over the socket: %j', (text, expected) => {
    expect(answer(text)).toBe(expected);
  });

  test('does not match another database by sameuser', () => {
    expect(answer('local sameuser all peer', { user: 'postgres', database: 'template1' })).toBe('no-line');
  });
});
