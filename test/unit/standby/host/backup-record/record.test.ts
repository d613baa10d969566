import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { changeRecord, readRecord } from '../../../../../src/standby/host/backup-record/record.ts';
import { temporaryDirectory } from '../../../system/temporary.ts';
import { completeBackup } from '../../actions/base-backup/facts-kit.ts';

function pgdataWith(record: string): string {
  const pgdata = temporaryDirectory();
  writeFileSync(join(pgdata, 'pitrtools.json'), record);
  return pgdata;
}

test('the record of a base backup is read back, and keeps fields of another release', async () => {
  const verified = {
    time: 't',
    ...{ files: 1, pages: 2, bytes: 3, leftToWal: 0 },
    findings: [{ file: 'base/1', block: 7, kind: 'bad-copy', reason: 'damaged' }],
  };
  const record = {
    backup: { ...completeBackup, verified },
    raisedSettings: { max_connections: 10 },
    later: 1,
  };
  const pgdata = pgdataWith(JSON.stringify(record));
  expect(await readRecord(pgdata)).toEqual(record);
  await changeRecord(pgdata, { raisedSettings: undefined, promotedAtTimeline: 2 });
  const text = readFileSync(join(pgdata, 'pitrtools.json'), 'utf8');
  expect(JSON.parse(text)).toEqual({ backup: record.backup, later: 1, promotedAtTimeline: 2 });
});

test('a wrong descriptive field of the record counts as absent, because a failover needs none of them', async () => {
  const odd = { raisedSettings: { max_connections: '10' }, isActionBegun: false, promotedAtTimeline: 2 };
  const backup = { ...completeBackup, copy: { files: '1' }, verified: 1, toolVersion: null };
  const pgdata = pgdataWith(JSON.stringify({ ...odd, backup }));
  expect(await readRecord(pgdata)).toEqual({
    backup: completeBackup,
    isActionBegun: false,
    promotedAtTimeline: 2,
  });
});

test('there is no record without a file', async () => {
  expect(await readRecord(temporaryDirectory())).toEqual({});
});

test.each([
  ['{', /JSON/],
  ['[]', /it is no JSON object/],
  [JSON.stringify({ backup: { ...completeBackup, status: 'done' } }), /its "backup" is not what we write/],
  [JSON.stringify({ backup: { ...completeBackup, timeline: '1' } }), /its "backup" is not what we write/],
  ['{"settings":{"mode":"standby","file":"f"}}', /its "settings" is not what we write/],
  ['{"promotedAtTimeline":"2"}', /its "promotedAtTimeline" is not what we write/],
  ['{"isActionBegun":"no"}', /its "isActionBegun" is not what we write/],
  ['{"backup":null}', /its "backup" is not what we write there: it is no JSON object/],
])('a record that contains %s is refused, with the reason', async (record, reason) => {
  await expect(readRecord(pgdataWith(record))).rejects.toMatchObject({
    message: expect.stringMatching(/^cannot understand ".*pitrtools.json"$/) as string,
    detail: expect.stringMatching(reason) as string,
  });
});
