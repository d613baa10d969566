import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { observeCluster } from '../../../../src/archiver/status/cluster.ts';
import { judgeArchiver } from '../../../../src/archiver/status/judge.ts';
import { metricsOf, sectionsOf } from '../../../../src/archiver/status/show.ts';
import { realServers } from '../../postgres/fixtures/build.ts';
import { controlIn } from '../../postgres/fixtures/changed-control.ts';
import { limits } from '../../status/limits-kit.ts';
import { temporaryDirectory } from '../../system/temporary.ts';
import { seen, well } from './facts-kit.ts';

const [[major] = ['']] = realServers();

/** A data directory whose pg_control is that of a primary that runs. */
function copyOfPrimary(files: Readonly<Record<string, string>>): string {
  const pgdata = temporaryDirectory();
  mkdirSync(join(pgdata, 'global'));
  writeFileSync(join(pgdata, 'PG_VERSION'), `${major}\n`);
  writeFileSync(join(pgdata, 'global', 'pg_control'), controlIn('in-production'));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(pgdata, name), content);
  return pgdata;
}

const recoveryFile = Number(major) < 12 ? 'recovery.conf' : 'standby.signal';

test('a base backup on which no server was started is a cold standby, whatever its pg_control says', async () => {
  const pgdata = copyOfPrimary({ backup_label: '', 'pitrtools.json': '{"backup":{}}' });
  const cluster = await observeCluster(pgdata);
  expect(cluster).toMatchObject({ isInRecovery: true, isCold: true });

  const facts = { ...well, cluster: seen(cluster), isRunning: seen(false) };
  expect(judgeArchiver(facts, { limits, command: 'c', pgdata })).toEqual([]);
  expect(sectionsOf(facts)[0]?.rows[0]).toEqual(['role', 'cold standby']);
  expect(metricsOf(facts).find(({ name }) => name === 'primary')?.samples).toMatchObject([{ value: 0 }]);

  // -S has written its settings, and the server did not start.
  writeFileSync(join(pgdata, 'pitrtools.json'), '{"backup":{},"settings":{}}');
  expect((await observeCluster(pgdata)).isInRecovery).toBe(false);
  writeFileSync(join(pgdata, recoveryFile), '');
  expect(await observeCluster(pgdata)).toMatchObject({ isInRecovery: true, isCold: true });
});

test('a primary that died is a primary: also with a backup_label, or with a recovery file that was left behind', async () => {
  const pgdata = copyOfPrimary({ backup_label: '' });
  expect((await observeCluster(pgdata)).isInRecovery).toBe(false);
  rmSync(join(pgdata, 'backup_label'));
  writeFileSync(join(pgdata, recoveryFile), '');
  expect((await observeCluster(pgdata)).isInRecovery).toBe(false);
});
