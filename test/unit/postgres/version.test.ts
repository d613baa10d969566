import { describe, expect, test } from 'vitest';
import {
  findVersion,
  formatVersion,
  isSameMajor,
  parseVersion,
  versionOfNum,
} from '../../../src/postgres/version.ts';

describe('a version of PostgreSQL', () => {
  test.each([
    ['8.4', '8.4', 80400],
    ['8.4.13', '8.4', 80413],
    ['9.6', '9.6', 90600],
    ['9.6.24\n', '9.6', 90624],
    ['15', '15', 150000],
    ['15.18', '15', 150018],
    ['15.18 (Debian 15.18-0+deb12u1)', '15', 150018],
    ['pg_ctl (PostgreSQL) 18.4', '18', 180004],
    ['psql (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)', '15', 150018],
    ['postgres (PostgreSQL) 9.3.25', '9.3', 90325],
    [
      'PostgreSQL 8.4.13 on i486-pc-linux-gnu, compiled by GCC gcc-4.4.real (Debian 4.4.5-8) 4.4.5, 32-bit',
      '8.4',
      80413,
    ],
    ['18beta1', '18', 180000],
    ['19devel', '19', 190000],
    ['9.6rc1', '9.6', 90600],
    ['8.4.22lts6', '8.4', 80422],
    ['15.18-EDB', '15', 150018],
    ['pg_ctl (PostgreSQL) 9.6.24-pgpro', '9.6', 90624],
    ['postgres (EnterpriseDB) 16.4.1', '16', 160004],
    ['14.6_custom', '14', 140006],
    ['17.2.1.3', '17', 170002],
    ['13.4+deb11', '13', 130004],
    ['16~rc1', '16', 160000],
    ['17rc2', '17', 170000],
    ['9.5alpha1', '9.5', 90500],
    ['postgres (Postgres Pro 1c 14.2.1) 14.2.1', '14', 140002],
    ['psql (2ndQuadrant PostgreSQL) 11.5', '11', 110005],
    ['80413', '8.4', 80413],
    ['150018', '15', 150018],
    [' 100023 ', '10', 100023],
  ])('is found in %j', (text, major, num) => {
    expect(parseVersion(text)).toEqual({ major, num });
  });
});

test.each(['', 'latest', '9', 'x15', '15.x', '1505', 'pg_ctl: command not found'])(
  '%j contains no version',
  (text) => {
    expect(findVersion(text)).toBeUndefined();
    expect(() => parseVersion(text)).toThrow(`not a PostgreSQL version: '${text}'`);
  },
);

test.each(['8.4.13', '9.6.24', '15.18', '10.0'])('%s is written unchanged', (text) => {
  expect(formatVersion(parseVersion(text))).toBe(text);
});

test('9.5 and 9.6 are different major releases, 15.1 and 15.18 are not', () => {
  expect(isSameMajor(versionOfNum(90500), versionOfNum(90624))).toBe(false);
  expect(isSameMajor(versionOfNum(150001), versionOfNum(150018))).toBe(true);
});
