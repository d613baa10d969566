import { expect, test } from 'vitest';
import { capabilitiesOf } from '../../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../../src/postgres/version.ts';
import { collationsSql, judgeCollations, judgeLibc } from '../../../../src/standby/check/collations.ts';

test('the versions of collations are asked from 15 on', () => {
  expect(collationsSql(capabilitiesOf(parseVersion('14')))).toBeUndefined();
  expect(collationsSql(capabilitiesOf(parseVersion('15')))).toContain('datcollversion');
});

test('a database whose indexes were made with another version is named with both', () => {
  expect(judgeCollations('beta', [])).toEqual([]);
  expect(judgeCollations('beta', [['shop', '2.31', '2.36']])).toMatchObject([
    {
      result: 'failed',
      says: 'on beta the collation of database shop is of version 2.36, but its indexes were made with 2.31',
    },
  ]);
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
