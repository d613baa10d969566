import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { BackupContext } from '../../../../../../src/standby/actions/base-backup/context.ts';
import { moveIntoPlace } from '../../../../../../src/standby/actions/base-backup/streaming/move-into-place.ts';
import { receiveBackup } from '../../../../../../src/standby/actions/base-backup/streaming/receive.ts';
import { controlIn } from '../../../../postgres/fixtures/changed-control.ts';
import { temporaryDirectory } from '../../../../system/temporary.ts';
import { backupFacts, localPlace } from '../facts-kit.ts';

const label = `START WAL LOCATION: 0/5000028 (file 000000010000000000000005)
CHECKPOINT LOCATION: 0/5000060
START TIME: 2026-01-01 00:00:00 UTC
LABEL: x
`;

test('a tablespace that was dropped before the server began does not end the backup once all has come', async () => {
  const root = temporaryDirectory();
  const pgdata = join(root, 'main');
  const target = { oid: '16400', name: 'gone', location: '/gone', target: join(root, 'gone') };
  const place = localPlace({ pgdata, targets: [{ ...target, isInsidePgdata: false }] });
  const streaming = {
    program: { program: 'pg_basebackup', args: [] },
    client: backupFacts().primary.capabilities,
    access: { host: 'a', port: 1, role: 'r', env: {} },
  };
  const facts = { ...backupFacts({ place, rsync: undefined }), streaming };
  const startSession = () => {
    const receiving = join(pgdata, '.pitrtools-receiving');
    for (const name of ['global', 'pg_tblspc']) mkdirSync(join(receiving, name), { recursive: true });
    writeFileSync(join(receiving, 'global', 'pg_control'), controlIn('in-production'));
    writeFileSync(join(receiving, 'backup_label'), label);
    const ended = Promise.resolve({ kind: 'exited', code: 0, stdout: '', stderr: '' });
    return { close: () => undefined, kill: () => undefined, ended };
  };
  const log = { debug: () => undefined, notice: () => undefined, warning: () => undefined };
  const settings = { base_backup_timeout: 60, wal_timeout: 60, basebackup_nice: 0, basebackup_ionice: 'off' };
  const context = {
    deps: { log, settings, startSession, signal: new AbortController().signal, monotonicMs: () => 0 },
    facts,
    onEvent: () => undefined,
    primary: { queryAside: () => Promise.resolve([]) },
  } as unknown as BackupContext;
  const { control, record } = await receiveBackup(context, 0);
  expect(record.copy?.files).toBe(2);
  await moveIntoPlace(context, control);
});
