import { expect, test } from 'vitest';
import {
  politeCommand,
  politeRsyncPath,
} from '../../../../../../src/standby/actions/base-backup/copy/politeness.ts';

const session = (niceness: number) =>
  `sh -c { echo "$0" >/proc/self/autogroup; } 2>/dev/null; exec "$@" ${niceness}`;
const rsync = { program: '/usr/bin/rsync', args: ['-a'] };

test.each([
  [0, 'off', [], '/usr/bin/rsync -a'],
  [10, 'off', ['--rsync-path=nice -n 10 rsync'], `${session(10)} nice -n 10 /usr/bin/rsync -a`],
  [0, 'idle', ['--rsync-path=ionice -t -c 3 rsync'], 'ionice -t -c 3 /usr/bin/rsync -a'],
  [
    19,
    '7',
    ['--rsync-path=nice -n 19 ionice -t -c 2 -n 7 rsync'],
    `${session(19)} nice -n 19 ionice -t -c 2 -n 7 /usr/bin/rsync -a`,
  ],
] as const)(
  'niceness %i and disk priority %s are set on both hosts',
  (basebackup_nice, basebackup_ionice, remote, local) => {
    const settings = { basebackup_nice, basebackup_ionice };
    expect(politeRsyncPath(settings, ['-z'])).toEqual(remote);
    const { program, args } = politeCommand(settings, { diesWithParent: false }, rsync);
    expect([program, ...args].join(' ')).toBe(local);
  },
);

test("the user's own rsync on the primary is used, and the local one ends with its parent", () => {
  const settings = { basebackup_nice: 10, basebackup_ionice: 'off' } as const;
  expect(politeRsyncPath(settings, ['--rsync-path=/opt/rsync'])).toEqual([]);
  expect(politeCommand(settings, { diesWithParent: true }, rsync).args.join(' ')).toBe(
    `--pdeathsig TERM -- ${session(10)} nice -n 10 /usr/bin/rsync -a`,
  );
});
