import { expect, it } from 'vitest';
import { listExpectedPaths } from '../../../src/config/expected-paths.ts';
import { archiverOptions } from '../../../src/config/options-archiver.ts';
import { standbyOptions } from '../../../src/config/options-standby.ts';
import { capabilitiesOf } from '../../../src/postgres/capabilities.ts';
import { parseVersion } from '../../../src/postgres/version.ts';
import { archiverSettings, goodStandby, readFixture, standbySettings } from './fixtures.ts';

it("the archiver's check expects the paths of this host, and none of the standby", () => {
  const settings = archiverSettings(readFixture('how-to-archiver.ini'));
  expect(listExpectedPaths(archiverOptions, settings)).toEqual([
    { key: 'pgdata', kind: 'directory', path: '/var/lib/postgresql/8.4/main' },
    { key: 'ssh', kind: 'program', path: '/usr/bin/ssh' },
    { key: 'rsync_bin', kind: 'program', path: '/usr/bin/rsync' },
  ]);
});

it("the standby's check expects the paths of this host, and none of the primary", () => {
  const keys = listExpectedPaths(standbyOptions, standbySettings(readFixture('how-to-standby.ini'))).map(
    ({ key }) => key,
  );
  expect(keys).toEqual([
    'ssh',
    'rsync',
    'pg_ctl',
    'pg_standby',
    'pg_archivecleanup',
    'pg_conf',
    'pg_hba_conf',
    'pg_conf_failover',
    'pg_hba_conf_failover',
    'action_failover',
  ]);
});

it.each([
  ['8.4', ['pg_standby']],
  ['9.0', ['pg_archivecleanup']],
  ['15', ['pg_archivecleanup']],
  [undefined, ['pg_standby', 'pg_archivecleanup']],
])(
  'a key that release %s does not use is not expected, but it is expected if the release is unknown',
  (version, used) => {
    const settings = standbySettings(readFixture('how-to-standby.ini'));
    const release = version === undefined ? undefined : capabilitiesOf(parseVersion(version));
    const keys = listExpectedPaths(standbyOptions, settings, release).map(({ key }) => key);
    expect(keys.filter((key) => key === 'pg_standby' || key === 'pg_archivecleanup')).toEqual(used);
  },
);

it.each([
  ['/opt/failover.sh now', ['/opt/failover.sh']],
  ['echo done', []],
  ['/opt/a;b', []],
  ["/opt/'", []],
])('the script is found in %j only if its path is plain', (command, scripts) => {
  const settings = standbySettings(`${goodStandby}action_failover: ${command}\nincludepath: /opt/bin:/bin\n`);
  const expected = listExpectedPaths(standbyOptions, settings);
  expect(expected.filter(({ key }) => key === 'action_failover').map(({ path }) => path)).toEqual(scripts);
  expect(expected.filter(({ key }) => key === 'includepath').map(({ path }) => path)).toEqual([
    '/opt/bin',
    '/bin',
  ]);
});
