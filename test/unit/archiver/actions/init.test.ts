import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { initialize } from '../../../../src/archiver/actions/init.ts';
import type { ArchiverDeps } from '../../../../src/archiver/deps.ts';
import { layoutOf } from '../../../../src/archiver/layout.ts';
import { controlIn } from '../../postgres/fixtures/changed-control.ts';
import { temporaryDirectory } from '../../system/temporary.ts';

test('-I --plant on a standby is refused before anything is changed', async () => {
  const directory = temporaryDirectory();
  mkdirSync(join(directory, 'pgdata', 'global'), { recursive: true });
  writeFileSync(join(directory, 'pgdata', 'global', 'pg_control'), controlIn('in-archive-recovery'));
  const queues = join(directory, 'queues');
  const standby = { name: 'beta', host: 'beta', r_archivedir: '/a' };
  const deps = {
    settings: { pgdata: join(directory, 'pgdata'), l_archivedir: queues, standbys: [standby] },
    layout: layoutOf(queues),
    report: () => undefined,
    log: { debug: () => undefined, notice: () => undefined, warning: () => undefined },
  } as unknown as ArchiverDeps;
  await expect(initialize(deps, 'beta')).rejects.toMatchObject({
    exitCode: 4,
    message: expect.stringContaining('--plant works only on the primary') as string,
  });
  expect(existsSync(queues)).toBe(false);
});
