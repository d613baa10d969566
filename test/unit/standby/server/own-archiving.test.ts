import { describe, expect, test } from 'vitest';
import { iniProblems } from '../../../../src/standby/server/own-archiving.ts';

const own = ['bitarena-clone', 'localhost'];

function ini(slaves: string, more = ''): string {
  return `[DEFAULT]\npgdata: /d\nslaves: ${slaves}\nr_archivedir: /r\nl_archivedir: /l\n${more}`;
}

describe('the INI file of the archive_command of a promoted server', () => {
  test('must not list this host, by name or by address', () => {
    expect(iniProblems('/i', ini('bitarena-clone, other'), own)).toEqual([
      'its list of standbys contains "bitarena-clone", which is this host',
    ]);
    expect(iniProblems('/i', ini('a', '[a]\nhost: localhost\n'), own)).toHaveLength(1);
    expect(iniProblems('/i', ini('127.0.0.1'), own)).toHaveLength(1);
    expect(iniProblems('/i', ini('bitarena, other'), own)).toEqual([]);
  });

  test('must be one that cmd_archiver can use', () => {
    expect(iniProblems('/i', 'not an ini file', own)).toEqual([
      'its INI file "/i" cannot be used: cmd_archiver -C /i says why',
    ]);
  });
});
