import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseBackupLabel } from '../../src/postgres/backup-label.ts';
import { switchWalSql, writeWalRecordSql } from '../../src/postgres/backup-sql.ts';
import { capabilitiesOf } from '../../src/postgres/capabilities.ts';
import { checkControlFile } from '../../src/postgres/control-file.ts';
import { ancestorsIn, parseHistory } from '../../src/postgres/history.ts';
import {
  firstLsnOf,
  listSegments,
  nameOf,
  parseLsn,
  segmentContaining,
  segmentEndingAt,
  segmentNumber,
  type WalLayout,
} from '../../src/postgres/lsn.ts';
import { doublePercent } from '../../src/postgres/quoting.ts';
import { withSettings } from '../../src/postgres/settings-file.ts';
import { parseVersion } from '../../src/postgres/version.ts';
import { checkSegmentHeader, longHeaderBytes, type SegmentCheck } from '../../src/postgres/wal-header.ts';
import { parseWalName, type SegmentName } from '../../src/postgres/wal-name.ts';
import { checkRecords } from '../../src/standby/archive/read-records.ts';
import { shellQuote } from '../../src/system/shell-quote.ts';
import { eventually } from '../harness/eventually.ts';
import { testMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { createWorld, type World } from '../harness/world.ts';

/** A path that every kind of quoting has to carry: the shell's, the configuration file's, PostgreSQL's `%`. */
const awkward = "it's 100%f \\n of $HOME";

describe.each(testMajors())('the WAL that PostgreSQL %i archives', (major) => {
  const capabilities = capabilitiesOf(parseVersion(String(major)));
  // Up to 10 the segment size is fixed when the server is compiled.
  const choosesSize = major >= 11;
  const segmentMb = choosesSize ? 1 : 16;
  const layout: WalLayout = { ...capabilities, segmentSize: segmentMb * 1024 * 1024 };
  let world: World;
  let primary: Primary;
  let archive: string;

  beforeAll(async () => {
    world = await createWorld({ major });
    const chosen = choosesSize ? { walSegmentMb: segmentMb } : {};
    primary = await world.startPrimary({ ...chosen, start: false });
    archive = join(primary.host.directory, awkward);
    mkdirSync(archive);
    const place = doublePercent(shellQuote(archive));
    set(primary, 'postgresql.conf', { archive_command: `test ! -e ${place}/%f && cp %p ${place}/%f` });
    await primary.start();
  });

  afterAll(async () => {
    await world.close();
  });

  test('passes the check of its header, and only under its own name', async () => {
    const name = segment(await primary.switchWal());
    await primary.archived(name.text);
    expect(check(name.text, name)).toMatchObject({
      kind: 'good',
      header: { major: String(major), timeline: 1 },
    });
    expect(check(name.text, nameOf(1, segmentNumber(name, layout) + 1, layout))).toMatchObject({
      kind: 'bad',
      problem: 'wrong-place',
    });
  });

  test('is read record by record to its end, and a wrong byte in one record is reported as damage', async () => {
    await primary.sql('CHECKPOINT');
    const redo = parseLsn(await primary.value('SELECT redo_lsn::text FROM pg_control_checkpoint()'));
    // Records that are longer than a page, and than a segment of 1 MB.
    await primary.sql('CREATE TABLE long AS SELECT repeat(md5(i::text), 3000) FROM generate_series(1, 50) i');
    await primary.sql("SELECT pg_logical_emit_message(false, 'long', repeat('x', 3000000))");
    const last = segment(await primary.switchWal());
    await primary.archived(last.text);
    const files = listSegments(segmentContaining(1, redo, layout), last, layout).map((name) => ({
      name,
      path: join(archive, name.text),
    }));
    const { signal } = new AbortController();
    const end = firstLsnOf(last, layout.segmentSize) + BigInt(layout.segmentSize);
    expect(await checkRecords(files, redo, signal)).toEqual({ kind: 'read', end, damage: undefined });

    const first = segmentContaining(1, redo, layout);
    const path = join(primary.host.directory, first.text);
    const bytes = readFileSync(join(archive, first.text));
    const at = Number(redo - firstLsnOf(first, layout.segmentSize)) + 25;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const damaged = await checkRecords([{ name: first, path }, ...files.slice(1)], redo, signal);
    expect(damaged).toMatchObject({ kind: 'read', damage: { at: redo } });
  });

  test('lies in the segments that the arithmetic of locations predicts', async () => {
    const [row] = await primary.sql(
      'SELECT pg_current_wal_insert_lsn()::text AS lsn, pg_walfile_name(pg_current_wal_insert_lsn()) AS file',
    );
    const lsn = BigInt(
      await primary.value('SELECT pg_wal_lsn_diff($1::pg_lsn, $2::pg_lsn)::text', [row?.['lsn'], '0/0']),
    );
    const rule =
      capabilities.walFileNameOfBoundary === 'segment before' ? segmentEndingAt : segmentContaining;
    expect(rule(1, lsn, layout).text).toBe(row?.['file']);

    const boundary = '0/2000000';
    expect(await primary.value('SELECT pg_walfile_name($1::pg_lsn)', [boundary])).toBe(
      rule(1, parseLsn(boundary), layout).text,
    );
  });

  test('ends with a segment that has a name, even if there was nothing to end', async () => {
    await primary.sql(writeWalRecordSql);
    const current = await primary.value('SELECT pg_walfile_name(pg_current_wal_insert_lsn())');
    for (const attempt of ['something', 'nothing', 'nothing']) {
      expect([attempt, await primary.value(switchWalSql(capabilities))]).toEqual([attempt, current]);
    }
    await primary.archived(current);
    expect(check(current, segment(current))).toMatchObject({ kind: 'good' });
  });

  test('contains a .backup file for each base backup', async () => {
    await primary.withSession(async (client) => {
      const exclusive = capabilities.backupApi === 'nonexclusive-start-stop';
      await client.query(
        exclusive ? "SELECT pg_start_backup('mark', true, false)" : "SELECT pg_backup_start('mark', true)",
      );
      await client.query(
        exclusive ? 'SELECT * FROM pg_stop_backup(false)' : 'SELECT * FROM pg_backup_stop()',
      );
    });
    const mark = archived().find(({ kind }) => kind === 'backup');
    if (mark?.kind !== 'backup') throw new Error('no .backup file');
    const label = parseBackupLabel(readFileSync(join(archive, mark.text), 'utf8'), mark.text);
    expect(label).toMatchObject({ label: 'mark', startSegment: mark.segment });
    expect(Number(label.startLsn) % layout.segmentSize).toBe(mark.offset);
    expect(segmentEndingAt(1, label.stop?.lsn ?? 0n, layout)).toEqual(label.stop?.segment);
  });

  test('continues after a promotion inside a segment with a segment that begins on the old timeline', async () => {
    await primary.sql('CREATE TABLE before_promotion AS SELECT 1');
    // A clean stop would end the segment.
    await primary.stop('immediate');
    recover(primary, { restore_command: `cp ${doublePercent(shellQuote(archive))}/%f %p` });
    await primary.start();
    await eventually(async () => (await primary.value('SELECT pg_is_in_recovery()')) === 'false');
    await primary.archived(await primary.switchWal());
    const first = archived().find((name) => name.kind === 'segment' && name.timeline === 2);
    if (first?.kind !== 'segment') throw new Error('no segment of timeline 2');

    const history = parseHistory(readFileSync(join(archive, '00000002.history'), 'utf8'), '00000002.history');
    expect(history).toMatchObject([{ timeline: 1, end: { kind: 'lsn' } }]);
    expect(check(first.text, first)).toMatchObject({ kind: 'bad', problem: 'wrong-timeline' });
    expect(check(first.text, first, ancestorsIn(history))).toMatchObject({
      kind: 'good',
      header: { timeline: 1 },
    });
    expect(archived()).toContainEqual(
      expect.objectContaining({
        kind: 'partial',
        segment: { ...first, text: first.text.replace(/^00000002/, '00000001'), timeline: 1 },
      }),
    );
  });

  function archived() {
    return readdirSync(archive)
      .map((name) => parseWalName(name))
      .map((name) => (name.kind === 'not-wal' ? fail(name.reason) : name));
  }

  function check(file: string, name: SegmentName, ancestors: ReadonlySet<number> = new Set()): SegmentCheck {
    const path = join(archive, file);
    return checkSegmentHeader(readFileSync(path).subarray(0, longHeaderBytes), {
      name,
      systemIdentifier: identifierOf(primary),
      fileSize: statSync(path).size,
      isAncestor: (timeline) => ancestors.has(timeline),
    });
  }
});

function recover(primary: Primary, settings: Record<string, string>): void {
  if (primary.major >= 12) {
    set(primary, 'postgresql.auto.conf', settings);
    writeFileSync(join(primary.pgdata, 'recovery.signal'), '');
  } else set(primary, 'recovery.conf', settings);
}

function set(primary: Primary, file: string, settings: Record<string, string>): void {
  const path = join(primary.pgdata, file);
  const text = readdirSync(primary.pgdata).includes(file) ? readFileSync(path, 'utf8') : '';
  writeFileSync(path, withSettings(text, { set: new Map(Object.entries(settings)) }));
}

function identifierOf(primary: Primary): string {
  const control = checkControlFile(readFileSync(join(primary.pgdata, 'global', 'pg_control')));
  return control.kind === 'good' ? control.control.systemIdentifier : fail(control.reason);
}

function segment(text: string): SegmentName {
  const name = parseWalName(text);
  return name.kind === 'segment' ? name : fail(`${text} is no segment`);
}

function fail(reason: string): never {
  throw new Error(reason);
}
