import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { BackupContext } from '../../../../../../src/standby/actions/base-backup/context.ts';
import {
  markCopying,
  readBefore,
  unmarkCopying,
} from '../../../../../../src/standby/actions/base-backup/pgdata/pgdata-files.ts';
import { backupFacts, completeBackup, localPlace } from '../facts-kit.ts';
import { fullForce, noForce, type Force } from '../../../../../../src/standby/steps/force.ts';

/** Beyond what the kernel gives to any process. */
const nobodysPid = 2 ** 22 + 1;

let pgdata = '';
const control = () => join(pgdata, 'global', 'pg_control');
beforeEach(() => {
  pgdata = mkdtempSync(join(tmpdir(), 'pitrtools-unit-'));
  mkdirSync(join(pgdata, 'global'));
  writeFileSync(control(), 'as it was');
});
afterEach(() => {
  rmSync(pgdata, { recursive: true });
});

/** A backup at whose first change here a server has come up, and gone. */
function contextWith(force: Force): BackupContext {
  const run = {
    get record() {
      writeFileSync(join(pgdata, 'postmaster.pid'), `${nobodysPid}\n`);
      return completeBackup;
    },
  };
  const facts = backupFacts({ place: localPlace({ pgdata }), force });
  return { facts, run } as unknown as BackupContext;
}

test('a server that came up just before pg_control was taken away is seen, and pg_control put back', async () => {
  const context = contextWith(noForce);
  const before = await readBefore(context);
  await expect(markCopying(context, before)).rejects.toThrow(/its postmaster.pid names \d+, which is gone/);
  expect(existsSync(control())).toBe(false);
  await unmarkCopying(context, before);
  expect(readFileSync(control(), 'utf8')).toBe('as it was');
  expect(existsSync(join(pgdata, 'pitrtools.json'))).toBe(false);
});

test('what a server left that is gone hinders no --force', async () => {
  const context = contextWith(fullForce);
  await markCopying(context, await readBefore(context));
  expect(existsSync(control())).toBe(false);
});
