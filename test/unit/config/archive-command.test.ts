import { describe, expect, test } from 'vitest';
import { archiveCallOf, judgeArchiving } from '../../../src/config/archive-command.ts';

describe('the call of our program in an archive_command', () => {
  test.each([
    ['/p/bin/cmd_archiver -C /p/a.ini -F %p', { program: '/p/bin/cmd_archiver', iniFile: '/p/a.ini' }],
    ['"/p q/cmd_archiver" -F "%p" --config=/p/a.ini', { program: '/p q/cmd_archiver', iniFile: '/p/a.ini' }],
    ['nice -n 5 cmd_archiver -C/p/a.ini -F%p', { program: 'cmd_archiver', iniFile: '/p/a.ini' }],
    ['cmd_archiver --file %p', { program: 'cmd_archiver', iniFile: '/etc/pitrtools/cmd_archiver.ini' }],
    [
      '/1.x/cmd_archiver -C /1.x/a.ini -F %p && /p/cmd_archiver -C /p/a.ini -F %p',
      { program: '/p/cmd_archiver', iniFile: '/p/a.ini' },
    ],
    [
      '/p/cmd_archiver -C /p/a.ini -F %p && pgbackrest --stanza=main archive-push %p',
      { program: '/p/cmd_archiver', iniFile: '/p/a.ini' },
    ],
  ])('is found in %s', (command, call) => {
    expect(archiveCallOf(command)).toEqual({ ...call, passesSegment: true });
  });

  test('is not found in a call of another program', () => {
    expect(archiveCallOf('/usr/local/bin/archive %p')).toBeUndefined();
  });
});

describe('the settings of a server alone', () => {
  const good = { archiveMode: 'on', archiveCommand: 'cmd_archiver -C /a.ini -F %p', archiveLibrary: '' };
  test.each([
    [{}, 'call', undefined],
    [{ archiveMode: 'off', archiveCommand: '(disabled)' }, 'wrong', 'archive_mode is off'],
    [{ archiveLibrary: 'basic_archive' }, 'wrong', 'archive_library is "basic_archive"'],
    [{ archiveCommand: '' }, 'wrong', 'archive_command is empty'],
    [{ archiveCommand: 'cmd_archiver -C /a.ini -F %f' }, 'wrong', 'by -F %p'],
    [{ archiveCommand: 'cmd_archiver -F %p' }, 'call', undefined],
    [{ archiveCommand: 'cp %p /x/%f' }, 'unknown', 'cannot be determined'],
  ])('%j: the verdict is %s', (change, kind, reason) => {
    const verdict = judgeArchiving({ ...good, ...change });
    expect(verdict.kind).toBe(kind);
    if (verdict.kind !== 'call') expect(verdict.reason).toContain(reason);
  });
});
