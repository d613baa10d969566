import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { BackupContext } from '../../../../../../src/standby/actions/base-backup/context.ts';
import { copyConfiguration } from '../../../../../../src/standby/actions/base-backup/pgdata/configuration.ts';
import type { RemoteWork } from '../../../../../../src/system/ssh.ts';
import { scriptOf } from '../../../../remote-work.ts';
import { temporaryDirectory } from '../../../../system/temporary.ts';
import { backupFacts, localPlace } from '../facts-kit.ts';

test('a base backup needs no pg_ident.conf, because the primary runs without one, too', async () => {
  const directory = temporaryDirectory();
  const [there, pgdata] = [join(directory, 'there'), join(directory, 'here')];
  for (const each of [there, pgdata]) mkdirSync(each);
  writeFileSync(join(there, 'pg_hba.conf'), 'local all all trust\n');
  const warnings: string[] = [];
  const log = { warning: (line: string) => warnings.push(line), notice: () => undefined };
  const run = (work: RemoteWork) => {
    const { status, stdout } = spawnSync('sh', ['-c', scriptOf(work)], { encoding: 'utf8' });
    return Promise.resolve({ kind: 'done', status, lines: stdout.split('\n') });
  };
  const shell = { run, target: { what: 'the primary', host: 'hosta', user: 'postgres' } };
  const facts = backupFacts({ place: localPlace({ pgdata }) });
  const context = { deps: { log }, primary: { shell }, facts } as unknown as BackupContext;
  const files = (['pg_ident.conf', 'pg_hba.conf'] as const).map((name) => ({
    name,
    source: join(there, name),
  }));
  await copyConfiguration(context, files);
  expect(readFileSync(join(pgdata, 'pg_hba.conf'), 'utf8')).toBe('local all all trust\n');
  expect(existsSync(join(pgdata, 'pg_ident.conf'))).toBe(false);
  expect(warnings).toEqual([expect.stringContaining(`the primary's "${join(there, 'pg_ident.conf')}"`)]);
});
