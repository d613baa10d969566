import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { BackupContext } from '../../../../src/standby/actions/base-backup/context.ts';
import { emptyWal } from '../../../../src/standby/actions/base-backup/pgdata/pgdata-files.ts';
import { readWalLink, requireWalDirectory, type WalLink } from '../../../../src/standby/host/wal-link.ts';
import { temporaryDirectory } from '../../system/temporary.ts';
import { backupFacts, localPlace } from '../actions/base-backup/facts-kit.ts';

const segment = '000000010000000000000001';
const wal = [
  segment,
  `${segment}.partial`,
  '00000002.history',
  'xlogtemp.7',
  'RECOVERYXLOG',
  'RECOVERYHISTORY',
];

function makeLink() {
  const directory = temporaryDirectory();
  const [pgdata, target] = [join(directory, 'main'), join(directory, 'wal')];
  for (const path of [pgdata, target, join(target, 'archive_status'), join(target, 'lost+found')])
    mkdirSync(path);
  for (const name of wal) writeFileSync(join(target, name), '');
  symlinkSync(target, join(pgdata, 'pg_wal'));
  return { directory, pgdata, target, link: join(pgdata, 'pg_wal') };
}

async function found(pgdata: string): Promise<WalLink> {
  const link = await readWalLink(pgdata, 'pg_wal');
  if (link === undefined) throw new Error('no link');
  return link;
}

function empty(pgdata: string, walLink: WalLink | undefined): Promise<void> {
  const facts = backupFacts({ place: localPlace({ pgdata, walLink }) });
  return emptyWal({ deps: { log: { debug: () => undefined } }, facts } as unknown as BackupContext);
}

test('a directory is no link, and neither is a missing path', async () => {
  const { directory, target } = makeLink();
  expect(await readWalLink(directory, 'wal')).toBeUndefined();
  expect(await readWalLink(join(target, 'none'), 'pg_wal')).toBeUndefined();
});

test('a link to a server’s WAL directory is accepted, and any other link is refused by name', async () => {
  const { pgdata, target, link } = makeLink();
  await requireWalDirectory(await found(pgdata));
  writeFileSync(join(target, 'thesis.txt'), '');
  await expect(requireWalDirectory(await found(pgdata))).rejects.toThrow(
    `"${link}" is a link to "${target}", which holds more than WAL: thesis.txt`,
  );
  rmSync(target, { recursive: true });
  await expect(requireWalDirectory(await found(pgdata))).rejects.toThrow('which is not there');
  writeFileSync(target, '');
  await expect(requireWalDirectory(await found(pgdata))).rejects.toThrow('is not a directory');
});

test('only WAL is removed behind the link, and newer files and lost+found stay', async () => {
  const { pgdata, target } = makeLink();
  const before = await found(pgdata);
  writeFileSync(join(target, 'thesis.txt'), '');
  await empty(pgdata, before);
  expect(readdirSync(target).sort()).toEqual(['archive_status', 'lost+found', 'thesis.txt']);
});

test('a link that was made or changed during the copy is not followed', async () => {
  const { directory, pgdata, target, link } = makeLink();
  const before = await found(pgdata);
  await expect(empty(pgdata, undefined)).rejects.toThrow(
    'leads to another directory than when this run began',
  );
  rmSync(link);
  symlinkSync(directory, link);
  await expect(empty(pgdata, before)).rejects.toThrow('leads to another directory');
  rmSync(link);
  symlinkSync(join(directory, 'none'), link);
  await expect(empty(pgdata, before)).rejects.toThrow('leads to another directory');
  expect(readdirSync(target)).toContain(segment);
});

test('pg_wal inside pgdata is emptied except for lost+found', async () => {
  const { directory, target } = makeLink();
  const pgdata = join(directory, 'other');
  mkdirSync(join(pgdata, 'pg_wal', 'lost+found'), { recursive: true });
  writeFileSync(join(pgdata, 'pg_wal', 'anything'), '');
  await empty(pgdata, undefined);
  expect(readdirSync(join(pgdata, 'pg_wal')).sort()).toEqual(['archive_status', 'lost+found']);
  expect(readdirSync(target)).toContain(segment);
});
