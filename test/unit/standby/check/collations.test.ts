import { expect, test } from 'vitest';
import { capabilitiesOf } from '../../../../src/postgres/capabilities.ts';
import { collationsSql, icuSql } from '../../../../src/postgres/server-sql.ts';
import { parseVersion } from '../../../../src/postgres/version.ts';
import { judgeCollations, judgeIcu, judgeLibc } from '../../../../src/standby/check/collations.ts';

test('the versions of collations are asked from 15 on', () => {
  expect(collationsSql(capabilitiesOf(parseVersion('14')))).toBeUndefined();
  expect(collationsSql(capabilitiesOf(parseVersion('15')))).toContain('datcollversion');
});

test('a database whose indexes were made with another version is named with both', () => {
  expect(judgeCollations('beta', [])).toMatchObject([{ result: 'ok' }]);
  expect(judgeCollations('beta', undefined)).toMatchObject([{ result: 'skipped' }]);
  expect(judgeCollations('beta', [['shop', '2.31', '2.36']])).toMatchObject([
    {
      result: 'failed',
      says: 'on beta the collation of database shop is of version 2.36, but its indexes were made with 2.31',
    },
  ]);
});

test('ICU is compared from 10 on, by one collation that both servers have', () => {
  expect(icuSql(capabilitiesOf(parseVersion('9.6')))).toBeUndefined();
  expect(icuSql(capabilitiesOf(parseVersion('10')))).toContain('und-x-icu');
  const root = (version: string) => [['und-x-icu', version]];
  expect(judgeIcu([], [])).toEqual([]);
  expect(judgeIcu(root('153.120'), root('153.120'))).toMatchObject([{ result: 'ok' }]);
  expect(judgeIcu(root('153.120'), root('153.112'))).toMatchObject([
    {
      result: 'failed',
      says: 'collation und-x-icu of the ICU library is of version 153.112 on the primary, and 153.120 here',
    },
  ]);
  expect(judgeIcu(root(''), root('153.112'))).toMatchObject([{ result: 'unknown' }]);
  expect(judgeIcu([], root('153.112'))).toMatchObject([{ result: 'unknown' }]);
});

test.each<[string, string | undefined, string]>([
  ['glibc 2.36', 'glibc 2.36', 'ok'],
  ['glibc 2.36', 'glibc 2.31', 'failed'],
  ['', 'glibc 2.31', 'unknown'],
  ['glibc 2.36', '', 'unknown'],
  ['glibc 2.36', undefined, 'skipped'],
])('the C libraries %j here and %j there: %s', (here, there, result) => {
  expect(judgeLibc(here, there)).toMatchObject({ result });
});
