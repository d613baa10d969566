import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  markCopying,
  readBefore,
  unmarkCopying,
} from '../../../../../../src/standby/actions/base-backup/pgdata/pgdata-files.ts';
import { type BackupRecord, readRecord } from '../../../../../../src/standby/host/backup-record/record.ts';
import { type Force, fullForce, noForce } from '../../../../../../src/standby/steps/force.ts';
import { slot, slots } from '../../../slot/slots-there.ts';
import { backupFacts, completeBackup, localPlace } from '../facts-kit.ts';

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

const factsWith = (force: Force) => backupFacts({ place: localPlace({ pgdata }), force });

/** As it is written, the first change here, a server has come up, and gone. */
const record: BackupRecord = {
  ...completeBackup,
  get label() {
    writeFileSync(join(pgdata, 'postmaster.pid'), `${nobodysPid}\n`);
    return completeBackup.label;
  },
};

test('a server that started just before pg_control was removed is noticed, and pg_control is restored', async () => {
  const before = await readBefore(pgdata);
  await expect(markCopying(factsWith(noForce), record, before)).rejects.toThrow(
    /its postmaster.pid names \d+, which is gone/,
  );
  expect(existsSync(control())).toBe(false);
  await unmarkCopying(pgdata, before);
  expect(readFileSync(control(), 'utf8')).toBe('as it was');
  expect(existsSync(join(pgdata, 'pitrtools.json'))).toBe(false);
});

test('remains of a server that has ended do not prevent --force', async () => {
  await markCopying(factsWith(fullForce), record, await readBefore(pgdata));
  expect(existsSync(control())).toBe(false);
});

test('the slot by which the standby will stream is noted, beside those that it had', async () => {
  const old = { name: slot().name, host: 'old', port: 5432 };
  const asked = { kind: 'asked', name: slot().name, host: 'a', port: 5432, isUnlimited: false } as const;
  const facts = {
    ...factsWith(noForce),
    slot: { ...asked, there: slots() },
    slotIdentity: 'mine',
    record: { ownSlots: [old] },
  };
  await markCopying(facts, completeBackup, await readBefore(pgdata));
  const { slotIdentity, ownSlots } = await readRecord(pgdata);
  expect(slotIdentity).toBe('mine');
  expect(ownSlots).toEqual([old, { name: asked.name, host: 'a', port: 5432 }]);
});
