import { describe, expect, it } from 'vitest';
import { findDangerousFlags } from '../../../src/config/rsync-flags.ts';

describe('rsync_flags without harm', () => {
  it.each([
    '-z',
    '-zz',
    '-avz',
    '--bwlimit=100',
    '--bwlimit 100',
    '--compress-choice=zstd --compress-level 3',
    '-B 8192 -z',
    '-zB 8192',
    '-B8192',
    '-T /var/tmp',
    '--no-compress',
    '--no-W',
    '--rsync-path=/opt/bin/rsync',
    '--timeout=30 --stats --numeric-ids',
  ])('contain %s', (flags) => {
    expect(findDangerousFlags(flags.split(' '))).toEqual([]);
  });

  it('can be an empty list', () => {
    expect(findDangerousFlags([])).toEqual([]);
  });
});

describe('rsync_flags that would lose or falsify data', () => {
  it.each([
    ['--remove-source-files', '--remove-source-files is refused: it deletes files on the sending side'],
    ['--delete-after', '--delete-after is refused: it changes which files are deleted on the receiving side'],
    ['--ignore-existing', '--ignore-existing is refused: it leaves files out, and rsync reports success'],
    ['--exclude=*.conf', '--exclude is refused: it leaves files out, and rsync reports success'],
    ['-u', '-u is refused: it leaves files out, and rsync reports success'],
    ['-n', '-n is refused: it copies nothing, and rsync reports success'],
    ['-azn', '-n (in -azn) is refused: it copies nothing, and rsync reports success'],
    ['-e', '-e is refused: pitrtools makes the connection: use the keys ssh, user and ssh_timeout'],
    [
      '-M--fake-super',
      '-M (in -M--fake-super) is refused: it passes flags to the other rsync that are not checked here',
    ],
    ['--no-ignore-times', '--no-ignore-times is refused: it removes a flag that a safe copy needs'],
    ['--no-r', '--no-r is refused: it removes a flag that a safe copy needs'],
    ['/etc/passwd', '"/etc/passwd" is not a flag, so rsync would take it for a file to copy'],
    ['--', '"--" is not a flag, so rsync would take it for a file to copy'],
    ['-', '"-" is not a flag, so rsync would take it for a file to copy'],
  ])('are refused: %s', (flag, message) => {
    expect(findDangerousFlags([flag])).toEqual([message]);
  });

  it.each(
    (
      '--remove-sent-files --del --delete --delete-excluded --existing --ignore-non-existing --dry-run --inplace ' +
      '--append --append-verify --link-dest=/x --copy-dest=/x --compare-dest=/x --update --max-size=1 --min-size=1 ' +
      '--filter=x --include=x --files-from=x --rsh=ssh --size-only --list-only --version --backup --safe-links -L -R -x'
    ).split(' '),
  )('are refused: %s', (flag) => {
    expect(findDangerousFlags([flag])).toHaveLength(1);
  });

  it('are found after a value, and each is reported', () => {
    expect(findDangerousFlags(['--bwlimit', '100', '-n', '--bwlimit=5', '100', '--update'])).toHaveLength(3);
  });
});
