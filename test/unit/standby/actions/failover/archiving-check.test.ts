import { describe, expect, test } from 'vitest';
import { archivingProblems } from '../../../../../src/standby/actions/failover/archiving-check.ts';

const own = { archivedir: '/var/lib/postgresql/archive', names: ['bitarena-clone', 'localhost'] };

function ini(slaves: string, more = ''): string {
  return `[DEFAULT]\npgdata: /d\nslaves: ${slaves}\nr_archivedir: /r\nl_archivedir: /l\n${more}`;
}

describe('the archive_command of a promoted server', () => {
  test('must not write into the archive of this host', () => {
    expect(archivingProblems('cp %p /var/lib/postgresql/archive/%f', undefined, own)).toHaveLength(1);
  });

  test('must not have this host in its list, by name or by address', () => {
    expect(archivingProblems('cmd_archiver', ini('bitarena-clone, other'), own)).toEqual([
      'its list of standbys has "bitarena-clone", which is this host',
    ]);
    expect(archivingProblems('cmd_archiver', ini('a', '[a]\nhost: localhost\n'), own)).toHaveLength(1);
    expect(archivingProblems('cmd_archiver', ini('127.0.0.1'), own)).toHaveLength(1);
    expect(archivingProblems('cmd_archiver', ini('bitarena, other'), own)).toEqual([]);
    expect(archivingProblems('cmd_archiver', 'not an ini file', own)).toEqual([]);
  });
});
