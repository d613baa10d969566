import { appendFileSync, lstatSync, mkdirSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { writeScript } from '../harness/host.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { backupPair, inPgdata } from './backup-kit.ts';
import { countRows, expectExit } from './standby-kit.ts';

/**
 * Does with every symbolic link what rsync 3.5 does with one of another owner, at both ends: 3 for one on the way to the source or to
 * the target, 23 for one below the source. Both hosts of these tests have the same file system.
 */
const strictRsync = `
list=
for arg; do
  case $arg in --files-from=*) list=\${arg#*=} ;; esac
  source=\${target-}
  target=$arg
done
straight() { [ "$(cd -- "$1" && pwd -P)" = "$1" ] || { echo "$1: Too many levels of symbolic links (40)" >&2; return 1; }; }
if [ -n "$list" ]; then
  source=\${source#*:}
  straight "\${target%/}" || exit 3
  straight "\${source%/}" || exit 3
  tr '\\0' '\\n' < "$list" | sed 's,^[.]/,,' | grep / | sed 's,/[^/]*$,,' | sort -u | {
    while read -r below; do straight "$source$below" || exit 1; done
  } || exit 23
fi
exec /usr/bin/rsync "$@"
`;

function moveBehindLink(path: string, real: string): void {
  renameSync(path, real);
  symlinkSync(real, path);
}

describe.each(failureMajors())('symbolic links on the paths of -B on PostgreSQL %i', (major) => {
  test.override({ major });

  test('do not disturb an rsync that follows no link of another owner', async ({ world }) => {
    const { primary, standby } = await backupPair(world);
    const [theirs, ours] = [primary, standby].map(({ host }) => join(host.directory, 'space'));
    for (const link of [theirs ?? '', ours ?? '']) {
      mkdirSync(`${link}.real`);
      symlinkSync(`${link}.real`, link);
    }
    await primary.sql(`CREATE TABLESPACE linked LOCATION '${theirs ?? ''}'`);
    await primary.sql('CREATE TABLE rows TABLESPACE linked AS SELECT generate_series(1, 5000) AS n');
    await primary.stop();
    moveBehindLink(join(primary.pgdata, 'base'), `${primary.pgdata}.base`);
    moveBehindLink(join(primary.pgdata, 'pg_wal'), `${primary.pgdata}.wal`);
    moveBehindLink(primary.pgdata, `${primary.pgdata}.real`);
    await primary.start();

    standby.writeIni({ rsync: writeScript(standby.host, 'strict-rsync', strictRsync), rsync_threads: 2 });
    appendFileSync(standby.iniFile, `\n[tablespaces]\n${theirs ?? ''} = ${ours ?? ''}\n`);
    expectExit(await world.cmdStandby(standby, ['-I']), 0);
    moveBehindLink(standby.pgdata, `${standby.pgdata}.real`);
    for (const action of ['-B', '-B', '-S']) expectExit(await world.cmdStandby(standby, [action]), 0);
    expect(lstatSync(inPgdata(standby, 'base')).isDirectory()).toBe(true);
    await primary.sql('INSERT INTO rows VALUES (5001)');
    await primary.archived(await primary.switchWal());
    await eventually(async () => (await countRows(standby)) === 5001);
  });
});
