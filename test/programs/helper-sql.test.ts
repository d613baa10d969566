import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseBackupLabel } from '../../src/postgres/backup-label.ts';
import {
  checkpointSql,
  dataDirectoriesSql,
  dataDirectorySql,
  exclusiveBackupLabelSql,
  findHelpers,
  installedHelpersSql,
  parseStoppedBackup,
  parseTablespaces,
  parseWalPosition,
  runningBackupsSql,
  type SqlRow,
  startBackupSql,
  startExclusiveBackupSql,
  stopBackupSql,
  stopExclusiveBackupSql,
  switchWalSql,
  tablespacesSql,
  walPositionSql,
  writeWalRecordSql,
} from '../../src/postgres/backup-sql.ts';
import { capabilitiesOf } from '../../src/postgres/capabilities.ts';
import { checkControlFile } from '../../src/postgres/control-file.ts';
import { formatLsn } from '../../src/postgres/lsn.ts';
import { sqlIdentifier, sqlLiteral } from '../../src/postgres/quoting.ts';
import { parseServerSettings, serverSettingsSql } from '../../src/postgres/server-settings.ts';
import { parseVersion } from '../../src/postgres/version.ts';
import { checkout } from '../harness/checkout.ts';
import { clientProgram, testMajors } from '../harness/postgres-programs.ts';
import type { Primary } from '../harness/primary.ts';
import { createWorld, type World } from '../harness/world.ts';

const shownByHowTo = [
  'CREATE FUNCTION',
  'COMMENT',
  'CREATE FUNCTION',
  'CREATE FUNCTION',
  'CREATE FUNCTION',
  'COMMENT',
  'CREATE FUNCTION',
  'COMMENT',
  '',
].join('\n');

/** The names and types that releases 1.3 and 1.4 installed: what must be replaced where they are. */
const olderRelease = `
  CREATE FUNCTION cmd_get_data_dirs() RETURNS SETOF text AS $$ SELECT 'x'::text $$ LANGUAGE sql;
  CREATE FUNCTION cmd_get_pgdata() RETURNS text AS $$ SELECT 'x'::text $$ LANGUAGE sql IMMUTABLE;
  CREATE FUNCTION cmd_get_tablespaces() RETURNS SETOF text AS $$ SELECT 'x'::text $$ LANGUAGE sql STABLE;
  CREATE FUNCTION cmd_pg_start_backup() RETURNS int AS $$ SELECT 1 $$ LANGUAGE sql;
  CREATE FUNCTION cmd_pg_stop_backup() RETURNS int AS $$ SELECT 1 $$ LANGUAGE sql;
`;

describe.each(testMajors())('the helper functions on PostgreSQL %i', (major) => {
  const capabilities = capabilitiesOf(parseVersion(String(major)));
  const file = checkout('scripts', capabilities.helperSqlFile);
  let world: World;
  let primary: Primary;
  let tablespace: string;

  beforeAll(async () => {
    world = await createWorld({ major });
    primary = await world.startPrimary({ settings: { archive_command: 'true', timezone: 'Europe/Berlin' } });
    tablespace = join(primary.host.directory, 'a table space');
    mkdirSync(tablespace);
    await primary.sql(`CREATE TABLESPACE ${sqlIdentifier('fast "1"')} LOCATION ${sqlLiteral(tablespace)}`);
  });

  afterAll(async () => {
    await world.close();
  });

  test('print what the how-to shows when they are installed, and again when they replace those of an older release', async () => {
    await primary.sql(olderRelease);
    const older = findHelpers(await rows(primary, installedHelpersSql));
    expect(older.kind === 'missing' && older.missing).toHaveLength(2);
    expect(await primary.psqlFile(file)).toBe(shownByHowTo);
    expect(await primary.psqlFile(file)).toBe(shownByHowTo);
    const found = findHelpers(await rows(primary, installedHelpersSql));
    expect(found).toEqual({ kind: 'found', schema: 'public' });
  });

  test('are installed by the command of the how-to', async () => {
    const connection = `-X -U ${primary.user} -h ${primary.socketDirectory} -p ${primary.port} -d postgres`;
    const done = await primary.host.runOn('primary', `${clientProgram('psql')} ${connection} < ${file}`);
    expect(done).toMatchObject({ code: 0, stdout: shownByHowTo, stderr: '' });
  });

  test('return the data directory and every tablespace', async () => {
    expect(await rows(primary, dataDirectorySql('public'))).toEqual([[primary.pgdata]]);
    expect(await rows(primary, dataDirectoriesSql('public'))).toEqual([[primary.pgdata], [tablespace]]);
    expect(await rows(primary, 'SELECT * FROM cmd_get_tablespaces()')).toEqual([[tablespace]]);
    const [found, ...others] = parseTablespaces(await rows(primary, tablespacesSql(capabilities)));
    expect(found).toMatchObject({ name: 'fast "1"', location: tablespace });
    expect(others).toEqual([]);
  });

  test('begin and end a backup with a label', async () => {
    const label = "cmd_standby it's 4711";
    await primary.withSession(async (client) => {
      const begun = await query(client, startBackupSql(capabilities, 'public', label, true));
      // A switchover must see that it would end this one.
      expect(await rows(primary, runningBackupsSql(capabilities))).toEqual([['1']]);
      const stopped = parseStoppedBackup(await query(client, stopBackupSql('public', label)));
      const written = parseBackupLabel(stopped?.labelFile ?? '', 'backup_label');
      expect(written).toMatchObject({ label, startSegment: { timeline: 1 }, stop: undefined });
      expect(formatLsn(written.startLsn)).toBe(begun[0]?.[0]);
      expect(stopped?.stopLsn).toBeGreaterThan(written.startLsn);
      expect(stopped?.tablespaceMap).toMatch(/^\d+ .*a table space\n$/);
    });
  });

  test('leave no backup behind when the session ends', async () => {
    expect(await rows(primary, runningBackupsSql(capabilities))).toEqual([['0']]);
    await primary.sql(startBackupSql(capabilities, 'public', 'abandoned', true));
    await expect(primary.sql(stopBackupSql('public', 'abandoned'))).rejects.toThrow(
      /backup is not in progress/,
    );
  });

  test.runIf(capabilities.canExclusive)(
    'begin and end an exclusive backup if they are called without arguments',
    async () => {
      expect(await rows(primary, 'SELECT cmd_pg_start_backup()')).toEqual([['1']]);
      expect(await rows(primary, exclusiveBackupLabelSql(capabilities))).toEqual([
        [expect.stringContaining('\nLABEL: cmd_pg_start_backup\n')],
      ]);
      expect(await rows(primary, runningBackupsSql(capabilities))).toEqual([['1']]);
      const notices: string[] = [];
      await primary.withSession(async (client) => {
        client.on('notice', ({ message }) => notices.push(message ?? ''));
        expect(await query(client, 'SELECT cmd_pg_stop_backup()')).toEqual([['1']]);
      });
      expect(notices.join('\n')).toMatch(/all required WAL segments have been archived/);
      expect(await rows(primary, exclusiveBackupLabelSql(capabilities))).toEqual([]);
      expect(await rows(primary, runningBackupsSql(capabilities))).toEqual([['0']]);
    },
  );

  test.runIf(capabilities.canExclusive)('end an exclusive backup only by its own label', async () => {
    await primary.sql(startExclusiveBackupSql(capabilities, "mine's", true));
    expect(await rows(primary, stopExclusiveBackupSql(capabilities, 'mine'))).toEqual([]);
    expect(await rows(primary, exclusiveBackupLabelSql(capabilities))).toHaveLength(1);
    expect(await rows(primary, stopExclusiveBackupSql(capabilities, "mine's"))).toHaveLength(1);
    expect(await rows(primary, stopExclusiveBackupSql(capabilities, "mine's"))).toEqual([]);
  });

  test.runIf(capabilities.canExclusive)('of 9.2 to 9.5 end a backup only by its own label', async () => {
    await primary.psqlFile(checkout('scripts', 'cmd_standby.92.sql'));
    try {
      await primary.sql(startBackupSql(capabilities, 'public', "mine's", true));
      expect(parseStoppedBackup(await rows(primary, stopBackupSql('public', 'mine')))).toBeUndefined();
      const stopped = parseStoppedBackup(await rows(primary, stopBackupSql('public', "mine's")));
      expect(stopped).toMatchObject({ labelFile: undefined, tablespaceMap: undefined });
      expect(parseStoppedBackup(await rows(primary, stopBackupSql('public', "mine's")))).toBeUndefined();
    } finally {
      await primary.psqlFile(file);
    }
  });

  test.runIf(!capabilities.canExclusive)(
    'report why there is no exclusive backup if they are called without arguments',
    async () => {
      for (const call of ['cmd_pg_start_backup()', 'cmd_pg_stop_backup()']) {
        const refused = primary.sql(`SELECT ${call}`);
        await expect(refused).rejects.toThrow(/PostgreSQL 15 and later have no exclusive backup/);
        await expect(refused).rejects.toMatchObject({ hint: expect.stringMatching(/session/) as string });
      }
    },
  );

  test('do not work from the file of another release, and report this', async () => {
    const other = capabilities.canExclusive ? 'cmd_standby.15.sql' : 'cmd_standby.10.sql';
    await expect(primary.psqlFile(checkout('scripts', other))).rejects.toThrow(/does not exist/);
    await expect(primary.psqlFile(checkout('scripts', 'cmd_standby.sql'))).rejects.toThrow(/spclocation/);
    expect(await primary.psqlFile(file)).toBe(shownByHowTo);
  });

  test('work for a role that is not a superuser, with the grants of the documentation', async () => {
    await primary.sql('CREATE ROLE helper LOGIN');
    await expect(rowsAs(primary, 'helper', dataDirectoriesSql('public'))).rejects.toThrow(/data_directory/);
    await expect(
      rowsAs(primary, 'helper', startBackupSql(capabilities, 'public', 'a', true)),
    ).rejects.toThrow(/permission denied/);
    await primary.sql(documentedGrants(major).replaceAll('pitrtools', 'helper'));
    expect(await rowsAs(primary, 'helper', dataDirectoriesSql('public'))).toEqual([
      [primary.pgdata],
      [tablespace],
    ]);
    expect(
      await rowsAs(
        primary,
        'helper',
        startBackupSql(capabilities, 'public', 'a', true),
        stopBackupSql('public', 'a'),
      ),
    ).toHaveLength(1);
    expect(await rowsAs(primary, 'helper', writeWalRecordSql, switchWalSql(capabilities))).toHaveLength(1);
    const checkpoint = rowsAs(primary, 'helper', checkpointSql);
    if (capabilities.checkpointPrivilege === 'superuser')
      await expect(checkpoint).rejects.toThrow(/superuser/);
    else await checkpoint;
    const settings = parseServerSettings(await rowsAs(primary, 'helper', serverSettingsSql(capabilities)));
    expect(settings.dataDirectory).toBe(primary.pgdata);
  });

  test('are not needed to read the settings of the server', async () => {
    const settings = parseServerSettings(await rows(primary, serverSettingsSql(capabilities)));
    expect(settings).toMatchObject({
      inRecovery: false,
      dataDirectory: primary.pgdata,
      configFile: join(primary.pgdata, 'postgresql.conf'),
      walSegmentSize: 16 * 1024 * 1024,
      archiveMode: 'on',
      archiveCommand: 'true',
      timeZone: 'Europe/Berlin',
      dataChecksums: major >= 18,
    });
    expect(settings.standbyLimits.get('max_connections')).toBe(40);
    expect(settings.standbyLimits.size).toBe(5);
  });

  test('are not needed to read its WAL position and its last checkpoint, which agree with its files', async () => {
    const before = parseWalPosition(await rows(primary, walPositionSql(capabilities)));
    await primary.sql(writeWalRecordSql);
    const ended = await rows(primary, switchWalSql(capabilities));
    expect(ended).toEqual([[expect.stringMatching(/^00000001[0-9A-F]{16}$/)]]);
    const after = parseWalPosition(await rows(primary, walPositionSql(capabilities)));
    expect(after.timeline).toBe(1);
    // The switch ends the segment that held the position before it.
    expect(after.lsn & 0xffffffn).toBe(0n);
    expect(after.lsn - before.lsn).toBeLessThanOrEqual(0x1000000n);

    await primary.sql(checkpointSql);
    const check = checkControlFile(readFileSync(join(primary.pgdata, 'global', 'pg_control')));
    const [said] = await rows(
      primary,
      'SELECT checkpoint_lsn::text, redo_lsn::text, timeline_id FROM pg_control_checkpoint()',
    );
    if (check.kind === 'bad') throw new Error(check.reason);
    const { checkpointLsn, redoLsn, timeline, state } = check.control;
    expect([formatLsn(checkpointLsn), formatLsn(redoLsn), String(timeline)]).toEqual(said?.map(String));
    expect(state).toBe('in-production');
  });

  test.each(['back\\slash', "quote's", "both\\'s", '\\', 'two\nlines', '"double"', '%p $x `y`'])(
    'are not needed for the SQL literal of %j, which means the same with any server settings for backslashes',
    async (value) => {
      await primary.withSession(async (client) => {
        for (const setting of ['on', 'off']) {
          await client.query(`SET standard_conforming_strings = ${setting}`);
          expect(await query(client, `SELECT ${sqlLiteral(value)}`)).toEqual([[value]]);
        }
      });
    },
  );
});

/** The block of doc/helper-sql.md that is for this release. */
function documentedGrants(major: number): string {
  const text = readFileSync(checkout('doc', 'helper-sql.md'), 'utf8');
  const heading = major >= 15 ? '15 and later' : '10 to 14';
  const block = new RegExp(`### ${heading}[^]*?\`\`\`sql\n([^]*?)\`\`\``).exec(text)?.[1];
  if (block === undefined) throw new Error(`doc/helper-sql.md has no grants for ${heading}`);
  return block.replace(/^CREATE ROLE.*$/m, '');
}

async function rows(primary: Primary, sql: string): Promise<SqlRow[]> {
  return primary.withSession((client) => query(client, sql));
}

async function rowsAs(primary: Primary, role: string, ...statements: string[]): Promise<SqlRow[]> {
  return primary.withSession(async (client) => {
    await client.query(`SET SESSION AUTHORIZATION ${sqlIdentifier(role)}`);
    let last: SqlRow[] = [];
    for (const sql of statements) last = await query(client, sql);
    return last;
  });
}

async function query(client: pg.Client, sql: string): Promise<SqlRow[]> {
  const result = await client.query<(string | number | null)[]>({ text: sql, rowMode: 'array' });
  return result.rows.map((row) => row.map((value) => (value === null ? null : String(value))));
}
