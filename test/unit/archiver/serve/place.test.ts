import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { placeOf } from '../../../../src/archiver/actions/serve.ts';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import { archiveService } from '../../../../src/standby/archive/served.ts';
import type { StandbyDeps } from '../../../../src/standby/deps.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

/** A directory that no PATH has, with this program. */
function directoryWith(name: string): string {
  const directory = temporaryDirectory();
  writeFileSync(join(directory, name), '#!/bin/sh\n');
  chmodSync(join(directory, name), 0o755);
  return directory;
}

const word = (program: string) => ({ program, args: ['-v'] });

test('the scripts of a restricted key find the programs of a primary in includepath', async () => {
  const directory = directoryWith('psql-of-ours');
  const settings = { psql: word('psql-of-ours'), rsync_bin: word('no-such-rsync'), includepath: [directory] };
  expect(await placeOf({ settings } as unknown as ArchiverDeps, '/bin/cmd_standby')).toEqual({
    psql: word(join(directory, 'psql-of-ours')),
    rsync: "'no-such-rsync'",
    program: "'/bin/cmd_standby'",
  });
});

test('the scripts of a restricted key find the rsync of a standby in includepath', async () => {
  const directory = directoryWith('rsync-of-ours');
  const settings = {
    archivedir: '/archive',
    pgdata: '/data',
    rsync: word('rsync-of-ours'),
    includepath: [directory],
  };
  const { place } = await archiveService({ settings, iniFile: '/i.ini' } as unknown as StandbyDeps, false);
  expect(place).toMatchObject({ rsync: `'${join(directory, 'rsync-of-ours')}'` });
});
