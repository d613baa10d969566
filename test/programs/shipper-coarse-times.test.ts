import { existsSync, readFileSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';
import { eventually } from '../harness/eventually.ts';
import { type Host, writeScript } from '../harness/host.ts';
import { failureMajors } from '../harness/postgres-programs.ts';
import { test } from '../harness/test.ts';
import { archivedFiles, prepareArchive } from './archiver-cluster.ts';
import { shipperPids, systemIdentifierOf } from './shipper-kit.ts';

/** As on a file system that keeps whole seconds. */
const rounding = `/usr/bin/cp "$@" || exit
while [ "$1" != --target-directory ]; do shift; done
directory=$2; shift 3
for file; do made=$directory/\${file##*/}; touch -d "@$(stat -c %Y "$made")" "$made"; done`;

/** As a cp that is not GNU's. */
const refusing = `case "$*" in
  *--attributes-only*) echo 'cp: unrecognized option: attributes-only' >&2; exit 1 ;;
esac
exec /usr/bin/cp "$@"`;

function putFirstInPath(host: Host, name: string, body: string): void {
  writeScript(host, name, body);
  host.env['PATH'] = `${join(host.directory, 'bin')}:${host.env['PATH'] ?? ''}`;
}

function linesOf(file: string): string[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
}

describe.each(failureMajors())('the shipper with PostgreSQL %i', (major) => {
  test.override({ major });

  test.for([
    ['times are kept in whole seconds', rounding, false, 'cannot keep the times of files exactly'],
    ['only the INI has a time that is kept', rounding, true, 'cannot keep the times of files exactly'],
    ["cp is not GNU's", refusing, false, 'unrecognized option: attributes-only'],
  ] as const)(
    'ships each segment once, and reports the cause once, if %s',
    async ([, cp, isWhole, cause], { world }) => {
      const host = await world.host('primary');
      putFirstInPath(host, 'cp', cp);
      const transfers = join(host.directory, 'transfers');
      const rsync = writeScript(
        host,
        'rsync',
        `case "$*" in *--files-from*) echo x >>${transfers} ;; esac\nexec /usr/bin/rsync "$@"`,
      );
      const primary = await world.startPrimary({
        slaves: ['s1'],
        // A call waits for the shipper however slow this machine is, and does not do its work a second time.
        ini: { debug: 'off', rsync_bin: rsync, queue_after: 60 },
      });
      const s1 = await world.host('s1');
      prepareArchive(s1, await systemIdentifierOf(primary));
      if (isWhole) utimesSync(primary.iniFile, 1_700_000_000, 1_700_000_000);
      expect(await world.cmdArchiver(primary, ['-I'])).toMatchObject({ code: 0 });
      await primary.sql('CREATE TABLE t (n int)');
      const names: string[] = [];
      for (let round = 0; round < 4; round++) {
        await primary.sql('INSERT INTO t SELECT generate_series(1, 100)');
        const name = await primary.switchWal();
        names.push(name);
        await primary.archived(name);
        await eventually(() => archivedFiles(s1).includes(name));
      }
      // By the shipper, not by calls that had to do its work.
      // A child that it has just forked looks like a second one for a moment.
      await eventually(() => shipperPids(host).length === 1);
      expect(linesOf(transfers).length).toBeLessThanOrEqual(archivedFiles(s1).length);
      const log = linesOf(join(primary.lArchiveDir, '.archiver', 'shipper.log'));
      expect(log.filter((line) => line.includes(cause))).toHaveLength(1);
      expect(log.filter((line) => line.includes('configuration changed'))).toEqual([]);
      expect(log.length).toBeLessThan(10);
    },
  );
});
